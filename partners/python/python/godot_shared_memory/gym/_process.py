"""The process of a game: its start, its output, and its end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from typing import IO

from godot_shared_memory._errors import Error
from godot_shared_memory._native import Mutex, SharedMemory
from godot_shared_memory.gym._errors import GameEndedError, GameTimeoutError

# Seconds for a game to end by itself, after its program has left.
PATIENCE = 5.0
# Seconds for the first import of a project, at least. It takes seconds, but a minute on a busy machine.
IMPORT_TIME = 300.0
# Bytes of the game's output in an error.
TAIL = 4000


class Process:
    """A game that this program has started. It ends with this object at the latest."""

    def __init__(
        self, command: Sequence[str], name: str, env: Mapping[str, str] | None, *, show_output: bool
    ) -> None:
        self._output: IO[bytes] | None = None if show_output else tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                env=None if env is None else {**os.environ, **env},
                # Ctrl+C is for this program, which then ends the game.
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            if self._output:
                self._output.close()
            raise GameEndedError(f"can't start {command[0]}: {error}") from error
        self._finalizer = weakref.finalize(self, _end, self._process, self._output, name)

    @property
    def pid(self) -> int:
        """The PID."""
        return self._process.pid

    def get_exit_code(self) -> int | None:
        """Returns the exit code, or ``None`` while the game runs."""
        return self._process.poll()

    def get_tail(self) -> str:
        """Returns the end of the game's output, or an empty text."""
        if self._output is None or self._output.closed:
            return ""
        # The game has the same position in this file, so it is not moved.
        descriptor = self._output.fileno()
        size = os.fstat(descriptor).st_size
        if sys.platform == "win32":
            return ""
        text = os.pread(descriptor, TAIL, max(size - TAIL, 0)).decode(errors="replace").strip()
        return f"\nThe game's last lines:\n{text}" if text else ""

    def wait(self, seconds: float) -> None:
        """Waits for the end of the game, for a limited time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def end(self) -> None:
        """Ends the game, whatever it does."""
        self._finalizer()


def _end(process: subprocess.Popen[bytes], output: IO[bytes] | None, name: str) -> None:
    if process.poll() is None:
        # A game that is stopped can't end in another way.
        process.kill()
        process.wait()
    if output:
        output.close()
    # A game that was killed had no time to remove its memory.
    with contextlib.suppress(Error):
        SharedMemory.remove(name)


def find_godot(given: str | os.PathLike[str] | None) -> str:
    """Returns the path of the Godot to use. Raises ``GameEndedError`` if there is none."""
    named = os.fspath(given) if given is not None else os.environ.get("GODOT")
    for name in [named] if named else ["godot4", "godot"]:
        found = shutil.which(name)
        if found:
            return found
    looked = repr(named) if named else "neither godot4 nor godot on the PATH"
    raise GameEndedError(f"Godot was not found: {looked}. Pass godot=, or set the variable GODOT")


def import_project(godot: str, project: pathlib.Path, timeout: float) -> None:
    """Lets the editor import a project that it has never seen, such as a fresh checkout."""
    cache = project / ".godot" / "global_script_class_cache.cfg"
    if cache.exists():
        return
    # Many games of a project may be started at the same time.
    name = "gym-import-" + hashlib.sha256(os.fsencode(project)).hexdigest()[:16]
    with Mutex(name, timeout=timeout):
        if cache.exists():
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
