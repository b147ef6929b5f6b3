"""`python -m godot_shared_memory`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import godot_shared_memory as gsm
import pytest
from conftest import Program, not_windows
from godot_shared_memory import Mutex, Queue, SharedMemory, Stream
from godot_shared_memory.__main__ import main

WATCHER = """if True:
    import sys
    from godot_shared_memory.__main__ import main
    print("ready")
    sys.exit(main(["watch", sys.argv[1], *sys.argv[2:]]))
"""


@not_windows
def test_list_names_each_kind(make_name: Callable[[], str], capsys: pytest.CaptureFixture[str]) -> None:
    names = [make_name() for _ in range(4)]
    with (
        SharedMemory.create(names[0], 4096),
        Stream.create(names[1], 64) as stream,
        Queue.create(names[2], 64),
        Mutex(names[3]) as mutex,
    ):
        stream.write("x")
        assert main(["list"]) == 0
        rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
        assert rows["NAME"][:4] == ["NAME", "SIZE", "LAYOUT", "OWNER"]
        assert rows[names[0]][1:4] == ["4096", "-", "alive"]
        assert rows[names[1]][2:] == ["stream", "alive", "local", "1", *rows[names[1]][6:]]
        assert rows[names[2]][2] == "queue"
        assert rows[names[3]][2] == "mutex"
    mutex.close()


@not_windows
def test_show_tells_the_owner_and_the_bytes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with SharedMemory.create(name, 100) as memory:
        memory.write(b"hello")
        assert main(["show", name]) == 0
    out = capsys.readouterr().out
    assert "100 bytes" in out
    assert "alive" in out
    assert "00000000  68 65 6c 6c 6f 00" in out
    assert "|hello" in out or "hello..." in out
    assert "00000060" in out


def test_show_tells_the_rate(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Stream.create(name, 100) as stream:
        stream.write(1)
        assert main(["show", name]) == 0
    out = capsys.readouterr().out
    assert "stream (latest)" in out
    assert "0.0 messages per second" in out


def test_watch_prints_messages_as_they_come(name: str, start: Callable[..., Program]) -> None:
    with Stream.create(name, 65536, 0) as stream:
        stream.write("before")
        program = start(WATCHER, name)
        assert program.line() == "ready"
        assert program.line().endswith(": 'before'")
        for value in ({"a": 1}, "\x1b[31m", list(range(1000))):
            stream.write(value)
            line = program.line()
            assert "\x1b" not in line
            assert len(line) < 300
        stream.close()
        assert "ended" in program.line()
        assert program.finish()[0] == 0


def test_watch_counts_the_messages_of_a_queue_and_takes_none(
    name: str, start: Callable[..., Program]
) -> None:
    with Queue.create(name, 4096) as queue:
        program = start(WATCHER, name, "--seconds", "2")
        assert program.line() == "ready"
        assert program.line().startswith("0 messages")
        queue.enqueue(1)
        assert program.line().startswith("1 messages")
        assert program.finish()[0] == 0
        assert queue.dequeue() == 1


@not_windows
def test_remove_removes_a_name(name: str) -> None:
    SharedMemory.create(name, 64, persistent=True).close()
    assert main(["remove", name]) == 0
    assert not SharedMemory.exists(name)


@pytest.mark.parametrize("command", ["show", "watch", "remove"])
def test_what_is_not_there_is_an_error(command: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, name]) == 1
    assert name in capsys.readouterr().err


def start_module(*arguments: str, output: int) -> subprocess.Popen[str]:
    """Starts a command with this as its output."""
    command = [sys.executable, "-m", "godot_shared_memory", *arguments]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True)


def assert_ends_quietly(program: subprocess.Popen[str]) -> None:
    """Checks that a command says nothing about an output that nobody reads."""
    try:
        _, error = program.communicate(timeout=60)
        assert (program.returncode, error) == (128 + signal.SIGPIPE, "")
    finally:
        program.kill()


@not_windows
@pytest.mark.parametrize("command", ["list", "show", "watch"])
def test_it_ends_quietly_if_nobody_reads_its_output(command: str, name: str) -> None:
    with Stream.create(name, 64) as stream:
        stream.write("x")
        reader, writer = os.pipe()
        os.close(reader)
        try:
            program = start_module(command, *([] if command == "list" else [name]), output=writer)
        finally:
            os.close(writer)
        assert_ends_quietly(program)


@not_windows
def test_watch_ends_quietly_if_its_reader_ends(name: str) -> None:
    with Stream.create(name, 64) as stream:
        stream.write("first")
        program = start_module("watch", name, output=subprocess.PIPE)
        try:
            assert program.stdout is not None
            assert program.stdout.readline().endswith(": 'first'\n")
            program.stdout.close()
            program.stdout = None
            stream.write("second")
        except BaseException:
            program.kill()
            raise
        assert_ends_quietly(program)


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "godot_shared_memory", "list"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert done.stdout.startswith("NAME")
    assert gsm.__version__
