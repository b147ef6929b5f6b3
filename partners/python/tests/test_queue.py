"""`Queue`: every message, in order."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import godot_shared_memory as gsm
import numpy
import pytest
from conftest import Program, closed_soon, eventually, not_windows, processor_time
from godot_shared_memory import Queue, SharedMemory

PRODUCER = """if True:
    import sys, godot_shared_memory as gsm
    with gsm.Queue.open(sys.argv[1]) as queue:
        for number in range(int(sys.argv[2]), int(sys.argv[3])):
            queue.enqueue([number] * (number % 50), 30)
"""


def test_messages_come_out_in_order(name: str) -> None:
    with Queue.create(name, 4096) as consumer, Queue.open(name) as producer:
        assert consumer.dequeue() is None
        assert consumer.peek() is None
        assert consumer.is_empty()
        for number in range(5):
            producer.enqueue(number)
        assert producer.get_message_count() == 5
        assert producer.get_byte_count() > 0
        assert producer.get_byte_capacity() == 4096
        assert consumer.peek() == 0
        assert consumer.dequeue() == 0
        assert consumer.dequeue_all() == [1, 2, 3, 4]
        assert consumer.dequeue_all() == []
        producer.enqueue({"a": numpy.arange(3)})
        assert consumer.dequeue(1)["a"].tolist() == [0, 1, 2]
        producer.enqueue("x")
        consumer.clear()
        assert consumer.is_empty()


def test_a_full_queue_waits_for_room(name: str) -> None:
    with Queue.create(name, 256) as consumer, Queue.open(name) as producer:
        size = producer.get_max_message_size()
        producer.enqueue(bytes(size))
        producer.enqueue(bytes(size))
        with pytest.raises(gsm.BusyError, match="full"):
            producer.enqueue(bytes(size))
        start = time.monotonic()
        with pytest.raises(gsm.TimeoutError, match="room"):
            producer.enqueue(bytearray(size), 0.2)
        assert time.monotonic() - start >= 0.2
        with pytest.raises(gsm.ArgumentError, match="value"):
            producer.enqueue(bytes(size + 1))
        threading.Timer(0.1, consumer.dequeue).start()
        producer.enqueue(numpy.frombuffer(b"x" * size, numpy.uint8), 10)
        assert consumer.dequeue_all() == [bytes(size), b"x" * size]


def test_an_empty_queue_waits_for_a_message(name: str) -> None:
    with Queue.create(name, 4096) as consumer, Queue.open(name) as producer:
        before, start = processor_time(), time.monotonic()
        with pytest.raises(TimeoutError):
            consumer.dequeue(0.5)
        assert 0.5 <= time.monotonic() - start < 1
        assert processor_time() - before < 0.1
        threading.Timer(0.1, producer.enqueue, ["late"]).start()
        assert consumer.dequeue(10) == "late"
        threading.Timer(0.1, producer.enqueue, ["later"]).start()
        consumer.wait(None)
        assert consumer.dequeue() == "later"
        with closed_soon(consumer), pytest.raises(gsm.ClosedError):
            consumer.dequeue(10)


def test_roles_are_for_one_object_at_a_time(name: str) -> None:
    with SharedMemory.create(name, 65536) as memory:
        one, other = Queue.attach(memory, 4096, 1), Queue.attach(memory)
        one.enqueue(1)
        with pytest.raises(gsm.InUseError):
            other.enqueue(2)
        assert other.dequeue() == 1
        with pytest.raises(gsm.InUseError):
            one.dequeue()
        with pytest.raises(gsm.InUseError):
            one.reset()
        other.close()
        one.enqueue(3)
        one.reset()
        assert one.dequeue() is None
        with pytest.raises(gsm.ArgumentError, match="producer"):
            Queue.attach(memory, 0, 65)
        with pytest.raises(gsm.ArgumentError):
            Queue.attach(memory, 1 << 20)


def test_large_messages_pass(name: str) -> None:
    with Queue.create(name, 1 << 22) as consumer, Queue.open(name) as producer:
        value = numpy.arange(100_000)
        for _ in range(5):
            producer.enqueue(value)
            assert numpy.array_equal(consumer.dequeue(), value)


def test_producers_are_killed_and_no_message_is_torn(
    name: str, start: Callable[..., Program], chance: random.Random
) -> None:
    with Queue.create(name, 1 << 14, 4) as consumer:
        programs = [start(PRODUCER, name, "0", "1000000") for _ in range(4)]
        received = 0
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for message in consumer.dequeue_all():
                assert message == [message[0]] * (message[0] % 50) if message else True
                received += 1
            if chance.random() < 0.05:
                index = chance.randrange(4)
                programs[index].kill()
                programs[index] = start(PRODUCER, name, "0", "1000000")
            time.sleep(0.005)
        assert received > 100
        for program in programs:
            program.kill()


def test_iteration_takes_each_message_of_each_producer(name: str, start: Callable[..., Program]) -> None:
    with Queue.create(name, 4096, 2) as consumer:
        programs = [start(PRODUCER, name, "1", "50"), start(PRODUCER, name, "51", "100")]
        received = [next(consumer) for _ in range(98)]
        assert sorted(len(message) for message in received) == sorted(2 * list(range(1, 50)))
        for program in programs:
            assert program.finish()[0] == 0


def test_a_producer_may_be_first(name: str) -> None:
    with Queue.open(name) as producer:
        with pytest.raises(gsm.UnavailableError):
            producer.enqueue(1)
        made: list[Queue] = []
        thread = threading.Timer(0.2, lambda: made.append(Queue.create(name, 4096)))
        thread.start()
        producer.enqueue("early", 10)
        thread.join()
        assert made[0].dequeue(1) == "early"
        made[0].close()


# There, a name leads to its memory as long as one side has that open.
@not_windows
def test_a_wait_to_send_goes_on_where_the_name_leads(name: str) -> None:
    with Queue.create(name, 4096) as consumer:
        producer = Queue.open(name)
        consumer.enqueue("left")
    time.sleep(0.15)
    with producer:
        with pytest.raises(gsm.UnavailableError, match="leads elsewhere"):
            producer.enqueue("x")
        made: list[Queue] = []
        thread = threading.Timer(0.1, lambda: made.append(Queue.create(name, 4096)))
        thread.start()
        producer.enqueue("x", 10)
        thread.join()
        assert made[0].dequeue() == "x"
        made[0].close()


def test_a_wait_that_is_over_when_the_memory_moves_is_no_end(name: str) -> None:
    with Queue.open(name) as consumer:
        for _ in range(30):
            with Queue.create(name, 4096), pytest.raises((gsm.TimeoutError, gsm.UnavailableError)):
                consumer.wait(0.07)


def test_a_consumer_that_is_killed_is_noticed(name: str, start: Callable[..., Program]) -> None:
    with SharedMemory.create(name, 4096) as memory, Queue.attach(memory, 256) as producer:
        program = start(
            "import sys, godot_shared_memory as gsm\n"
            "m = gsm.SharedMemory.open(sys.argv[1])\nq = gsm.Queue.attach(m)\n"
            "print(q.dequeue(10))\ninput()",
            name,
        )
        producer.enqueue("x", 10)
        assert program.line() == "x"
        producer.enqueue(bytes(producer.get_max_message_size()))
        threading.Timer(0.2, program.process.kill).start()
        start_time = time.monotonic()
        with pytest.raises(gsm.ConnectionError, match="consumer has ended"):
            while True:
                producer.enqueue(bytes(producer.get_max_message_size()), 10)
        assert time.monotonic() - start_time < 2
    assert eventually(lambda: not SharedMemory.exists(name))
