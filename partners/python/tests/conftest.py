"""Fixtures of the tests. Each test leaves nothing in /dev/shm."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import godot_shared_memory as gsm
import pytest

SHM = pathlib.Path("/dev/shm")

# There, a name lasts as long as its section is open, and no call lists the names.
not_windows = pytest.mark.skipif(sys.platform == "win32", reason="names of Windows are not files")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=random.randrange(1_000_000), help="repeats random numbers")


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed {config.getoption('seed')} (--seed repeats it)"


@pytest.fixture
def chance(pytestconfig: pytest.Config) -> random.Random:
    """Returns random numbers, which the run's seed repeats."""
    return random.Random(pytestconfig.getoption("seed"))


@pytest.fixture
def make_name() -> Iterator[Callable[[], str]]:
    """Makes names that no other test uses, and fails if memory is left under one."""
    made: list[str] = []

    def make() -> str:
        made.append(gsm.generate_name("pytest"))
        return made[-1]

    yield make
    left = [name for name in made if gsm.SharedMemory.exists(name)]
    for name in left:
        with contextlib.suppress(gsm.Error):
            gsm.remove(name)
    assert not left


@pytest.fixture
def name(make_name: Callable[[], str]) -> str:
    return make_name()


class Program:
    """A process that runs some Python, and obeys by lines."""

    def __init__(self, source: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-X", "faulthandler", "-c", source, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """Returns the next line that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().rstrip("\n")
        if not line and self.process.poll() is not None and self.process.returncode != 0:
            assert self.process.stderr is not None
            raise AssertionError(self.process.stderr.read())
        return line

    def tell(self, text: str = "") -> None:
        """Sends a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def finish(self, seconds: float = 60) -> tuple[int, str, str]:
        """Waits for its end, and returns the exit code and what else it has printed."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def kill(self) -> None:
        """Kills it if it lives, and waits for its end."""
        self.process.kill()
        self.process.wait(60)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    """Starts programs, which are killed at the end of the test."""
    started: list[Program] = []

    def begin(source: str, *arguments: str) -> Program:
        started.append(Program(source, *arguments))
        return started[-1]

    yield begin
    for program in started:
        program.kill()


@pytest.fixture
def run(start: Callable[..., Program]) -> Callable[..., str]:
    """Runs a program that must end well, and returns its output."""

    def whole(source: str, *arguments: str, seconds: float = 60) -> str:
        code, out, err = start(source, *arguments).finish(seconds)
        assert code == 0, err
        return out

    return whole


class Closable(Protocol):
    """An object that can be closed."""

    def close(self) -> None: ...


@contextlib.contextmanager
def closed_soon(value: Closable) -> Iterator[None]:
    """Closes an object in another thread, and waits until that has ended, too."""
    timer = threading.Timer(0.1, value.close)
    timer.start()
    yield
    timer.join()


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Returns whether a condition becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return condition()


def processor_time() -> float:
    """Returns the processor time of this process, in seconds."""
    times = os.times()
    return times.user + times.system
