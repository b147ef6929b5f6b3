"""`Peer`: two programs talk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import godot_shared_memory as gsm
import numpy
import pytest
from conftest import Program, closed_soon, eventually, processor_time
from godot_shared_memory import Peer, Status

ECHO = """if True:
    import sys, godot_shared_memory as gsm
    with gsm.Peer(sys.argv[1]) as peer:
        print("ready")
        peer.wait_connected(30)
        for message in peer:
            peer.send(["echo", message], 10)
    print("over")
"""


def test_two_objects_talk(name: str) -> None:
    with Peer(name) as one, Peer(name) as other:
        one.wait_connected(5)
        other.wait_connected(5)
        assert one.get_status() is Status.CONNECTED
        assert one.is_connected()
        assert one.get_name() == name
        one.send({"a": numpy.arange(3)})
        other.send("there")
        assert one.receive(5) == "there"
        assert other.get_message_count() == 1
        assert other.get_available_bytes() > 0
        got: Any = other.receive(5)
        assert got["a"].tolist() == [0, 1, 2]
        assert one.receive() is None
        with pytest.raises(gsm.InUseError, match="third"):
            Peer(name)
        size = one.get_max_message_size()
        with pytest.raises(gsm.ArgumentError, match="value"):
            one.send(bytes(size + 1))
        one.send(bytes(size))
        with pytest.raises(gsm.BusyError):
            for _ in range(10):
                one.send(bytes(size))
        assert len(other.receive(5) or b"") == size
        assert one.get_late_answer_count() == 0


def test_alone_nothing_is_sent(name: str) -> None:
    with Peer(name) as peer:
        assert peer.get_status() is Status.WAITING
        with pytest.raises(gsm.UnavailableError, match="no partner"):
            peer.send(1)
        before, start = processor_time(), time.monotonic()
        calls: list[Callable[[], object]] = [
            lambda: peer.wait_connected(0.2),
            lambda: peer.receive(0.2),
            lambda: peer.send(1, 0.2),
            lambda: peer.request(1, 0.2),
            lambda: peer.wait(0.2),
        ]
        for call in calls:
            with pytest.raises(gsm.TimeoutError):
                call()
        assert 1 <= time.monotonic() - start < 2
        assert processor_time() - before < 0.3
    assert peer.is_closed()
    assert peer.get_status() is Status.CLOSED
    with pytest.raises(gsm.ClosedError):
        peer.receive()


def test_wrong_arguments_are_named(name: str) -> None:
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: Peer(name, 0), "buffer_size"),
        (lambda: Peer(name, 1 << 40), "buffer_size"),
        (lambda: Peer(name, scope=3), "scope"),
        (lambda: Peer("a/b"), "a/b"),
    ]
    for call, text in calls:
        with pytest.raises(gsm.ArgumentError, match=text):
            call()


def test_a_request_gets_its_own_answer(name: str, start: Callable[..., Program]) -> None:
    program = start(ECHO, name)
    program.line()
    with Peer(name) as peer:
        peer.wait_connected(10)
        for number in range(100):
            assert peer.request(number, 10) == ["echo", number]
    assert program.line() == "over"
    assert program.finish()[0] == 0


def test_close_ends_waits_of_other_threads(name: str) -> None:
    calls: list[Callable[[Peer], object]] = [
        lambda peer: peer.receive(10),
        lambda peer: peer.wait_connected(10),
        lambda peer: peer.request(1, 10),
        lambda peer: peer.send(1, 10),
        lambda peer: peer.wait(None),
    ]
    for call in calls:
        peer = Peer(name)
        start = time.monotonic()
        with closed_soon(peer), pytest.raises(gsm.ClosedError):
            call(peer)
        assert time.monotonic() - start < 1


def test_a_partner_is_killed_and_starts_again(name: str, start: Callable[..., Program]) -> None:
    with Peer(name) as peer:
        for _ in range(3):
            program = start(ECHO, name)
            peer.wait_connected(10)
            assert peer.request("hello", 10) == ["echo", "hello"]
            threading.Timer(0.1, program.process.kill).start()
            began = time.monotonic()
            with pytest.raises(gsm.ConnectionError):
                peer.receive(10)
            assert time.monotonic() - began < 1
            assert peer.get_status() is Status.WAITING
            program.kill()


def test_what_a_dead_partner_has_sent_is_received(name: str, start: Callable[..., Program]) -> None:
    source = """if True:
        import os, sys, godot_shared_memory as gsm
        peer = gsm.Peer(sys.argv[1])
        peer.wait_connected(10)
        peer.send("last")
        os.kill(os.getpid(), 9)
    """
    with Peer(name) as peer:
        program = start(source, name)
        assert peer.receive(10) == "last"
        with pytest.raises(gsm.ConnectionError):
            peer.receive(10)
        program.kill()
        assert eventually(lambda: peer.get_status() is Status.WAITING)


def test_iteration_ends_with_the_partner(name: str) -> None:
    one, other = Peer(name), Peer(name)
    one.wait_connected(5)
    other.wait_connected(5)
    for number in range(3):
        other.send(number)
    other.close()
    assert list(one) == [0, 1, 2]
    one.close()


def test_one_request_at_a_time(name: str) -> None:
    with Peer(name) as one, Peer(name) as other:
        one.wait_connected(5)
        failures: list[Exception] = []

        def ask() -> None:
            try:
                one.request("slow", 5)
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        assert other.receive(5) == "slow"
        with pytest.raises(gsm.BusyError):
            one.request("other", 1)
        other.send("answer")
        thread.join()
        assert not failures
