"""Messages to and from the partner in C, which the variable GSM_PARTNER names."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import godot_shared_memory as gsm
import numpy
import pytest
from godot_shared_memory import Mutex, Peer, Queue, SharedMemory, Stream
from test_values import same

PARTNER = os.environ.get("GSM_PARTNER")

pytestmark = pytest.mark.skipif(not PARTNER, reason="needs the partner in C")


class Partner:
    """The partner, which obeys by lines."""

    def __init__(self) -> None:
        assert PARTNER
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([PARTNER], stdin=pipe, stdout=pipe, text=True, bufsize=1)

    def send(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")

    def answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, line: str) -> str:
        self.send(line)
        return self.answer()

    def must(self, line: str) -> str:
        answer = self.ask(line)
        assert answer.split()[0] in ("ok", "message", "answer", "request"), f"{line}: {answer}"
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def begin() -> Iterator[Callable[[], Partner]]:
    started: list[Partner] = []

    def start() -> Partner:
        started.append(Partner())
        return started[-1]

    yield start
    for partner in started:
        partner.end()


@pytest.fixture
def partner(begin: Callable[[], Partner]) -> Partner:
    return begin()


MESSAGES: list[tuple[str, bytes, Any]] = [
    ("bytes", b"\x00\xff", b"\x00\xff"),
    ("text", "äb".encode(), "äb"),
    ("value", struct.pack("<II", 2, 7), 7),
    ("array:1:0:3", struct.pack("<3i", 1, -2, 3), numpy.array([1, -2, 3], "i4")),
    ("array:4:0:2x1", struct.pack("<2d", 1, 0.5), numpy.array([[1], [0.5]])),
    ("array:3:1:1x3", struct.pack("<3f", 1, 2, 3), numpy.array([[1, 2, 3]], "f4")),
    ("image:2x1:4", bytes(range(6)), numpy.arange(6, dtype="u1").reshape(1, 2, 3)),
    ("image:1x2:256:5", bytes([1, 2, 3, 0, 0, 4, 5, 6, 0, 0]), numpy.array([[[3, 2, 1]], [[6, 5, 4]]], "u1")),
]


def test_messages_of_each_kind_come_from_c(name: str, partner: Partner) -> None:
    partner.must(f"create {name} 65536 local")
    partner.must("stream 4096 2")
    with Stream.open(name) as reader:
        for kind, content, expected in MESSAGES:
            partner.must(f"write {kind} {content.hex()}")
            assert same(reader.read(), expected), kind
        partner.must("write image:1x2:0:3 010000020000")
        with reader.frame() as view:
            assert view.tolist() == [[[1]], [[2]]]
    partner.must("close")


def test_messages_of_each_kind_go_to_c(name: str, partner: Partner) -> None:
    with Stream.create(name, 4096) as writer:
        partner.must(f"open {name} rw")
        partner.must("stream 0 0")
        for value, part in (
            (b"\x01\x02", "tag=0x1 shape=0,0,0,0 length=2"),
            ("ab", "content=6162"),
            (numpy.array([1, 2], "i4"), "shape=2,0,0,0 length=8"),
            (numpy.zeros((2, 3, 3), "u1"), "shape=3,2,4,9 length=18"),
            (7, "content=0200000007000000"),
        ):
            writer.write(value)
            assert part in partner.must("read"), value
        with writer.begin((2, 2), "float32") as view:
            view[:] = 1
        assert "shape=2,2,0,0 length=16" in partner.must("read")
        partner.must("close")


def test_a_pinned_frame_stays_while_c_writes(name: str, partner: Partner) -> None:
    partner.must(f"create {name} 1048576 local")
    partner.must("stream 4096 2")
    partner.must("write array:1:0:4 01000000020000000300000004000000")
    with Stream.open(name) as reader:
        reader.wait(5)
        with reader.frame() as view:
            partner.must("produce 1000 5 4096 1000")
            assert view.tolist() == [1, 2, 3, 4]
    partner.must("close")


def test_a_killed_program_in_c_is_replaced(
    name: str, begin: Callable[[], Partner], chance: random.Random
) -> None:
    with Queue.create(name, 1 << 16, 2) as consumer:
        received = 0
        for seed in range(1, 11):
            partner = begin()
            partner.must(f"open {name} rw")
            partner.must("queue 0 1")
            partner.send(f"produce 1000000 {seed} 1000 10000")
            threading.Timer(chance.uniform(0.02, 0.2), partner.process.kill).start()
            end = time.monotonic() + 0.4
            while time.monotonic() < end:
                try:
                    message = consumer.dequeue(0.05)
                except (gsm.TimeoutError, gsm.ConnectionError):
                    continue
                received += 1
                assert isinstance(message, (bytes, str, numpy.ndarray))
            partner.end()
        assert received > 100


def test_two_languages_talk_while_one_is_killed(name: str, begin: Callable[[], Partner]) -> None:
    with Peer(name) as peer:
        for _ in range(4):
            partner = begin()
            partner.must(f"peer {name} 65536")
            partner.send("echo 20000")
            peer.wait_connected(10)
            for number in range(50):
                assert peer.request(["x", number], 10) == ["x", number]
            partner.process.kill()
            with pytest.raises(gsm.ConnectionError):
                peer.receive(10)


def test_a_python_that_is_killed_is_noticed_in_c(
    name: str, partner: Partner, start: Callable[..., Any]
) -> None:
    partner.must(f"peer {name} 65536")
    source = """if True:
        import sys, time, godot_shared_memory as gsm
        peer = gsm.Peer(sys.argv[1])
        peer.wait_connected(10)
        peer.send("hello")
        print("sent")
        time.sleep(60)
    """
    for _ in range(3):
        program = start(source, name)
        partner.must("connect 10000")
        assert "content=68656c6c6f" in partner.must("receive 10000")
        program.line()
        threading.Timer(0.1, program.process.kill).start()
        began = time.monotonic()
        assert partner.ask("receive 10000").startswith("error")
        assert time.monotonic() - began < 1
    partner.must("part")


def test_a_lock_is_shared_with_c(name: str, partner: Partner) -> None:
    partner.must(f"mutex {name} 0")
    mutex = Mutex(name)
    with mutex:
        assert partner.ask("lock 0").startswith("error")
    assert partner.must("lock 0") == "ok 0"
    assert mutex.is_locked()
    threading.Timer(0.1, partner.process.kill).start()
    mutex.lock(5)
    assert mutex.was_abandoned()
    mutex.unlock()
    mutex.close()
    assert not SharedMemory.exists(name)
