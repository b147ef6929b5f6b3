"""Messages as they are in memory, for programs that pass them on."""

from __future__ import annotations

import contextlib
import random
import struct
import time
from collections.abc import Callable
from typing import Any

import godot_shared_memory as gsm
import numpy
import pytest
from conftest import Program
from godot_shared_memory import Queue, RawMessage, Stream

ZEROS = (0, 0, 0, 0)

# A value, its tag, and its shape, by docs/FORMAT.md.
MESSAGES: list[tuple[Any, int, tuple[int, int, int, int]]] = [
    (b"", 1, ZEROS),
    (b"bytes", 1, ZEROS),
    ("text", 2, ZEROS),
    (numpy.arange(6, dtype=numpy.int32).reshape(2, 3), 0x0200_0103, (2, 3, 0, 0)),
    (numpy.zeros((0, 5)), 0x0200_0403, (0, 5, 0, 0)),
    (gsm.vectors(numpy.ones((4, 3), numpy.float32)), 0x0201_0303, (4, 3, 0, 0)),
    (gsm.colors(numpy.ones((2, 4), numpy.float32)), 0x0202_0303, (2, 4, 0, 0)),
    (numpy.ones((2, 5, 3), numpy.uint8), 4, (5, 2, 4, 15)),
    (gsm.image(numpy.ones((2, 5, 3), numpy.uint8), "BGR8"), 4, (5, 2, 256, 15)),
    ({"a": [1, gsm.Vector2(1, 2)]}, 5, ZEROS),
]


@pytest.mark.parametrize(("value", "tag", "shape"), MESSAGES, ids=lambda part: str(part)[:20])
def test_each_kind_passes_through_untouched(
    make_name: Callable[[], str], value: Any, tag: int, shape: tuple[int, int, int, int]
) -> None:
    with Stream.create(make_name(), 1024) as first, Stream.create(make_name(), 1024) as second:
        assert first.read_raw() is None
        first.write(value)
        message = first.read_raw()
        assert message is not None
        assert (message.tag, message.shape, message.place) == (tag, shape, None)
        assert len(message.content) == first.get_message_size()
        assert message.age is not None
        assert 0 <= message.age < 10
        second.write_raw(message)
        assert second.get_message_shape() == first.get_message_shape()
        assert repr(second.read()) == repr(first.read())
        again = second.read_raw()
        assert again is not None
        assert again[:3] == message[:3]
    with Queue.create(make_name(), 1024) as queue, Queue.create(make_name(), 1024) as other:
        assert queue.peek_raw() == []
        queue.enqueue(value)
        peeked = queue.peek_raw()
        assert [found[:4] for found in peeked] == [(*message[:3], None)]
        other.enqueue_raw(peeked[0])
        assert [found[:3] for found in other.peek_raw()] == [message[:3]]
        assert repr(other.dequeue()) == repr(queue.dequeue())


def test_an_age_is_kept(name: str) -> None:
    with Stream.create(name, 64) as stream:
        stream.write_raw(RawMessage(1, ZEROS, b"x", 0.5))
        assert 0.5 <= (stream.get_age() or 0) < 5
        stream.write_raw(RawMessage(1, ZEROS, b"x", None))
        assert stream.get_age() is None
        message = stream.read_raw()
        assert message is not None
        assert message.age is None
        # Before the clock's first time.
        stream.write_raw(RawMessage(1, ZEROS, b"x", 1e300))
        assert stream.get_age() is None
        stream.write_raw(RawMessage(1, ZEROS, b"x", 0))
        assert (stream.get_age() or 0) < 5


WRONG: list[tuple[Any, str]] = [
    (RawMessage(0, ZEROS, b""), "tag"),
    (RawMessage(6, ZEROS, b""), "tag"),
    (RawMessage(0x105, ZEROS, b""), "tag"),
    (RawMessage(-1, ZEROS, b""), "tag"),
    (RawMessage(1 << 32, ZEROS, b""), "tag"),
    (RawMessage(0x0100_0103, (2, 0, 0, 0), b"1234"), "length"),
    (RawMessage(4, (2, 2, 0, 1), b"1234"), "shape"),
    (RawMessage(4, (1 << 32, 2, 0, 1), b"1234"), "shape"),
    (RawMessage(1, (1, 2), b"1234"), "shape"),  # type: ignore[arg-type]
    (RawMessage(1, ZEROS, bytearray(4)), "content"),  # type: ignore[arg-type]
    (RawMessage(1, ZEROS, b"", -1.0), "age"),
    (RawMessage(1, ZEROS, b"", float("nan")), "age"),
    (RawMessage(1, ZEROS, bytes(65)), "65 bytes"),
    ("text", "tag"),
    (None, "tag"),
]


@pytest.mark.parametrize(("message", "what"), WRONG, ids=lambda part: str(part)[:30])
def test_a_wrong_message_is_refused(make_name: Callable[[], str], message: Any, what: str) -> None:
    with Stream.create(make_name(), 64) as stream, Queue.create(make_name(), 128) as queue:
        with pytest.raises(gsm.ArgumentError, match=rf"message.*{what}"):
            stream.write_raw(message)
        assert stream.read_raw() is None
        for timeout in (0, 1):
            with pytest.raises(gsm.ArgumentError, match=rf"message.*{what}"):
                queue.enqueue_raw(message, timeout)
        assert queue.is_empty()


def test_messages_are_taken_out_one_by_one(name: str) -> None:
    with Queue.create(name, 4096) as queue:
        for number in range(5):
            queue.enqueue(bytes([number]))
        # Each counts 65 bytes.
        assert len(queue.peek_raw(3 * 65)) == 3
        assert len(queue.peek_raw(0)) == 1
        peeked = queue.peek_raw()
        assert [message.content for message in peeked] == [bytes([number]) for number in range(5)]
        ends = [message.place[2] for message in peeked if message.place]
        assert ends == sorted(set(ends))
        assert not queue.take_out(peeked[1])
        assert queue.take_out(peeked[0])
        assert not queue.take_out(peeked[0])
        assert queue.take_out(peeked[1])
        assert queue.dequeue() == bytes([2])
        assert [message.place for message in queue.peek_raw()] == [message.place for message in peeked[3:]]
        place = peeked[3].place
        assert place is not None
        for wrong in ((place[0] + 1, *place[1:]), (place[0], 1, place[2]), (place[0], 2**32 - 1, place[2])):
            assert not queue.take_out(peeked[3]._replace(place=wrong))
        for bad in (None, (1, 2), (-1, 0, 0)):
            with pytest.raises(gsm.ArgumentError, match=r"message\.place"):
                queue.take_out(peeked[3]._replace(place=bad))  # type: ignore[arg-type]
        with pytest.raises(gsm.ArgumentError, match="max_bytes"):
            queue.peek_raw(-1)


def test_producers_take_turns_and_keep_their_order(make_name: Callable[[], str]) -> None:
    name = make_name()
    with Queue.create(name, 4096, 3) as queue:
        producers = [Queue.open(name) for _ in range(3)]
        for number in range(4):
            for index, producer in enumerate(producers):
                if number <= index + 1:
                    producer.enqueue(f"{index} {number}")
        peeked = queue.peek_raw()
        assert len(peeked) == 9
        for index in range(3):
            texts = [message.content.decode() for message in peeked if (message.place or ZEROS)[1] == index]
            assert texts == [f"{index} {number}" for number in range(index + 2)]
        # It is the order in which they come out.
        assert [message.content.decode() for message in peeked] == queue.dequeue_all()
        for producer in producers:
            producer.close()


def test_a_message_of_an_unknown_kind_has_the_tag_0(name: str) -> None:
    with Queue.create(name, 4096) as queue:
        queue.enqueue(b"first")
        queue.enqueue(b"later")
        # The tag of the first record, by docs/FORMAT.md.
        queue.get_memory().write(struct.pack("<I", 9), 512 + 4)
        unknown, later = queue.peek_raw()
        assert (unknown.tag, unknown.content, later.content) == (0, b"", b"later")
        assert queue.take_out(unknown)
        assert queue.dequeue() == b"later"


def test_only_the_consumer_looks_ahead(name: str) -> None:
    with Queue.create(name, 4096) as queue, Queue.open(name) as other:
        queue.enqueue(1)
        message = queue.peek_raw()[0]
        with pytest.raises(gsm.InUseError):
            other.peek_raw()
        with pytest.raises(gsm.InUseError):
            other.take_out(message)


def test_a_place_of_a_queue_before_a_reset_takes_nothing_out(name: str) -> None:
    with Queue.create(name, 4096) as queue:
        queue.enqueue(1)
        message = queue.peek_raw()[0]
        queue.reset()
        queue.enqueue(2)
        assert queue.peek_raw()[0].place != message.place
        assert not queue.take_out(message)
        assert queue.dequeue() == 2


def test_a_full_queue_waits_for_room(name: str) -> None:
    with Queue.create(name, 128) as queue:
        message = RawMessage(1, ZEROS, bytes(40))
        queue.enqueue_raw(message)
        queue.enqueue_raw(message)
        with pytest.raises(gsm.BusyError):
            queue.enqueue_raw(message)
        start = time.monotonic()
        with pytest.raises(gsm.TimeoutError):
            queue.enqueue_raw(message, 0.1)
        assert time.monotonic() - start >= 0.1


def test_closed_objects_and_those_without_memory_raise(name: str) -> None:
    message = RawMessage(1, ZEROS, b"", place=(1, 0, 8))
    stream, queue = Stream.open(name), Queue.open(name)
    calls: list[Callable[[], object]] = [
        stream.read_raw,
        lambda: stream.write_raw(message),
        queue.peek_raw,
        lambda: queue.take_out(message),
        lambda: queue.enqueue_raw(message),
        lambda: queue.enqueue_raw(message, 0.01),
    ]
    for call in calls:
        with pytest.raises(gsm.UnavailableError):
            call()
    stream.close()
    queue.close()
    for call in calls:
        with pytest.raises(gsm.ClosedError):
            call()


def test_bytes_of_a_peer_end_in_an_error_or_in_a_message(
    make_name: Callable[[], str], chance: random.Random
) -> None:
    failed = 0
    for _ in range(200):
        with Queue.create(make_name(), 1024, 2) as queue:
            for _ in range(chance.randrange(10)):
                queue.enqueue(chance.randbytes(chance.randrange(20)))
            for _ in range(chance.randrange(1, 4)):
                queue.get_memory().write(chance.randbytes(4), 256 + 4 * chance.randrange(2 * 1280 // 4))
            try:
                peeked = queue.peek_raw(chance.randrange(2000))
                assert sum(map(queue.take_out, peeked)) <= 11
            except gsm.DataError:
                failed += 1
    assert failed


PASS_ON = """if True:
    import sys, godot_shared_memory as gsm
    with gsm.Queue.open(sys.argv[1]) as queue, gsm.Queue.open(sys.argv[2]) as other:
        print("up", flush=True)
        while True:
            queue.wait(None)
            for message in queue.peek_raw():
                other.enqueue_raw(message, None)
                queue.take_out(message)
"""


def test_killed_between_the_two_steps_it_passes_a_message_on_again(
    make_name: Callable[[], str], start: Callable[..., Program], chance: random.Random
) -> None:
    first, second = make_name(), make_name()
    with Queue.create(first, 1 << 12) as source, Queue.create(second, 1 << 12) as sink:
        sent, got, kills = 0, [0], 0
        end = time.monotonic() + 60
        while kills < 8:
            program = start(PASS_ON, first, second)
            before, enough = got[-1], chance.randrange(1, 3000)
            while got[-1] < before + enough:
                assert time.monotonic() < end
                with contextlib.suppress(gsm.BusyError):
                    source.enqueue(sent + 1)
                    sent += 1
                got += sink.dequeue_all()
            program.kill()
            kills += 1
        program = start(PASS_ON, first, second)
        while got[-1] != sent:
            assert time.monotonic() < end
            got += sink.dequeue_all()
        program.kill()
    # Nothing is lost, and what comes twice comes at once.
    steps = [after - before for before, after in zip(got, got[1:], strict=False)]
    assert set(steps) <= {0, 1}
    assert steps.count(0) <= kills
