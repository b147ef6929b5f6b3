"""A game with all its agents: the protocol with ``SharedMemoryGym``."""

from __future__ import annotations

import contextlib
import math
import os
import pathlib
import struct
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np
from gymnasium import Space

from godot_shared_memory import _errors as errors
from godot_shared_memory._native import Peer, SharedMemory
from godot_shared_memory._types import OwnerState
from godot_shared_memory.gym import _process, _spaces
from godot_shared_memory.gym._errors import GameEndedError, GameError, GameScriptWarning, GameTimeoutError
from godot_shared_memory.gym._spaces import Array, Values

# The version of the protocol.
PROTOCOL = 1
# The kind and the number of a message.
HEAD = struct.Struct("<II")
# The reward and the flags of a single agent.
ONE = struct.Struct("<dB")
STEP = 1
RESET = 2
RENDER = 3
# The marks of the agents.
ACT = 0
START = 1
REST = 2
START_WITH_SEED = 3
TERMINATED = 1
TRUNCATED = 2
# A type of an array is made faster from one of these than from its class.
BOOL, UINT8, FLOAT64 = np.dtype(np.bool_), np.dtype(np.uint8), np.dtype(np.float64)
# The limits of what a game may describe.
MAX_AGENTS = 1 << 16
# Seconds between two looks for a game that starts.
LOOK = 0.005
# Seconds between two looks at the output of a game.
LISTEN = 1.0
PACKAGE = "godot_shared_memory.gym"
# Seconds for another program to leave a game. A program that was killed leaves it at once.
BUSY = 5.0


class Result(NamedTuple):
    """The observations, rewards and ends of all agents of a game. The arrays begin with the agents."""

    observations: Values
    rewards: Array
    terminated: Array
    truncated: Array
    infos: dict[int, dict[str, Any]]


class Game:
    """A game whose scene has a ``SharedMemoryGym``, with all its agents.

    Exactly one of ``project``, ``executable`` and ``join`` says which game:

    - ``project``: a folder with a ``project.godot``. Godot is started in it. A project that was never opened
      in the editor is imported first.
    - ``executable``: an exported game, which is started.
    - ``join``: the ``memory_name`` of a game that runs already, or that starts within ``start_timeout``.

    The other arguments:

    - ``godot``: the program. By default, the variable ``GODOT`` names it, or it is ``godot4`` or ``godot`` on
      the ``PATH``.
    - ``scene``: another scene than the main scene, as ``res://train.tscn``. Only with ``project``.
    - ``headless``: without a window.
    - ``realtime``: as fast as a player would see it. Otherwise as fast as possible.
    - ``fixed_fps``: frames per second of the game's time. With fewer than the project has physics ticks,
      several physics steps share the cost of a frame. ``_process`` is then called less often.
    - ``timeout``: seconds for an answer. Physics steps of the game count, too.
    - ``start_timeout``: seconds for the game to start. The first import of a project may take 300 s more.
    - ``arguments``: arguments of the game itself, which ``OS.get_cmdline_user_args()`` returns.
    - ``env``: environment variables beside those of this program.
    - ``show_output``: the game prints to the output of this program. Otherwise, errors quote its last lines,
      and the first error of a script is a ``GameScriptWarning``.
    - ``observation_space``, ``action_space``: the spaces of one agent, if they are to be checked.
    - ``copy``: observations are new arrays. Otherwise they are read-only views of the message.

    Raises ``GameEndedError``, ``GameTimeoutError``, ``SpaceMismatchError``, or ``GameError`` with the game's
    own reason. After an error of the game, the object is closed. A game that it has started is ended.

    >>> from godot_shared_memory.gym import Game
    >>> with Game(project="path/to/the/project") as game:  # doctest: +SKIP
    ...     game.send_reset(seeds=[1] * len(game.agents))
    ...     observations = game.receive().observations
    """

    def __init__(
        self,
        *,
        project: str | os.PathLike[str] | None = None,
        executable: str | os.PathLike[str] | None = None,
        join: str | None = None,
        godot: str | os.PathLike[str] | None = None,
        scene: str | None = None,
        headless: bool = True,
        realtime: bool = False,
        fixed_fps: int = 60,
        timeout: float = 30.0,
        start_timeout: float = 60.0,
        arguments: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        show_output: bool = False,
        observation_space: Space[Any] | None = None,
        action_space: Space[Any] | None = None,
        copy: bool = True,
        connect: bool = True,
    ) -> None:
        if [project, executable, join].count(None) != 2:
            raise ValueError("exactly one of project, executable and join must be given")
        if scene is not None and project is None:
            raise ValueError("scene needs project")
        if not isinstance(fixed_fps, int) or not 1 <= fixed_fps <= 100_000:
            raise ValueError(f"fixed_fps must be from 1 to 100000, but is {fixed_fps!r}")
        for what, seconds in (("timeout", timeout), ("start_timeout", start_timeout)):
            if not 0 < seconds <= 1e6:
                raise ValueError(f"{what} must be more than 0 and at most 1000000 s, but is {seconds!r}")
        self._peer: Peer | None = None
        self._process: _process.Process | None = None
        self._timeout = timeout
        self._start_timeout = start_timeout
        self._expected = (observation_space, action_space)
        self._copy = copy
        self._number = 0
        self._has_left = False
        self._has_warned = False
        self._next_look = 0.0
        # True if ``receive`` has told of the end of an episode. Faster to ask than the arrays.
        self.is_any_over = False
        if join is not None:
            self._name = join
        else:
            self._name = SharedMemory.generate_name("gym")
            command = self._command(project, executable, godot, scene, headless, realtime, fixed_fps)
            command += ["--", f"--shared-memory-gym={self._name}", *arguments]
            self._process = _process.Process(command, self._name, env, show_output=show_output)
        # Not before: the first import of a project has a limit of its own.
        self._end = time.monotonic() + start_timeout
        if connect:
            self.connect()

    def _command(
        self,
        project: str | os.PathLike[str] | None,
        executable: str | os.PathLike[str] | None,
        godot: str | os.PathLike[str] | None,
        scene: str | None,
        headless: bool,
        realtime: bool,
        fixed_fps: int,
    ) -> list[str]:
        if project is not None:
            folder = pathlib.Path(project).resolve()
            _process.check_addon(folder)
            program = _process.find_godot(godot)
            _process.import_project(program, folder, max(self._start_timeout, _process.IMPORT_TIME))
            command = [program, "--path", os.fspath(folder)]
        else:
            assert executable is not None
            command = [os.fspath(pathlib.Path(executable).resolve())]
        if headless:
            command += ["--headless"]
        if not realtime:
            command += ["--fixed-fps", str(fixed_fps)]
            command += [] if headless else ["--disable-vsync"]
        return command + ([scene] if scene is not None else [])

    def connect(self) -> None:
        """Waits for the game, and learns its agents and spaces. The constructor calls it by default.

        With ``connect=False``, many games can be started before the first one is waited for.
        """
        if self._peer is not None:
            return
        try:
            answer = self._meet()
            if not isinstance(answer, dict):
                raise GameError(f"the game has answered with {type(answer).__name__} instead of its spaces")
            self._read(answer)
        except BaseException as error:
            self._break()
            if isinstance(error, errors.Error) and not isinstance(error, GameError):
                raise GameError(f"can't meet the game under the name {self._name}: {error}") from error
            raise

    def _meet(self) -> object:
        """Opens the memory of the game, greets it, and returns its answer."""
        busy_since: float | None = None
        while True:
            # The game makes the memory, because it knows the size of its messages.
            info = SharedMemory.get_info(self._name) if self._peer is None else None
            if info is not None and info["owner_state"] == OwnerState.ALIVE:
                try:
                    self._peer = Peer(self._name, 4096)
                except errors.InUseError:
                    busy_since = busy_since or time.monotonic()
                    if time.monotonic() > busy_since + BUSY:
                        # Only Linux knows them.
                        users = SharedMemory.get_users(self._name)
                        whose = f" (processes {', '.join(map(str, users))})" if users else ""
                        self._fail(
                            GameError,
                            f"another program plays the game under the name {self._name}{whose}; a game has "
                            "one program at a time",
                        )
                except (errors.BusyError, errors.UnavailableError):
                    pass
            if self._peer is not None:
                try:
                    self._peer.send({"gym": PROTOCOL}, LOOK)
                    return self._take_in_time()
                except (errors.TimeoutError, errors.UnavailableError):
                    self._hear()
                except errors.ConnectionError:
                    # The game was about to leave this memory, for one of its own.
                    self._hear()
                    self._peer.close()
                    self._peer = None
            if self._process is not None and self._process.get_exit_code() is not None:
                self._hear()
                self._fail(GameEndedError, "the game has ended before it was ready")
            if time.monotonic() > self._end:
                what = "no game has come" if self._process is None else "the game was not ready"
                self._fail(
                    GameTimeoutError,
                    f"{what} under the name {self._name} within {self._start_timeout} s; has its scene a "
                    "SharedMemoryGym, has the project the addon, or does a script hang in _ready()?",
                )
            self._listen()
            time.sleep(LOOK)

    def _take_in_time(self) -> object:
        assert self._peer is not None
        try:
            answer = self._peer.receive(max(self._end - time.monotonic(), 0.1))
        except errors.TimeoutError as error:
            self._explain(error, self._start_timeout)
        if isinstance(answer, str):
            self._fail(GameError, answer)
        return answer

    def _hear(self) -> None:
        """Raises the reason of a game that has left, if it has sent one."""
        said: object = None
        if self._peer is not None:
            with contextlib.suppress(errors.Error):
                while not isinstance(said, str):
                    said = self._peer.receive(0)
                    if said is None:
                        break
        if isinstance(said, str):
            self._fail(GameError, said)

    def _read(self, answer: dict[Any, Any]) -> None:
        """Checks what the game says about itself. It is another program, so nothing is trusted."""
        version = answer.get("gym")
        if version != PROTOCOL:
            raise GameError(f"the game has version {version!r} of the protocol, this package {PROTOCOL}")
        names = answer.get("agents")
        if (
            not isinstance(names, list | tuple)
            or not 0 < len(names) <= MAX_AGENTS
            or not all(isinstance(name, str) for name in names)
        ):
            raise GameError(f"agents: the game must have from 1 to {MAX_AGENTS} agents with names")
        self.agents: tuple[str, ...] = tuple(names)
        count = len(self.agents)
        numbers = {}
        for key, least in (
            ("steps_per_action", 1),
            ("steps_after_reset", 0),
            ("max_episode_steps", 0),
            ("physics_ticks_per_second", 1),
        ):
            number = answer.get(key)
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise GameError(f"{key}: the game must have at least {least}, but has {number!r}")
            numbers[key] = number
        self.steps_per_action = numbers["steps_per_action"]
        self.steps_after_reset = numbers["steps_after_reset"]
        self.max_episode_steps = numbers["max_episode_steps"]
        self.physics_ticks_per_second = numbers["physics_ticks_per_second"]
        assert self._peer is not None
        room = self._peer.get_max_message_size()
        self.observation_space, self._fields = _spaces.read(
            answer.get("observation_space"), "observation_space", room // count
        )
        self.action_space, self._action_fields = _spaces.read(
            answer.get("action_space"), "action_space", room // count
        )
        _spaces.compare(self._expected[0], self.observation_space, "observation_space")
        _spaces.compare(self._expected[1], self.action_space, "action_space")
        self._count = count
        marks = HEAD.size
        columns = marks + _spaces.align(count)
        self._flags_at = HEAD.size + 8 * count
        columns_at = self._flags_at + _spaces.align(count)
        self._places = _spaces.places(self._fields, count, columns_at)
        self._is_dict = self._fields[0].name is not None
        self._result_bytes = columns_at + sum(field.column_bytes(count) for field in self._fields)
        step_bytes = columns + sum(field.column_bytes(count) for field in self._action_fields)
        needed = max(self._result_bytes, step_bytes)
        if needed > room:
            raise GameError(f"a message takes {needed} bytes, but the game's memory has room for {room}")
        self._no_flags = bytes(count)
        # glibc keeps as much freed memory as twice the largest block that was freed. So the arrays of a step
        # take no new pages from the system.
        np.empty(4 * self._result_bytes, np.uint8)
        self._step = bytearray(step_bytes)
        # True if some agent does not act.
        self._has_marks = False
        self._step_marks = np.frombuffer(self._step, np.uint8, count, marks)
        self._step_columns = [
            np.ndarray(place.shape, place.dtype, self._step, place.offset)
            for place in _spaces.places(self._action_fields, count, columns)
        ]
        # The first agent's part of them.
        self._step_rows = [column[0, ...] for column in self._step_columns]
        self._reset = bytearray(columns + 8 * count)
        self._reset_marks = np.frombuffer(self._reset, np.uint8, count, marks)
        self._reset_seeds = np.frombuffer(self._reset, np.int64, count, columns)

    @property
    def is_closed(self) -> bool:
        """True if the game was closed, or has failed."""
        return self._peer is None

    @property
    def pid(self) -> int | None:
        """The PID of the game, if this object has started it."""
        return None if self._process is None else self._process.pid

    def send_reset(
        self,
        mask: Sequence[bool] | Array | None = None,
        seeds: Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Begins new episodes of the agents in ``mask``, or of all. Then call ``receive``.

        ``seeds`` has a seed or ``None`` for each agent. ``options`` go to each agent that takes them.
        """
        count = len(self.agents)
        marks = self._reset_marks
        marks[:] = START
        self._reset_seeds[:] = 0
        if seeds is not None:
            if len(seeds) != count:
                raise ValueError(f"seeds must have {count} elements, but has {len(seeds)}")
            for index, seed in enumerate(seeds):
                if seed is not None:
                    marks[index] = START_WITH_SEED
                    # Gymnasium's seeds have any size.
                    self._reset_seeds[index] = int(seed) % (1 << 63)
        if mask is not None:
            marks[~self._mask(mask)] = REST
        if options:
            self._send(dict(options))
        self._send_numbered(RESET, self._reset)

    def send_step(self, actions: Values, reset_mask: Sequence[bool] | Array | None = None) -> None:
        """Lets the agents act, and the game go on by one step. Then call ``receive``.

        ``actions`` begins with the agents, as ``gymnasium.vector`` has it. The agents in ``reset_mask`` begin
        a new episode instead. Raises ``ValueError`` for actions of another shape or type.
        """
        _spaces.put(self._action_fields, self._step_columns, actions, "actions")
        if reset_mask is not None:
            self._step_marks[:] = self._mask(reset_mask)
            self._has_marks = True
        elif self._has_marks:
            self._step_marks[:] = ACT
            self._has_marks = False
        self._send_numbered(STEP, self._step)

    def send_action(self, action: Values) -> None:
        """As ``send_step``, in a game with one agent: ``action`` is its action. Then call ``receive_one``."""
        self._check_one()
        _spaces.put(self._action_fields, self._step_rows, action, "action")
        if self._has_marks:
            self._step_marks[:] = ACT
            self._has_marks = False
        self._send_numbered(STEP, self._step)

    def split(self, actions: Values, parts: list[slice]) -> list[Values]:
        """Returns the parts of the actions of several games like this one, for ``send_step`` of each.

        Raises ``ValueError`` for actions of another shape.
        """
        count = sum(part.stop - part.start for part in parts)
        return _spaces.split(self._action_fields, count, actions, parts, "actions")

    def _check_one(self) -> None:
        if self._count != 1:
            raise ValueError(f"the game must have one agent, but has {self._count}")

    def _mask(self, mask: Sequence[bool] | Array) -> Array:
        array = np.asarray(mask)
        if array.shape != (len(self.agents),) or array.dtype != np.bool_:
            raise ValueError(f"the mask must have {len(self.agents)} booleans")
        return array

    def receive(self) -> Result:
        """Waits for the answer to ``send_reset`` or ``send_step``.

        Rewards and ends are zero for agents that did not act. Raises ``GameError`` and its subclasses.
        """
        count = self._count
        # Made while the game computes. In most steps, no episode ends.
        terminated, truncated = np.zeros(count, BOOL), np.zeros(count, BOOL)
        answer, infos = self._take_answer()
        # Each array is made from its place in the message. That is faster than slices and casts.
        rewards = np.ndarray(count, FLOAT64, answer, HEAD.size).copy()
        self.is_any_over = not answer.startswith(self._no_flags, self._flags_at)
        if self.is_any_over:
            flags = np.ndarray(count, UINT8, answer, self._flags_at)
            terminated, truncated = (flags & TERMINATED) != 0, (flags & TRUNCATED) != 0
        arrays = []
        for _, shape, dtype, at, _ in self._places:
            array: Array = np.ndarray(shape, dtype, answer, at)
            arrays.append(array.copy() if self._copy else array)
        return Result(self._observations_of(arrays), rewards, terminated, truncated, infos)

    def receive_one(self) -> tuple[Values, float, bool, bool, dict[str, Any]]:
        """As ``receive``, in a game with one agent: returns what ``gymnasium.Env.step`` does."""
        self._check_one()
        answer, infos = self._take_answer()
        reward, flags = ONE.unpack_from(answer, HEAD.size)
        arrays: list[Any] = []
        for _, shape, dtype, at, is_number in self._places:
            array: Any = np.ndarray(shape[1:], dtype, answer, at)
            # A number is a copy, whatever it was read from.
            arrays.append(array[()] if is_number else array.copy() if self._copy else array)
        return (
            self._observations_of(arrays),
            reward,
            flags & TERMINATED != 0,
            flags & TRUNCATED != 0,
            infos.get(0, {}),
        )

    def _observations_of(self, arrays: list[Any]) -> Values:
        if not self._is_dict:
            return arrays[0]
        return {place.name: array for place, array in zip(self._places, arrays, strict=True)}

    def _take_answer(self) -> tuple[bytes, dict[int, dict[str, Any]]]:
        """Returns the answer to the last message, which has the right size, and the infos of agents."""
        infos: dict[Any, Any] = {}
        while True:
            answer = self._take(self._timeout)
            if isinstance(answer, dict):
                infos = answer
            elif not isinstance(answer, bytes) or len(answer) < HEAD.size:
                self._fail(GameError, f"the game has answered with {type(answer).__name__}")
            elif HEAD.unpack_from(answer)[1] == self._number:
                break
            else:
                # The answer to an earlier call that was interrupted, for example by Ctrl+C.
                infos = {}
        if len(answer) != self._result_bytes:
            self._fail(GameError, f"an answer has {self._result_bytes} bytes, but {len(answer)} arrived")
        for index, info in infos.items():
            if not isinstance(index, int) or not 0 <= index < self._count or not isinstance(info, dict):
                self._fail(GameError, "the game has sent infos of an unknown agent")
        if time.monotonic() >= self._next_look:
            self._listen()
        return answer, infos

    def render(self) -> Array:
        """Returns the picture of the game's window, as an array of height, width and three colours."""
        self._send_numbered(RENDER, bytearray(HEAD.size))
        picture = self._take(self._timeout)
        if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.dtype != np.uint8:
            self._fail(GameError, f"the game has sent {type(picture).__name__} instead of a picture")
        return picture

    def leave(self) -> None:
        """Leaves the game, without waiting for the end of one that this object has started."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None
            self._has_left = True

    def close(self) -> None:
        """Leaves the game. A game that this object has started ends, and others go on."""
        self.leave()
        if self._process is not None:
            # A game that was never met doesn't know that it should end.
            self._process.wait(_process.PATIENCE if self._has_left else 0)
            error = self._process.find_script_error()
            self._process.end()
            self._warn(error)

    def _listen(self) -> None:
        """Warns of the first error of a script. Looks at the game's output from time to time."""
        if self._process is None or self._has_warned:
            self._next_look = math.inf
        elif time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LISTEN
            self._warn(self._process.find_script_error())

    def _warn(self, error: _process.ScriptError | None) -> None:
        if error is None or self._has_warned:
            return
        self._has_warned = True
        # The place in the program, and not in this package.
        level, frame = 1, sys._getframe()
        while frame.f_back is not None and frame.f_globals["__name__"].startswith(PACKAGE):
            level, frame = level + 1, frame.f_back
        text = f"a script of the game has failed, and the game goes on: {error}"
        warnings.warn(text, GameScriptWarning, stacklevel=level)

    def _send_numbered(self, kind: int, message: bytearray) -> None:
        self._number = (self._number + 1) & 0xFFFF_FFFF
        HEAD.pack_into(message, 0, kind, self._number)
        self._send(message)

    def _send(self, message: object) -> None:
        if self._peer is None:
            raise GameError("the game is closed")
        try:
            self._peer.send(message, self._timeout)
        except errors.ArgumentError:
            raise
        except errors.Error as error:
            self._explain(error, self._timeout)

    def _take(self, timeout: float) -> Any:
        if self._peer is None:
            raise GameError("the game is closed")
        try:
            answer = self._peer.receive(timeout)
        except errors.Error as error:
            self._explain(error, timeout)
        if isinstance(answer, str):
            self._fail(GameError, answer)
        return answer

    def _explain(self, error: errors.Error, timeout: float) -> NoReturn:
        """Raises the error in the words of a game."""
        if isinstance(error, errors.TimeoutError):
            text = f"the game has not answered within {timeout:.3g} s; it may hang, or stand in a debugger"
            self._fail(GameTimeoutError, text)
        if not isinstance(error, errors.ConnectionError | errors.UnavailableError):
            self._fail(GameError, str(error))
        # It may have said why, before it has left.
        self._hear()
        text = "the game has ended, or has left"
        if self._process is not None:
            self._process.wait(1.0)
            code = self._process.get_exit_code()
            text = "the game has ended" + ("" if code is None else f" with the exit code {code}")
        self._fail(GameEndedError, text)

    def _fail(self, kind: type[GameError], text: str) -> NoReturn:
        if self._process is not None:
            error = self._process.find_script_error()
            if error is not None and error.is_of_parser:
                text = f"{error}\nSo {text}"
            elif error is not None:
                text += f"\nThe first error of a script: {error}"
            text += self._process.get_tail()
            # The exception tells of it.
            self._has_warned = self._has_warned or error is not None
        self._break()
        raise kind(text)

    def _break(self) -> None:
        """Closes without patience."""
        if self._process is not None:
            self._process.end()
        self.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()
