#!/usr/bin/env python3
"""Prints the text at the start of shared memory that another program has made.

The partner in Godot:

    var shm = SharedMemory.new()
    shm.create("SharedMemoryExample", 1024, SharedMemory.LOCAL_SCOPE)
    shm.write("Hello world from Godot Shared Memory!".to_utf8_buffer())
    await get_tree().create_timer(10).timeout
    shm.close()
"""

import time

from segment import POLL_INTERVAL, Segment, SegmentError, argument_parser, run


def main() -> int:
    parser = argument_parser(
        "Prints the UTF-8 text at the start of shared memory, up to the first zero byte.",
        "wait this long for the other side to make the memory and to write something",
    )
    options = parser.parse_args()
    wait = options.wait or 0.0
    deadline = time.monotonic() + wait
    with Segment.open(options.name, options.size, wait) as segment:
        text = segment.read_text(segment.size)
        while not text and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL)
            text = segment.read_text(segment.size)
    if not text:
        raise SegmentError(
            f"the shared memory '{options.name}' does not have a text yet"
        )
    print(text)
    return 0


if __name__ == "__main__":
    run(main)
