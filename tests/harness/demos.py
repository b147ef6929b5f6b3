"""The demos, run as ./build.sh demo runs them, or one side at a time."""

import os
import queue
import subprocess
import sys
import threading

import pytest

from . import projects
from .judge import plain
from .session import REPOSITORY

DEMO = REPOSITORY / "demo"
PARTNERS = DEMO / "python"
# A Python with the package and numpy.
PACKAGE = os.environ.get("SHM_TEST_PACKAGE")

needs_package = pytest.mark.skipif(
    not PACKAGE, reason="no Python package: ./build.sh test builds it"
)


def runner(session, name, *options):
    """Returns the command that runs both sides of a demo."""
    tool = REPOSITORY / "tools/run_demo.py"
    python = ["--python", PACKAGE or sys.executable]
    return [
        sys.executable,
        "-u",
        tool,
        "--godot",
        session.godot,
        *python,
        *options,
        name,
    ]


def run_demo(session, name, *options, **environment):
    """Runs both sides in both orders; returns what they said, without their names."""
    command = runner(session, name, *options)
    environment = {**session.environment(), **environment}
    code, lines = session.run(command, 110, cwd=session.folder, env=environment)
    told = "\n".join(lines)
    assert code == 0, told
    said = [plain(line).partition("] ")[2] for line in lines]
    assert projects.errors_in(said) == [], told
    return said


def scene(session, name):
    """Returns the command for one side: the scene."""
    path = f"res://{name}/{name}.tscn"
    return [session.godot, "--headless", "--path", DEMO, path, "--", "--auto"]


def partner(script, *options, python=sys.executable):
    """Returns the command for the other side."""
    return [python, "-u", PARTNERS / script, *options]


class Side:
    """One side, whose lines are read as they come."""

    def __init__(self, session, command, **options):
        self.lines = []
        self.process = session.start(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        self._queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self.process.stdout as lines:
            for line in lines:
                self._queue.put(plain(line.rstrip()))
        self._queue.put(None)

    def read_until(self, end, seconds=30):
        """Reads up to a line that begins like this, and returns the rest of that line."""
        while True:
            try:
                line = self._queue.get(timeout=seconds)
            except queue.Empty:
                line = None
            if line is None:
                pytest.fail(f"{end!r} did not come:\n" + "\n".join(self.lines))
            self.lines.append(line)
            if line.startswith(end):
                return line[len(end) :]

    def type(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self, number):
        """Sends a signal, and returns the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self, seconds=30):
        code = self.process.wait(seconds)
        while (line := self._queue.get(timeout=seconds)) is not None:
            self.lines.append(line)
        self.process.stdin.close()
        return code


def after(lines, beginning):
    """Returns the rest of each line that has this beginning."""
    return [line[len(beginning) :] for line in lines if line.startswith(beginning)]
