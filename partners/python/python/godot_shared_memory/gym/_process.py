"""The process of a game: its start, its output, and its end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from godot_shared_memory._errors import Error
from godot_shared_memory._native import Mutex, SharedMemory
from godot_shared_memory.gym._errors import GameEndedError, GameTimeoutError

# Seconds for a game to end by itself, after its program has left.
PATIENCE = 5.0
# Seconds for the first import of a project, at least. It takes seconds, but a minute on a busy machine.
IMPORT_TIME = 300.0
# Bytes of the game's output in an error.
TAIL = 4000
# Bytes of an error of a script, and of a look at the output, at most. A game may print anything.
ERROR_BYTES = 4096
LOOK_BYTES = 1 << 24
# An error of a script with its place, as in "at: observe (res://agent.gd:12)". A terminal has colours.
ERROR = b"SCRIPT ERROR:"
PLACE = re.compile(rb"\r?\n +at: ([^\n]{0,200}?) \(([^\n]{1,1000})\)\r?\n")
COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
ADDON = "addons/shared_memory"
# The end of the name of the lock that the program holds. The script of the addon has the same.
PROGRAM = "-program"


class ScriptError(NamedTuple):
    """An error of a script that the game has printed."""

    text: str
    function: str = ""
    place: str = ""

    @property
    def is_of_parser(self) -> bool:
        """True if the script could not be loaded."""
        return self.text.startswith(("Parse Error", "Compile Error"))

    def __str__(self) -> str:
        if not self.place:
            return self.text
        where = "" if self.is_of_parser else f" (in {self.function}())"
        return f"{self.place}: {self.text}{where}"


def _script_error(*parts: bytes) -> ScriptError:
    return ScriptError(*(part.decode(errors="replace").strip() for part in parts))


class Output:
    """A file with what a game prints."""

    def __init__(self) -> None:
        self.descriptor, self._path = tempfile.mkstemp(prefix="godot-gym-")
        # The game moves the position of its descriptor. This one has a position of its own.
        self._file = open(self._path, "rb", buffering=0)  # noqa: SIM115
        # Without a name, it ends with the last process. Windows keeps the name while the file is open.
        self._remove()
        self._unread = b""
        self._error: ScriptError | None = None

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def find_script_error(self) -> ScriptError | None:
        """Returns the first error of a script, or ``None``. Reads only what is new."""
        if self._error is not None or self._file.closed:
            return self._error
        text = self._unread + self._file.read(LOOK_BYTES)
        begin = text.find(ERROR)
        if begin < 0:
            # It may have been printed in part.
            self._unread = text[-len(ERROR) :]
            return None
        self._unread = text[begin : begin + ERROR_BYTES]
        found = COLOUR.sub(b"", self._unread[len(ERROR) :])
        place = PLACE.search(found)
        if place is not None:
            self._error = _script_error(found[: place.start()], place[1], place[2])
        elif len(self._unread) == ERROR_BYTES:
            self._error = _script_error(found.partition(b"\n")[0])
        return self._error

    def get_tail(self) -> str:
        """Returns the end, or an empty text."""
        if self._file.closed:
            return ""
        position = self._file.tell()
        self._file.seek(max(self._file.seek(0, os.SEEK_END) - TAIL, 0))
        text = self._file.read(TAIL).decode(errors="replace").strip()
        self._file.seek(position)
        return f"\nThe game's last lines:\n{text}" if text else ""

    def close(self) -> None:
        """Removes the file."""
        self._file.close()
        self._remove()


class Process:
    """A game that this program has started. It ends with this object at the latest."""

    def __init__(
        self, command: Sequence[str], name: str, env: Mapping[str, str] | None, *, show_output: bool
    ) -> None:
        self._output = None if show_output else Output()
        # The game watches this lock. The system gives it back when this program ends in any way.
        lock = _hold_lock(name)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=None if self._output is None else self._output.descriptor,
                stderr=None if self._output is None else self._output.descriptor,
                env=None if env is None else {**os.environ, **env},
                # Ctrl+C is for this program, which then ends the game.
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            _clean_up(self._output, lock, name)
            raise GameEndedError(f"can't start {command[0]}: {error}") from error
        finally:
            if self._output is not None:
                os.close(self._output.descriptor)
        self._finalizer = weakref.finalize(self, _end, self._process, self._output, lock, name)

    @property
    def pid(self) -> int:
        """The PID."""
        return self._process.pid

    def get_exit_code(self) -> int | None:
        """Returns the exit code, or ``None`` while the game runs."""
        return self._process.poll()

    def find_script_error(self) -> ScriptError | None:
        """Returns the first error of a script that the game has printed, or ``None``."""
        return None if self._output is None else self._output.find_script_error()

    def get_tail(self) -> str:
        """Returns the end of the game's output, or an empty text."""
        return "" if self._output is None else self._output.get_tail()

    def wait(self, seconds: float) -> None:
        """Waits for the end of the game, for a limited time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def end(self) -> None:
        """Ends the game, whatever it does."""
        self._finalizer()


def _hold_lock(name: str) -> Mutex | None:
    lock = None
    # A system may have no locks. There, the game waits for a minute.
    with contextlib.suppress(Error):
        lock = Mutex(name + PROGRAM)
        lock.lock(0)
    return lock


def _end(process: subprocess.Popen[bytes], output: Output | None, lock: Mutex | None, name: str) -> None:
    if process.poll() is None:
        # A game that is stopped can't end in another way.
        process.kill()
        process.wait()
    _clean_up(output, lock, name)


def _clean_up(output: Output | None, lock: Mutex | None, name: str) -> None:
    if output is not None:
        output.close()
    if lock is not None:
        lock.close()
    # A game that was killed had no time to remove its memory.
    for left in (name, name + PROGRAM):
        with contextlib.suppress(Error):
            SharedMemory.remove(left)


def find_godot(given: str | os.PathLike[str] | None) -> str:
    """Returns the path of the Godot to use. Raises ``GameEndedError`` if there is none."""
    named = os.fspath(given) if given is not None else os.environ.get("GODOT")
    for name in [named] if named else ["godot4", "godot"]:
        found = shutil.which(name)
        if found:
            return found
    looked = repr(named) if named else "neither godot4 nor godot on the PATH"
    raise GameEndedError(f"Godot was not found: {looked}. Pass godot=, or set the variable GODOT")


def check_addon(project: pathlib.Path) -> None:
    """Raises ``ValueError`` if a folder is no project, or if it has no addon."""
    if not (project / "project.godot").is_file():
        raise ValueError(f"project has no project.godot: {project}")
    script = project / ADDON / "shared_memory_gym.gd"
    if not script.is_file():
        raise ValueError(
            f"project has no addon: there is no {script}. Copy the folder {ADDON} of the release to "
            f"{script.parent}"
        )


def _is_imported(project: pathlib.Path) -> bool:
    """Returns whether the editor has seen the project since the addon was copied into it."""
    folder = project / ".godot"
    try:
        extensions = (folder / "extension_list.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return ADDON in extensions and (folder / "global_script_class_cache.cfg").exists()


def import_project(godot: str, project: pathlib.Path, timeout: float) -> None:
    """Lets the editor import a project that it has never seen, such as a fresh checkout."""
    cache = project / ".godot" / "global_script_class_cache.cfg"
    if _is_imported(project):
        return
    # Many games of a project may be started at the same time.
    name = "gym-import-" + hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    with Mutex(name, timeout=timeout):
        if _is_imported(project):
            return
        command = [godot, "--headless", "--path", os.fspath(project), "--import"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise GameTimeoutError(
                f"Godot has not imported {project} within {timeout} s; the machine may be busy: "
                f"run 'godot --headless --path {project} --import' once"
            ) from None
        except OSError as error:
            raise GameEndedError(f"can't start {godot}: {error}") from error
        # The exit code says nothing: some builds of Godot abort at the end of the first import.
        if not cache.exists():
            text = done.stdout.decode(errors="replace")[-TAIL:]
            raise GameEndedError(f"Godot could not import {project}:\n{text}")
