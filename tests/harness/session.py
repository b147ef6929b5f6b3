"""A run of tests: its Godot, its processes, its temporary folder, its prefix for names of segments."""

import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

PROJECT = pathlib.Path(__file__).resolve().parents[1]
REPOSITORY = PROJECT.parent
# The user ID of another user.
NOBODY = 65534
SHARED = pathlib.Path("/dev/shm")
RUNNER = "res://harness/runner.gd"
AGENT = "res://harness/agent.gd"
LIVE_AGENT = "res://harness/live_agent.gd"
SESSION = pytest.StashKey()


class Session:
    def __init__(self, godot, template, seed):
        self.godot = godot
        self.template = template
        self.seed = seed
        # Short: a name has at most 30 bytes on macOS.
        self.prefix = f"t{secrets.token_hex(3)}_"
        self._names = 0
        self._groups = {}
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="shared-memory-tests-"))
        # Some processes run as another user.
        self.folder.chmod(0o755)

    def close(self):
        for process in self._groups.values():
            kill(process)
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in self._segments():
            remove(path)

    def problem(self):
        """Returns the reason why the tests can't run, or None."""
        library = PROJECT / "addons/shared_memory/shared_memory.gdextension"
        if not library.exists():
            return "tests/addons/ has no addon: run ./build.sh first"
        if not (PROJECT / ".godot/extension_list.cfg").exists():
            return "Godot does not know of the addon in tests/: run ./build.sh first"
        return None

    def name(self, label=""):
        self._names += 1
        return f"{self.prefix}p{self._names}{label}"

    def environment(self, user=None):
        """Returns variables that give a process a home of its own, without the user's files and settings."""
        home = self.folder / self.name("home")
        home.mkdir()
        if user is not None:
            os.chown(home, user, user)
        changed = {"HOME": str(home)}
        for folder in ("DATA", "CONFIG", "CACHE"):
            changed[f"XDG_{folder}_HOME"] = str(home / folder.lower())
        return {**os.environ, **changed}

    def start(self, command, **options):
        """Starts a process in a group of its own, so that its children are killed with it."""
        if "env" not in options:
            options["env"] = self.environment()
        options.setdefault("stdin", subprocess.DEVNULL)
        options["start_new_session"] = True
        with kept_signals():
            process = Process(
                [str(part) for part in command], stderr=subprocess.STDOUT, **options
            )
            self._groups[process.pid] = process
        return process

    def run(self, command, time_limit, **options):
        """Runs a process to its end; returns its exit code (None: killed at the limit) and its lines.

        Its output goes to a file, not to a pipe, which a child that outlives it could keep open.
        """
        with tempfile.TemporaryFile(dir=self.folder) as output:
            process = self.start(command, stdout=output, **options)
            try:
                code = process.wait(time_limit)
            except subprocess.TimeoutExpired:
                kill(process)
                code = None
            output.seek(0)
            return code, output.read().decode("utf-8", "replace").splitlines()

    def leftovers(self):
        """Names the segments and processes that the tests left; ends and removes them."""
        left = []
        for path in self._segments():
            left.append(f"{path} is left")
            remove(path)
        for pid, process in list(self._groups.items()):
            if not process.is_over and is_group_alive(pid):
                left.append(f"a process is left of {' '.join(process.args)}")
            kill(process)
            del self._groups[pid]
        return left

    def _segments(self):
        # Some tests put a character before it.
        return sorted(SHARED.glob(f"*{self.prefix}*")) if SHARED.is_dir() else []


class Process(subprocess.Popen):
    """The first process of a group, whose PID names the group.

    Once the group is empty, the system gives the PID to another program, which must not be killed.
    """

    is_over = False

    def poll(self):
        return self._noted(super().poll())

    def wait(self, timeout=None):
        return self._noted(super().wait(timeout))

    def _noted(self, code):
        if code is not None and not self.is_over and sys.platform != "win32":
            try:
                os.killpg(self.pid, 0)
                # The group also has processes that are dead, and that their parents haven't waited for.
                self.is_over = not is_group_alive(self.pid)
            except ProcessLookupError:
                self.is_over = True
        return code


@contextlib.contextmanager
def kept_signals():
    """Keeps signals that would end this process until the end of the block.

    Otherwise, one that comes while a process starts would end this one, and nobody would know of the other.
    """
    if threading.current_thread() is not threading.main_thread():
        # Signals are for the main thread.
        yield
        return
    came = []
    kept = (signal.SIGINT, signal.SIGTERM)
    before = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in kept
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def kill(process):
    """Ends a process and its children."""
    if sys.platform == "win32":
        process.kill()
    elif not process.is_over:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def is_group_alive(group):
    """Returns whether any process of the group still runs; a zombie doesn't."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in brackets may hold anything; state, parent and group follow it.
            state, _parent, of, *_rest = (
                stat.read_text(errors="replace").rpartition(")")[2].split()
            )
        except (OSError, ValueError):
            continue
        if int(of) == group and state not in "ZX":
            return True
    return False


def wait_until(condition, seconds=30):
    """Waits for something that another process does."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"nothing happened within {seconds} s"
        time.sleep(0.003)


def file_of(name):
    """Returns the file that a segment is, on Linux."""
    return SHARED / name


def remove(path):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
