"""`Stream`: the newest value."""

from __future__ import annotations

import gc
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

import godot_shared_memory as gsm
import numpy
import pytest
from conftest import Program, closed_soon, eventually, linux, not_windows, processor_time
from godot_shared_memory import OwnerState, SharedMemory, Stream

WRITER = """if True:
    import sys, godot_shared_memory as gsm
    with gsm.Stream.create(sys.argv[1], 4096) as stream:
        stream.write("first")
        print("ready")
        for line in sys.stdin:
            stream.write(line.strip())
"""


def test_a_reader_gets_the_newest_value(name: str) -> None:
    with Stream.create(name, 1024) as writer, Stream.open(name) as reader:
        assert reader.read() is None
        assert not reader.has_new_data()
        assert reader.get_age() is None
        assert reader.get_message_size() is None
        assert reader.get_message_shape() is None
        assert reader.get_writer_state() is OwnerState.UNKNOWN
        writer.write("one")
        assert reader.has_new_data()
        assert reader.read() == "one"
        assert not reader.has_new_data()
        assert reader.read() == "one"
        for number in range(5):
            writer.write(number)
        assert reader.read() == 4
        assert reader.get_missed_count() == 4
        assert reader.get_writer_state() is OwnerState.ALIVE
        age = reader.get_age()
        assert age is not None
        assert 0 <= age < 10
        assert reader.get_capacity() == 1024
        assert reader.get_message_shape() == ()
        sequence = reader.get_sequence()
        writer.write(b"x" * 1024)
        assert len(reader.read() or b"") == 1024
        assert reader.get_sequence() == sequence + 1
        assert reader.get_message_size() == 1024


def test_wrong_arguments_are_named(name: str) -> None:
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: Stream.create(name, 0), "max_message_size"),
        (lambda: Stream.create(name, 1 << 50), "max_message_size"),
        (lambda: Stream.create(name, 64, 65), "readers"),
        (lambda: Stream.create(name, 64, scope=7), "scope"),
        (lambda: Stream.create("a/b", 64), "a/b"),
        (lambda: Stream.open(""), "name"),
    ]
    for call, text in calls:
        with pytest.raises(gsm.ArgumentError, match=text):
            call()
    with Stream.create(name, 64) as stream:
        for wait, text in ((-1.0, "timeout"), (float("nan"), "timeout")):
            with pytest.raises(gsm.ArgumentError, match=text):
                stream.wait(wait)
        with pytest.raises(gsm.ExistsError):
            Stream.create(name, 64)


def test_a_large_message_is_read_whole(name: str) -> None:
    value = numpy.arange(1 << 20, dtype=numpy.int32)
    with Stream.create(name, value.nbytes) as writer, Stream.open(name) as reader:
        writer.write(value)
        assert numpy.array_equal(reader.read(), value)
        into = numpy.zeros_like(value)
        assert reader.read_into(into) == value.nbytes
        assert numpy.array_equal(into, value)


def test_a_message_is_read_into_a_buffer_that_is_large_enough(name: str) -> None:
    with Stream.create(name, 1024) as stream:
        buffer = bytearray(b"-" * 8)
        assert stream.read_into(buffer) is None
        stream.write(b"abc")
        assert stream.read_into(buffer) == 3
        assert buffer == b"abc-----"
        stream.write(b"x" * 9)
        with pytest.raises(gsm.ArgumentError, match="has 9 bytes.*room for 8"):
            stream.read_into(buffer)
        assert stream.has_new_data()
        with pytest.raises(TypeError):
            stream.read_into(b"constant")


@pytest.mark.parametrize(
    "value",
    [
        numpy.arange(12, dtype="f8").reshape(3, 4),
        numpy.arange(24, dtype="u1").reshape(2, 4, 3),
        b"bytes",
        "text",
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_frame_is_a_view_without_a_copy(name: str, value: Any) -> None:
    with Stream.create(name, 1024) as writer, Stream.open(name) as reader:
        with reader.frame() as nothing:
            assert nothing is None
        writer.write(value)
        with reader.frame() as view:
            if isinstance(value, numpy.ndarray):
                assert numpy.array_equal(view, value)
                assert not view.flags.writeable
            else:
                assert view.readonly
                assert bytes(view) == (value if isinstance(value, bytes) else value.encode())
            assert not reader.has_new_data()
            for number in range(10):
                writer.write([number])
            assert reader.read() == [9]
            if isinstance(value, numpy.ndarray):
                assert numpy.array_equal(view, value)
        with reader.frame() as view:
            assert bytes(view)[-4:] == bytes([9, 0, 0, 0])


def test_a_frame_outlives_its_stream(name: str) -> None:
    writer, reader = Stream.create(name, 1024), Stream.open(name)
    value = numpy.arange(5)
    writer.write(value)
    frame = reader.frame()
    view = frame.__enter__()
    reader.close()
    for number in range(10):
        writer.write(number)
    assert numpy.array_equal(view, value)
    frame.__exit__()
    with pytest.raises(gsm.ClosedError):
        frame.__enter__()
    writer.close()
    del frame, reader, writer
    gc.collect()
    # The contents may have changed by then, but the memory is there.
    assert view.shape == (5,)
    view.sum()


def test_a_frame_is_used_once_at_a_time(name: str) -> None:
    with Stream.create(name, 1024) as stream:
        stream.write(numpy.arange(3))
        frame = stream.frame()
        with frame, pytest.raises(RuntimeError, match="in use"):
            frame.__enter__()
        # Another frame of the same object gets a copy.
        with frame as one, stream.frame() as other:
            assert numpy.array_equal(one, other)
        with pytest.raises(gsm.InUseError, match="frame"), frame:
            stream.reset()


def test_without_a_pin_a_frame_is_a_copy(name: str) -> None:
    with Stream.create(name, 1024, 0) as writer, Stream.open(name) as reader:
        writer.write(numpy.arange(3))
        with reader.frame() as view:
            writer.write(numpy.zeros(3))
            writer.write(numpy.zeros(3))
            assert view.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((4, 6, 3), None),
        ((4, 6, 4), "uint8"),
        ((5,), "uint8"),
        (7, numpy.uint8),
        ((3, 4), "float32"),
        ((2, 3, 4, 5), numpy.float64),
        ((6,), numpy.dtype("int32")),
        ((6, 1), "int64"),
    ],
)
def test_a_draft_is_drawn_in_the_memory(name: str, shape: Any, dtype: Any) -> None:
    with Stream.create(name, 4096) as writer, Stream.open(name) as reader:
        with writer.begin(shape, dtype) as view:
            array = numpy.asarray(view)
            array[...] = numpy.arange(array.size).reshape(array.shape)
            assert not reader.has_new_data()
            with pytest.raises(gsm.InUseError, match="draft"):
                writer.write("other")
            with pytest.raises(gsm.InUseError, match="draft"), writer.begin(1):
                pass
        got = reader.read()
        if isinstance(got, bytes):
            assert got == bytes(range(len(got)))
        else:
            assert (got.dtype, got.shape) == (array.dtype, array.shape)
            assert numpy.array_equal(got.ravel(), numpy.arange(array.size))
        writer.write("after")
        assert reader.read() == "after"


def test_an_exception_discards_a_draft(name: str) -> None:
    with Stream.create(name, 4096) as stream:
        stream.write("before")
        with pytest.raises(ZeroDivisionError), stream.begin((2, 2, 3)) as view:
            view[:] = 1 // 0
        assert stream.read() == "before"
        stream.write("after")
        assert stream.read() == "after"


def test_a_published_draft_refuses_stores(name: str) -> None:
    with Stream.create(name, 4096) as stream:
        with stream.begin((2, 2, 3)) as view:
            view[:] = 5
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0, 0] = 6
        with stream.begin(4) as raw:
            raw[0] = 1
        with pytest.raises(ValueError, match="released"):
            raw[0] = 2


def test_a_draft_that_fits_no_message_is_refused(name: str) -> None:
    with Stream.create(name, 64) as stream:
        for shape, dtype, error in (
            ((65,), "uint8", gsm.ArgumentError),
            ((2, 2), "uint8", gsm.ArgumentError),
            ((0, 2, 3), "uint8", gsm.ArgumentError),
            ((2, 2, 5), "uint8", gsm.ArgumentError),
            ((2,), "float16", TypeError),
            ((1, 1, 1, 1, 1), "int32", TypeError),
            ("x", "int32", TypeError),
        ):
            with pytest.raises(error), stream.begin(shape, dtype):  # type: ignore[arg-type]
                pass
        stream.write("still works")


def test_close_during_a_draft_keeps_the_role_until_it_ends(name: str) -> None:
    memory = SharedMemory.create(name, 65536)
    one, other = Stream.attach(memory, 1024), Stream.attach(memory)
    with pytest.raises(gsm.ClosedError), one.begin(10) as view:
        one.close()
        with pytest.raises(gsm.InUseError):
            other.write("x")
        view[0] = 1
    assert other.read() is None
    other.write("x")
    assert other.read() == "x"
    other.close()
    memory.close()


def test_a_wait_sleeps_until_there_is_a_message(name: str) -> None:
    with Stream.create(name, 1024) as writer, Stream.open(name) as reader:
        before, start = processor_time(), time.monotonic()
        with pytest.raises(TimeoutError):
            reader.wait(0.5)
        assert 0.5 <= time.monotonic() - start < 1
        assert processor_time() - before < 0.1
        with pytest.raises(gsm.TimeoutError):
            reader.wait(0)
        thread = threading.Timer(0.1, lambda: writer.write(1))
        thread.start()
        reader.wait(None)
        assert reader.read() == 1
        thread.join()


def test_other_threads_go_on_during_a_wait(name: str) -> None:
    with Stream.create(name, 1024) as stream:
        counted = 0
        thread = threading.Thread(target=lambda: pytest.raises(gsm.ClosedError, stream.wait, 10))
        thread.start()
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            counted += 1
        assert counted > 1000
        stream.close()
        thread.join(1)
        assert not thread.is_alive()


def test_iteration_ends_with_the_writer_of_attached_memory(name: str, start: Callable[..., Program]) -> None:
    program = start(WRITER, name)
    assert program.line() == "ready"
    with SharedMemory.open(name) as memory, Stream.attach(memory, readers=0) as reader:
        messages = iter(reader)
        assert next(messages) == "first"
        program.tell("second")
        assert next(messages) == "second"
        assert program.process.stdin is not None
        program.process.stdin.close()
        assert list(messages) == []


def test_iteration_goes_on_where_the_name_leads(name: str) -> None:
    with Stream.open(name) as reader:
        messages = iter(reader)
        for number in range(3):
            with Stream.create(name, 64) as writer:
                thread = threading.Timer(0.05, writer.write, [number])
                thread.start()
                assert next(messages) == number
                thread.join()
        with closed_soon(reader):
            assert list(messages) == []


@not_windows
def test_a_stream_follows_its_name(name: str, start: Callable[..., Program]) -> None:
    with Stream.open(name) as reader:
        assert not reader.is_attached()
        with pytest.raises(gsm.UnavailableError, match=name):
            reader.read()
        for size in (100, 2000):
            thread = threading.Timer(0.2, lambda: None)
            thread.start()
            with Stream.create(name, size) as writer:
                writer.write(size)
                reader.wait(5)
                assert reader.read() == size
                assert reader.get_capacity() == size
            thread.join()
            assert eventually(lambda: not reader.is_attached())
        program = start(WRITER, name)
        reader.wait(10)
        assert reader.read() == "first"
        program.kill()
        # Its pin keeps the memory in use.
        with pytest.raises(gsm.ConnectionError):
            reader.wait(0.2)
        with pytest.raises(gsm.TimeoutError):
            reader.wait(0.2)
        program = start(WRITER, name)
        assert program.line() == "ready"
        assert eventually(lambda: reader.has_new_data() and reader.read() == "first")
        program.kill()
    with Stream.create(name, 10):
        pass


def test_a_killed_writer_is_noticed_in_a_wait(name: str, start: Callable[..., Program]) -> None:
    program = start(WRITER, name)
    program.line()
    with SharedMemory.open(name) as memory, Stream.attach(memory, readers=0) as reader:
        assert reader.read() == "first"
        began = time.monotonic()
        threading.Timer(0.2, program.process.kill).start()
        with pytest.raises(gsm.ConnectionError, match="writer has ended"):
            reader.wait(10)
        assert time.monotonic() - began < 1
        assert reader.get_writer_state() is OwnerState.DEAD
    with Stream.create(name, 10):
        pass


def test_attached_streams_share_memory_of_the_program(name: str) -> None:
    with SharedMemory.create(name, 65536) as memory:
        writer, reader = Stream.attach(memory), Stream.attach(memory)
        writer.write([1])
        assert reader.read() == [1]
        with pytest.raises(gsm.InUseError, match="writer"):
            reader.write(2)
        writer.close()
        reader.write(3)
        assert reader.read() == 3
        assert reader.get_memory().get_name() == name
        reader.reset()
        assert reader.read() is None
    with pytest.raises(gsm.ClosedError):
        reader.read()
    reader.close()
    with pytest.raises(gsm.ClosedError):
        reader.read()
    assert (reader.is_closed(), reader.is_attached()) == (True, False)


@linux
def test_a_truncation_is_an_error(name: str) -> None:
    with Stream.create(name, 100_000) as writer, Stream.open(name) as reader:
        writer.write(bytes(100_000))
        with (pathlib.Path("/dev/shm") / name).open("r+b") as file:
            file.truncate(8192)
        with pytest.raises(gsm.LostError):
            writer.write(bytes(100_000))
        with pytest.raises((gsm.LostError, gsm.UnavailableError)):
            reader.read()


@linux
def test_truncated_memory_is_let_go_and_found_again(name: str) -> None:
    path = pathlib.Path("/dev/shm") / name
    with Stream.create(name, 100_000) as writer, Stream.open(name) as reader:
        writer.write("x")
        assert reader.read() == "x"
        with path.open("r+b") as file:
            content = file.read()
            file.truncate(100)
            time.sleep(0.02)
            with pytest.raises(gsm.LostError):
                reader.read()
            with pytest.raises(gsm.UnavailableError, match=name):
                reader.read()
            file.seek(0)
            file.write(content)
        assert eventually(reader.is_attached)
        assert reader.read() == "x"


def test_memory_that_the_program_closes_is_opened_again(name: str) -> None:
    with Stream.create(name, 64) as writer, Stream.open(name) as reader:
        writer.write("x")
        reader.get_memory().close()
        assert reader.read() == "x"
        reader.get_memory().close()
        assert reader.is_attached()


def test_many_threads_share_an_object(name: str) -> None:
    count = 200
    with Stream.create(name, 4096) as writer, Stream.open(name) as reader:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for index in range(count):
                    writer.write([number, index] * 20)
                    got = reader.read()
                    assert got == got[:2] * 20
                    with reader.frame() as view:
                        assert view is not None
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert reader.get_missed_count() <= 6 * count
