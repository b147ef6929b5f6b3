#!/usr/bin/env python3
"""Writes a text to the start of shared memory, for another program to read.

The partner in Godot:

    var shm = SharedMemory.new()
    shm.open("SharedMemoryExample", 1024)
    var bytes = shm.read()
    print(bytes.get_string_from_utf8())
    shm.close()
"""

import contextlib
import time

from segment import Segment, SegmentError, argument_parser, run


def main() -> int:
    parser = argument_parser(
        "Writes a UTF-8 text and a zero byte to the start of shared memory. If the memory does not "
        "exist, it is made, and removed after a while.",
        "do not make the memory: wait this long for the other side to make it",
    )
    parser.add_argument(
        "--text", default="Hello world from Python Shared Memory!", help="(%(default)s)"
    )
    parser.add_argument(
        "--hold",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="seconds to keep memory that this script has made (%(default)s)",
    )
    options = parser.parse_args()
    data = options.text.encode() + b"\0"
    if len(data) > options.size:
        raise SegmentError(
            f"the text needs {len(data)} bytes, and the memory has {options.size}"
        )
    if options.wait is None:
        segment = Segment.open_or_create(options.name, options.size)
    else:
        segment = Segment.open(options.name, options.size, options.wait)
    with segment:
        segment.write(data)
        print(f"written: {options.text}")
        if segment.created:
            print(
                f"The memory stays for {options.hold:g} seconds; Ctrl-C removes it at once."
            )
            with contextlib.suppress(KeyboardInterrupt):
                time.sleep(options.hold)
    return 0


if __name__ == "__main__":
    run(main)
