#!/usr/bin/env python3
"""Times of the bridge beside those of plain Zenoh, over loopback. ./build.sh test-bridge figures runs this.

A child process receives, and prints the times at which it has whole messages. All clocks are the same.
"""

from __future__ import annotations

import contextlib
import importlib
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import godot_shared_memory as gsm
from bridge_rig import BRIDGE, FAR, Rig, bridge_modules

zenoh: Any = importlib.import_module("zenoh")
PORT, KEY = 17_447, "figures"
# Bytes of a message of a stream, and messages per second.
STREAMS = ((64, 200), (4_096, 200), (100_000, 100), (921_600, 60), (8_294_400, 20))
# Bytes of a message of a queue, and the number of messages.
QUEUES = ((64, 30_000), (4_096, 20_000), (100_000, 1_000))
SECONDS = 3.0


def configuration(**endpoints: list[str]) -> Any:
    """Returns the settings of the bridge, so that both use the same."""
    options = {
        "listen": [],
        "connect": [],
        "receive_stream": [("", 1 << 24)],
        "receive_queue": [],
        **endpoints,
    }
    return bridge_modules().configuration(types.SimpleNamespace(**options))


def receive(way: str, kind: str, name: str, count: int) -> None:
    """Receives messages, each of which begins with its number, and prints number and time of each."""
    times: list[tuple[int, int]] = []

    def note(content: bytes) -> None:
        times.append((int.from_bytes(content[:8], "little"), time.monotonic_ns()))

    if way == "zenoh":
        with zenoh.open(configuration(connect=[f"tcp/127.0.0.1:{PORT}"])) as session:
            # A stream's subscriber keeps the newest one alone, as that of the bridge.
            channel = zenoh.handlers.RingChannel(1) if kind == "stream" else zenoh.handlers.FifoChannel(64)
            subscriber = session.declare_subscriber(KEY, channel)
            print("up", flush=True)
            for sample in subscriber:
                note(sample.payload.to_bytes())
                if times[-1][0] >= count:
                    break
    elif kind == "stream":
        with gsm.Stream.open(name + FAR) as stream:
            print("up", flush=True)
            while not times or times[-1][0] < count:
                stream.wait(None)
                note(stream.read())
    else:
        with gsm.Queue.open(name + "_queue" + FAR) as queue:
            print("up", flush=True)
            while not times or times[-1][0] < count:
                note(queue.dequeue(None))
    print(*(f"{number} {at}" for number, at in times), sep="\n")


@contextlib.contextmanager
def sender(way: str, kind: str, size: int) -> Iterator[tuple[str, Callable[[bytes], object]]]:
    """Yields the name, and what sends a message."""
    endpoint = f"tcp/127.0.0.1:{PORT}"
    if way == "zenoh":
        control = zenoh.CongestionControl.DROP if kind == "stream" else zenoh.CongestionControl.BLOCK
        with zenoh.open(configuration(listen=[endpoint])) as session:
            publisher = session.declare_publisher(KEY, congestion_control=control)
            yield "", publisher.put
        return
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(pathlib.Path(folder), PORT, size=size)
        name = rig.name
        try:
            near = ["--listen", endpoint, "--send-stream", name, "--send-queue", f"{name}_queue"]
            ring = str(1 << 20)
            far = ["--connect", endpoint, "--receive-stream", name, "9000000"]
            far += ["--receive-queue", f"{name}_queue", ring, "--suffix", FAR]
            for role, words in (("near", near), ("far", far)):
                rig.running[role] = subprocess.Popen(
                    [sys.executable, BRIDGE, *words], stdout=subprocess.DEVNULL
                )
            if kind == "stream":
                with gsm.Stream.create(name, 9_000_000) as stream:
                    yield name, stream.write
            else:
                with gsm.Queue.create(f"{name}_queue", int(ring)) as queue:
                    yield name, lambda content: queue.enqueue(content, None)
        finally:
            rig.stop()


def measure(way: str, kind: str, size: int, rate: float, count: int) -> tuple[dict[int, int], dict[int, int]]:
    """Returns the times of sending and of receiving, by number."""
    with sender(way, kind, size) as (name, send):
        command = [sys.executable, __file__, way, kind, name, str(count)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        # The connections are up by then.
        time.sleep(2.0)
        rest = bytes(max(0, size - 8))
        sent: dict[int, int] = {}
        start = time.monotonic()
        for number in range(1, count + 1):
            if rate:
                time.sleep(max(0.0, start + number / rate - time.monotonic()))
            message = number.to_bytes(8, "little") + rest
            sent[number] = time.monotonic_ns()
            send(message)
        if kind == "stream":
            # The last one may have been dropped.
            for _ in range(20):
                if child.poll() is not None:
                    break
                time.sleep(0.1)
                send(count.to_bytes(8, "little") + rest)
        try:
            out, _ = child.communicate(timeout=60)
        finally:
            child.kill()
    got = [line.split() for line in out.splitlines()]
    return sent, {int(number): int(at) for number, at in reversed(got)}


def main() -> None:
    print("stream: milliseconds from the write to the whole message, median and 99 %; share that came")
    for size, rate in STREAMS:
        line = f"{size:>9} bytes at {rate:>3}/s:"
        for way in ("zenoh", "bridge"):
            sent, got = measure(way, "stream", size, rate, int(SECONDS * rate))
            late = sorted((got[number] - at) / 1e6 for number, at in sent.items() if number in got)[:-1]
            figures = f"{statistics.median(late):.2f} {late[int(0.99 * len(late))]:.2f}"
            line += f"  {way} {figures} ({len(got) / len(sent):.0%})"
        print(line, flush=True)
    print("queue: messages per second, and MB/s")
    for size, count in QUEUES:
        line = f"{size:>9} bytes:"
        for way in ("zenoh", "bridge"):
            sent, got = measure(way, "queue", size, 0, count)
            seconds = (max(got.values()) - sent[1]) / 1e9
            line += f"  {way} {count / seconds:.0f}/s {count * size / seconds / 1e6:.1f} MB/s"
            assert len(got) == count, f"{count - len(got)} messages are lost"
        print(line, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        receive(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
