"""`SharedMemory`: bytes under a name, and views of them."""

from __future__ import annotations

import gc
import pathlib
import sys
import threading
import time
from collections.abc import Callable

import godot_shared_memory as gsm
import numpy
import pytest
from conftest import Program, closed_soon, eventually, linux, not_windows, processor_time
from godot_shared_memory import Backend, OwnerState, Scope, SharedMemory

BACKENDS = [Backend.NATIVE, Backend.FILE, *([Backend.SYSV, Backend.MEMFD] if sys.platform == "linux" else [])]

IMPORT = "import sys, godot_shared_memory as gsm\n"
OPENER = f"{IMPORT}memory = gsm.SharedMemory.open(sys.argv[1])\nprint(1)\ninput()"
CREATOR = f"{IMPORT}memory = gsm.SharedMemory.create(sys.argv[1], 64)\nprint(1)\ninput()"


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name.lower())
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    return found


@pytest.fixture
def place(backend: Backend, name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns a name for memory of the backend."""
    if backend is Backend.MEMFD:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return str(tmp_path / name) if backend is Backend.FILE else name


def test_written_bytes_are_read_through_another_object(backend: Backend, place: str) -> None:
    with SharedMemory.create(place, 4096, backend=backend) as ours:
        with SharedMemory.open(place, backend=backend) as theirs:
            ours.write(b"hello", 10)
            assert theirs.read(10, 5) == b"hello"
            assert len(theirs) == 4096
            assert theirs.read(4090) == bytes(6)
            ours.fill(7, 4095)
            assert theirs.read(4095) == b"\x07"
            assert (ours.is_created(), theirs.is_created()) == (True, False)
        assert SharedMemory.exists(place, backend=backend)
    assert SharedMemory.exists(place, backend=backend) == (backend is Backend.FILE)


def test_a_read_only_object_refuses_to_write(backend: Backend, place: str) -> None:
    with (
        SharedMemory.create(place, 64, backend=backend),
        SharedMemory.open_read_only(place, backend=backend) as memory,
    ):
        assert memory.is_read_only()
        assert memory.read(0, 4) == bytes(4)
        with pytest.raises(gsm.AccessError):
            memory.write(b"x")
        assert memoryview(memory).readonly
        with pytest.raises(ValueError, match="read-only"):
            numpy.frombuffer(memoryview(memory), numpy.uint8)[0] = 1


def test_either_side_may_be_first(name: str) -> None:
    with SharedMemory.open_or_create(name, 64) as one, SharedMemory.open_or_create(name, 64) as other:
        assert (one.is_created(), other.is_created()) == (True, False)


def test_the_scope_is_the_mode(name: str) -> None:
    with SharedMemory.create(name, 64, scope=Scope.GLOBAL) as memory:
        assert memory.get_scope() is Scope.GLOBAL
        assert memory.get_owner_state() is OwnerState.ALIVE


@not_windows
def test_persistent_memory_stays_until_it_is_removed(name: str) -> None:
    SharedMemory.create(name, 64, persistent=True).close()
    assert SharedMemory.exists(name)
    SharedMemory.remove(name)
    assert not SharedMemory.exists(name)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda name: SharedMemory.create("a/b", 64), gsm.ArgumentError, "a/b"),
        (lambda name: SharedMemory.create(name, 0), gsm.ArgumentError, "size"),
        (lambda name: SharedMemory.create(name, -1), gsm.ArgumentError, "size"),
        (lambda name: SharedMemory.create(name, 64, scope=2), gsm.ArgumentError, "scope"),
        (lambda name: SharedMemory.create(name, 64, backend=-1), gsm.ArgumentError, "backend"),
        (lambda name: SharedMemory.open(name), gsm.NotFoundError, "does not exist"),
        (lambda name: SharedMemory.open(name), FileNotFoundError, "does not exist"),
        (lambda name: SharedMemory.create(name, 1 << 60), gsm.OutOfMemoryError, "room"),
        (lambda name: SharedMemory.remove(name), gsm.NotFoundError, "does not exist"),
        (lambda name: SharedMemory.generate_name("x" * 20), gsm.ArgumentError, "prefix"),
    ],
)
def test_a_wrong_call_names_its_fault(
    name: str, call: Callable[[str], object], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call(name)


def test_nothing_outside_is_touched(name: str) -> None:
    with SharedMemory.create(name, 64) as memory:
        for call in (
            lambda: memory.read(0, 65),
            lambda: memory.read(-1),
            lambda: memory.read(65),
            lambda: memory.write(b"xy", 63),
            lambda: memory.fill(256),
            lambda: memory.fill(0, 60, 5),
            lambda: memory.read_into(bytearray(65)),
            lambda: memory.atomic_load_u32(2),
            lambda: memory.atomic_load_s64(64),
        ):
            with pytest.raises(gsm.ArgumentError):
                call()
        with pytest.raises(gsm.ExistsError, match="running process|a process has it open"):
            SharedMemory.create(name, 64)
        assert memory.read() == bytes(64)


def test_any_buffer_is_written_and_read_into(name: str) -> None:
    with SharedMemory.create(name, 64) as memory:
        memory.write(numpy.arange(8, dtype=numpy.int32)[::2])
        into = numpy.zeros(4, numpy.int32)
        assert memory.read_into(into) == 16
        assert into.tolist() == [0, 2, 4, 6]
        memory.write(memoryview(b"abcdef")[::2], 32)
        assert memory.read(32, 3) == b"ace"
        with pytest.raises(TypeError):
            memory.read_into(b"constant")
        with pytest.raises(TypeError):
            memory.read_into(numpy.zeros(8, numpy.int32)[::2])
        with pytest.raises(gsm.ArgumentError, match="this very memory"):
            memory.write(memoryview(memory)[:4], 2)
        with pytest.raises(gsm.ArgumentError, match="this very memory"):
            memory.read_into(memoryview(memory)[:4], 2)


def test_words_are_atomic(name: str) -> None:
    with SharedMemory.create(name, 64) as memory:
        memory.atomic_store_u32(4, 0xFFFFFFFF)
        assert memory.atomic_add_u32(4, 2) == 0xFFFFFFFF
        assert memory.atomic_add_u32(4, -1) == 1
        assert memory.atomic_exchange_u32(4, 9) == 0
        assert memory.atomic_compare_exchange_u32(4, 1, 5) == 9
        assert memory.atomic_compare_exchange_u32(4, 9, 5) == 9
        assert memory.atomic_load_u32(4) == 5
        memory.atomic_store_s64(8, -3)
        assert memory.atomic_add_s64(8, -4) == -3
        assert memory.atomic_exchange_s64(8, 1) == -7
        assert memory.atomic_compare_exchange_s64(8, 1, 2) == 1
        assert memory.atomic_load_s64(8) == 2


def test_a_wait_ends_when_the_word_changes(name: str) -> None:
    with SharedMemory.create(name, 64) as memory:
        before = processor_time()
        start = time.monotonic()
        with pytest.raises(gsm.TimeoutError) as caught:
            memory.wait_u32(0, 0, 0.5)
        assert isinstance(caught.value, TimeoutError)
        assert 0.5 <= time.monotonic() - start < 1
        assert processor_time() - before < 0.1

        def change() -> None:
            memory.atomic_store_u32(0, 1)
            memory.notify_u32(0)

        thread = threading.Timer(0.1, change)
        thread.start()
        memory.wait_u32(0, 0, 10)
        thread.join()


def test_close_ends_a_wait_of_another_thread(name: str) -> None:
    memory = SharedMemory.create(name, 64)
    start = time.monotonic()
    with closed_soon(memory), pytest.raises(gsm.ClosedError):
        memory.wait_u32(0, 0, 10)
    assert time.monotonic() - start < 1


def test_every_call_on_a_closed_object_says_so(name: str) -> None:
    memory = SharedMemory.create(name, 64)
    memory.close()
    memory.close()
    assert not memory.is_open()
    assert bool(memory)
    for call in (memory.read, memory.get_name, memory.unlink, lambda: len(memory), memory.__enter__):
        with pytest.raises(gsm.ClosedError):
            call()
    with pytest.raises(BufferError):
        memoryview(memory)
    assert repr(memory) == "<SharedMemory, closed>"


@not_windows
def test_a_view_keeps_the_memory_mapped(name: str) -> None:
    memory = SharedMemory.create(name, 4096)
    view, array = memoryview(memory), numpy.frombuffer(memoryview(memory), numpy.uint8)
    array[5] = 9
    with SharedMemory.open(name) as other:
        assert other.read(5, 1) == b"\x09"
    memory.close()
    assert not SharedMemory.exists(name)
    del memory
    gc.collect()
    array[6] = 8
    assert (view[5], view[6]) == (9, 8)
    assert (view.format, view.itemsize, view.shape) == ("B", 1, (4096,))


@linux
def test_the_mapping_goes_with_the_last_view(name: str) -> None:
    memory = SharedMemory.create(name, 4096)
    inode = str((pathlib.Path("/dev/shm") / name).stat().st_ino)

    def is_mapped() -> bool:
        lines = pathlib.Path("/proc/self/maps").read_text().splitlines()
        return any(line.split()[4] == inode and "/dev/shm" in line for line in lines)

    view = memoryview(memory)
    part = view[10:20]
    memory.close()
    view.release()
    del memory, view
    gc.collect()
    assert is_mapped()
    part.release()
    assert not is_mapped()


@linux
def test_a_truncation_under_a_view_does_not_end_the_program(name: str, start: Callable[..., Program]) -> None:
    source = """if True:
        import sys, faulthandler, godot_shared_memory as gsm
        memory = gsm.SharedMemory.open(sys.argv[1])
        faulthandler.enable()
        view = memoryview(memory)
        print("ready")
        input()
        sum(view)
        view[5000] = 1
        try:
            memory.read()
        except gsm.LostError as error:
            print(error)
        print(faulthandler.is_enabled())
    """
    path = pathlib.Path("/dev/shm") / name
    path.write_bytes(bytes(65536))
    try:
        program = start(source, name)
        assert program.line() == "ready"
        with path.open("r+b") as file:
            file.truncate(4096)
        program.tell()
        code, out, err = program.finish()
        assert code == 0, err
        assert "truncated" in out
        assert "True" in out
    finally:
        path.unlink()


@linux
def test_other_faults_still_reach_faulthandler(name: str, start: Callable[..., Program]) -> None:
    source = """if True:
        import mmap, sys, tempfile, faulthandler, godot_shared_memory as gsm
        faulthandler.enable()
        memory = gsm.SharedMemory.create(sys.argv[1], 64, persistent=False)
        view = memoryview(memory)
        memory.close()
        with tempfile.TemporaryFile() as file:
            file.truncate(4096)
            mapped = mmap.mmap(file.fileno(), 4096)
            file.truncate(0)
            mapped[0]
    """
    code, _, err = start(source, name).finish()
    assert code != 0
    assert "Bus error" in err


@not_windows
def test_what_there_is_can_be_listed(name: str) -> None:
    with SharedMemory.create(name, 4096) as memory:
        info = gsm.get_info(name)
        assert info is not None
        assert (info["size"], info["is_mine"], info["layout"]) == (4096, True, "")
        assert info["owner_state"] is OwnerState.ALIVE
        assert name in SharedMemory.list_names()
        assert any(segment["name"] == name for segment in gsm.list_segments())
        assert memory.is_current()
        memory.unlink()
        assert not memory.is_current()
    assert gsm.get_info(name) is None


@linux
def test_users_are_processes(name: str, start: Callable[..., Program]) -> None:
    import os

    with SharedMemory.create(name, 64):
        program = start(OPENER, name)
        program.line()
        assert gsm.get_users(name) == sorted([os.getpid(), program.process.pid])
        program.tell()
        assert program.finish()[0] == 0
        assert eventually(lambda: gsm.get_users(name) == [os.getpid()])


@linux
def test_a_dead_owner_is_replaced(name: str, start: Callable[..., Program]) -> None:
    program = start(CREATOR, name)
    program.line()
    program.kill()
    info = gsm.get_info(name)
    assert info is not None
    assert info["owner_state"] is OwnerState.DEAD
    with SharedMemory.create(name, 128) as memory:
        assert len(memory) == 128
