"""`Mutex`: a lock that death releases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import godot_shared_memory as gsm
import pytest
from conftest import Program, closed_soon, eventually, processor_time
from godot_shared_memory import Mutex, SharedMemory

HOLDER = """if True:
    import sys, godot_shared_memory as gsm
    mutex = gsm.Mutex(sys.argv[1])
    mutex.lock(10)
    print("locked")
    input()
    mutex.unlock()
    print("unlocked")
    input()
"""

ADDER = """if True:
    import sys, godot_shared_memory as gsm
    mutex, memory = gsm.Mutex(sys.argv[1]), gsm.SharedMemory.open(sys.argv[2])
    view = memoryview(memory).cast("q")
    for _ in range(300):
        with mutex:
            view[0] = view[0] + 1
    view.release()
"""


def test_one_object_at_a_time_holds_a_lock(name: str) -> None:
    with Mutex(name) as one:
        other = Mutex(name)
        assert one.is_locked()
        assert not other.try_lock()
        with pytest.raises(gsm.BusyError, match="holds the lock"):
            other.lock(0)
        before, start = processor_time(), time.monotonic()
        with pytest.raises(gsm.TimeoutError):
            other.lock(0.5)
        assert 0.5 <= time.monotonic() - start < 1
        assert processor_time() - before < 0.2
        with pytest.raises(gsm.InUseError):
            one.lock(0)
        with pytest.raises(gsm.ClosedError, match="does not hold"):
            other.unlock()
    assert other.try_lock()
    assert not other.was_abandoned()
    other.close()
    one.close()
    assert not SharedMemory.exists(name)


def test_locks_of_other_numbers_are_others(name: str) -> None:
    one, other = Mutex(name, 0), Mutex(name, 63)
    with one, other:
        pass
    one.close()
    other.close()
    for number in (-1, 64):
        with pytest.raises(gsm.ArgumentError, match="id"):
            Mutex(name, number)


def test_a_with_block_has_a_timeout(name: str) -> None:
    one, other = Mutex(name), Mutex(name, timeout=0.1)
    with one, pytest.raises(gsm.TimeoutError), other:
        pass
    one.close()
    other.close()


def test_death_releases_a_lock(name: str, start: Callable[..., Program]) -> None:
    program = start(HOLDER, name)
    assert program.line() == "locked"
    mutex = Mutex(name)
    threading.Timer(0.2, program.process.kill).start()
    mutex.lock(10)
    assert mutex.was_abandoned()
    mutex.unlock()
    assert not mutex.was_abandoned()
    mutex.close()


def test_a_waiting_program_gets_the_lock(name: str, start: Callable[..., Program]) -> None:
    program = start(HOLDER, name)
    assert program.line() == "locked"
    mutex = Mutex(name)
    threading.Timer(0.1, program.tell).start()
    mutex.lock(10)
    assert not mutex.was_abandoned()
    assert program.line() == "unlocked"
    mutex.close()
    program.tell()
    assert program.finish()[0] == 0
    assert eventually(lambda: not SharedMemory.exists(name))


def test_close_ends_a_wait_of_another_thread(name: str) -> None:
    holder, other = Mutex(name), Mutex(name)
    with holder:
        start = time.monotonic()
        with closed_soon(other), pytest.raises(gsm.ClosedError):
            other.lock(10)
        assert time.monotonic() - start < 1
    holder.close()


def test_no_change_under_a_lock_is_lost(make_name: Callable[[], str], start: Callable[..., Program]) -> None:
    lock, name = make_name(), make_name()
    with SharedMemory.create(name, 64) as memory:
        programs = [start(ADDER, lock, name) for _ in range(4)]
        for program in programs:
            code, _, err = program.finish()
            assert code == 0, err
        assert memory.atomic_load_s64(0) == 1200


def test_memory_of_another_kind_is_left_alone(name: str) -> None:
    with SharedMemory.create(name, 64), pytest.raises(gsm.Error):
        Mutex(name)
    with SharedMemory.create(name, 65536) as memory:
        memory.fill(1)
        with pytest.raises(gsm.Error):
            Mutex(name)
        assert memory.read(0, 4) == b"\x01" * 4
