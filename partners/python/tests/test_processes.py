"""Signals, threads, forks, and the end of the interpreter."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import godot_shared_memory as gsm
import numpy
import pytest
from conftest import Program, eventually, linux
from godot_shared_memory import Mutex, OwnerState, Peer, Queue, SharedMemory, Stream

pytestmark = linux

WAITS = {
    "word": "gsm.SharedMemory.create(name, 64).wait_u32(0, 0, 30)",
    "stream": "gsm.Stream.create(name, 64).wait(30)",
    "absent": "gsm.Stream.open(name).wait(30)",
    "iteration": "next(gsm.Stream.create(name, 64))",
    "queue": "gsm.Queue.create(name, 64).dequeue(30)",
    "absent queue": "gsm.Queue.open(name).dequeue(None)",
    "connected": "gsm.Peer(name).wait_connected(30)",
    "receive": "gsm.Peer(name).receive(30)",
    "send": "gsm.Peer(name).send(1, 30)",
    "request": "gsm.Peer(name).request(1, 30)",
    "mutex": "keep = gsm.Mutex(name); keep.lock(0); gsm.Mutex(name).lock(30)",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_each_wait_notices_an_interrupt(name: str, start: Callable[..., Program], wait: str) -> None:
    source = f"""if True:
        import signal, sys, threading, time, godot_shared_memory as gsm
        signal.signal(signal.SIGINT, signal.default_int_handler)
        name = sys.argv[1]
        print("ready")
        try:
            {wait}
        except KeyboardInterrupt:
            print(time.monotonic())
    """
    program = start(source, name)
    assert program.line() == "ready"
    time.sleep(0.3)
    sent = time.monotonic()
    program.process.send_signal(signal.SIGINT)
    noticed = float(program.line()) - sent
    code, _, err = program.finish()
    assert code == 0, err
    # 40 ms of a sleep, and the time that a busy machine takes.
    assert noticed < 0.25


def test_the_usual_wait_notices_an_interrupt_within_50_milliseconds(
    name: str, start: Callable[..., Program]
) -> None:
    source = """if True:
        import signal, sys, time, godot_shared_memory as gsm
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stream = gsm.Stream.create(sys.argv[1], 64)
        print("ready")
        for _ in range(15):
            try:
                stream.wait(30)
            except KeyboardInterrupt:
                print(time.monotonic())
    """
    program = start(source, name)
    program.line()
    times = []
    for _ in range(15):
        time.sleep(0.15)
        sent = time.monotonic()
        program.process.send_signal(signal.SIGINT)
        times.append(float(program.line()) - sent)
    assert sorted(times)[7] < 0.05, times
    assert program.finish()[0] == 0


def test_a_handler_that_returns_lets_a_wait_go_on(name: str) -> None:
    calls: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: calls.append(number))
    try:
        with Stream.create(name, 64) as stream:
            threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR1]).start()
            threading.Timer(0.3, stream.write, ["x"]).start()
            stream.wait(10)
        assert calls == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


def in_child(work: Callable[[], object]) -> None:
    """Runs something in a child of a fork, which must end well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_objects_are_closed_in_a_child(make_name: Callable[[], str]) -> None:
    names = [make_name() for _ in range(5)]
    memory = SharedMemory.create(names[0], 4096)
    stream, queue = Stream.create(names[1], 64), Queue.create(names[2], 4096)
    peer, mutex = Peer(names[3]), Mutex(names[4])
    mutex.lock(0)
    stream.write(1)
    view = memoryview(memory)

    def work() -> None:
        calls: list[Callable[[], object]] = [
            memory.read,
            lambda: stream.write(2),
            stream.read,
            lambda: stream.wait(1),
            lambda: queue.enqueue(1),
            lambda: queue.dequeue(1),
            lambda: peer.receive(1),
            mutex.unlock,
            mutex.__enter__,
            stream.__enter__,
        ]
        for call in calls:
            with pytest.raises(gsm.ClosedError):
                call()
        assert (stream.is_closed(), queue.is_closed(), peer.is_closed(), mutex.is_closed()) == (True,) * 4
        assert not memory.is_open()
        # The mapping is still there, and nothing of the parent is taken away.
        view[0] = 7
        for value in (memory, stream, queue, peer, mutex):
            value.close()
        with Stream.open(names[1]) as own:
            assert own.read() == 1

    in_child(work)
    assert view[0] == 7
    assert memory.is_current()
    assert mutex.is_locked()
    stream.write(3)
    assert stream.read() == 3
    queue.enqueue(1)
    assert queue.dequeue() == 1
    view.release()
    for value in (memory, stream, queue, peer, mutex):
        value.close()


def test_the_end_of_a_child_takes_nothing_away(name: str, run: Callable[..., str]) -> None:
    source = """if True:
        import os, sys, godot_shared_memory as gsm
        stream, mutex = gsm.Stream.create(sys.argv[1], 64), gsm.Mutex(sys.argv[1] + "_lock")
        mutex.lock(0)
        stream.write("x")
        child = os.fork()
        if child == 0:
            sys.exit(0)  # With all that Python does at its end.
        assert os.waitpid(child, 0)[1] == 0
        assert stream.read() == "x"
        assert gsm.SharedMemory.exists(sys.argv[1])
        assert not gsm.Mutex(sys.argv[1] + "_lock").try_lock()
    """
    run(source, name)
    assert not SharedMemory.exists(name + "_lock")


def test_a_child_does_not_keep_the_locks_of_a_dead_parent(name: str, start: Callable[..., Program]) -> None:
    source = """if True:
        import os, sys, time, godot_shared_memory as gsm
        stream, mutex = gsm.Stream.create(sys.argv[1], 64), gsm.Mutex(sys.argv[1] + "_lock")
        mutex.lock(0)
        stream.write("x")
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        print(child)
        time.sleep(60)
    """
    program = start(source, name)
    child = int(program.line())
    try:
        program.process.kill()
        program.process.wait()
        assert eventually(
            lambda: (gsm.get_info(name) or {"owner_state": 0})["owner_state"] == OwnerState.DEAD
        )
        mutex = Mutex(name + "_lock")
        mutex.lock(5)
        assert mutex.was_abandoned()
        mutex.unlock()
        mutex.close()
        with Stream.create(name, 64) as stream:
            assert stream.read() is None
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_makes_objects_of_its_own(make_name: Callable[[], str]) -> None:
    name, other = make_name(), make_name()
    with Queue.create(name, 4096, 2) as queue:

        def work() -> None:
            with Queue.open(name) as own, Stream.create(other, 64) as stream:
                stream.write(1)
                own.enqueue("from the child")

        in_child(work)
        assert queue.dequeue(5) == "from the child"


def test_forks_while_threads_use_everything(make_name: Callable[[], str]) -> None:
    names = [make_name() for _ in range(3)]
    stop = threading.Event()
    stream, queue = Stream.create(names[0], 4096), Queue.create(names[1], 4096)

    def work() -> None:
        while not stop.is_set():
            stream.write(b"x" * 4096)
            stream.read()
            queue.enqueue(1)
            queue.dequeue()
            with SharedMemory.create(names[2], 4096) as memory:
                memory.fill(1)

    thread = threading.Thread(target=work)
    thread.start()
    own = make_name()

    def child() -> None:
        with Stream.create(own, 64) as mine:
            mine.write(1)
            assert mine.read() == 1
        with pytest.raises(gsm.ClosedError):
            stream.read()

    for _ in range(100):
        in_child(child)
    stop.set()
    thread.join()
    stream.close()
    queue.close()


def send_all(name: str, count: int) -> None:
    with Queue.open(name) as queue:
        for number in range(count):
            queue.enqueue(number, 10)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_talk(name: str, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with Queue.create(name, 4096) as queue:
        process = context.Process(target=send_all, args=(name, 100))
        process.start()
        assert [queue.dequeue(30) for _ in range(100)] == list(range(100))
        process.join(30)
        assert process.exitcode == 0


def test_the_interpreter_ends_with_live_views(name: str, run: Callable[..., str]) -> None:
    source = """if True:
        import sys, numpy, godot_shared_memory as gsm
        name = sys.argv[1]
        memory = gsm.SharedMemory.create(name, 4096)
        view, array = memoryview(memory), numpy.frombuffer(memory, "u1")
        stream = gsm.Stream.create(name + "s", 4096)
        stream.write(numpy.arange(3))
        frame = stream.frame()
        kept = frame.__enter__()
        peer, mutex = gsm.Peer(name + "p"), gsm.Mutex(name + "m")
        mutex.lock(0)
        sys.modules["kept"] = [view, array, kept, frame, peer, mutex]
        print("over")
    """
    assert run(source, name) == "over\n"
    for end in ("", "s", "p", "m"):
        assert not SharedMemory.exists(name + end)


def test_the_interpreter_ends_while_threads_wait(name: str, run: Callable[..., str]) -> None:
    source = """if True:
        import sys, threading, time, godot_shared_memory as gsm
        name = sys.argv[1]
        memory, stream = gsm.SharedMemory.create(name, 64), gsm.Stream.create(name + "s", 64)
        queue, peer = gsm.Queue.create(name + "q", 64), gsm.Peer(name + "p")
        calls = [
            lambda: memory.wait_u32(0, 0, None), lambda: stream.wait(None), lambda: list(queue),
            lambda: peer.receive(None), lambda: gsm.Stream.open(name + "x").wait(None),
        ]
        def work(call):
            try:
                call()
            except gsm.Error:
                pass
        for call in calls:
            threading.Thread(target=work, args=(call,), daemon=True).start()
        time.sleep(0.2)
        print("over")
    """
    start = time.monotonic()
    assert run(source, name) == "over\n"
    assert time.monotonic() - start < 10
    for end in ("", "s", "q", "p"):
        assert not SharedMemory.exists(name + end)


def test_a_truncation_under_a_frame_does_not_end_the_program(name: str, run: Callable[..., str]) -> None:
    source = """if True:
        import os, sys, numpy, godot_shared_memory as gsm
        writer, reader = gsm.Stream.create(sys.argv[1], 1 << 20), gsm.Stream.open(sys.argv[1])
        writer.write(numpy.ones(1 << 17))
        try:
            with reader.frame() as view:
                os.truncate("/dev/shm/" + sys.argv[1], 4096)
                view.sum()
        except gsm.LostError as error:
            print("lost")
        try:
            with writer.begin((1 << 17,), "float64") as view:
                view[:] = 1
        except gsm.LostError as error:
            print("lost")
    """
    assert run(source, name) == "lost\nlost\n"


def test_descriptors_are_closed(make_name: Callable[[], str]) -> None:
    def count() -> int:
        return len(list(pathlib.Path("/proc/self/fd").iterdir()))

    def use() -> None:
        name = make_name()
        with Stream.create(name, 64) as writer, Stream.open(name) as reader:
            writer.write(numpy.arange(2))
            with reader.frame():
                pass
        with Peer(make_name()), Mutex(make_name()) as mutex:
            pass
        mutex.close()

    use()
    before = count()
    for _ in range(20):
        use()
    assert count() == before


def test_other_children_inherit_no_descriptor(name: str) -> None:
    with Stream.create(name, 64):
        listed = subprocess.run(
            [
                sys.executable,
                "-c",
                "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in range(3, 50)"
                " if os.path.exists(f'/proc/self/fd/{n}')])",
            ],
            close_fds=False,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        assert "shm" not in listed
