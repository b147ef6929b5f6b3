"""All agents of one or many games, as a ``gymnasium.vector.VectorEnv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from godot_shared_memory.gym._env import RENDER_MODES, with_render_mode
from godot_shared_memory.gym._errors import GameError
from godot_shared_memory.gym._game import Game, Result
from godot_shared_memory.gym._spaces import Array, Values, row


class GodotVectorEnv(VectorEnv[Values, Values, Array]):
    """All agents of ``num_games`` games. Each agent has episodes of its own.

    The arguments are those of ``Game``. ``join`` may also be a list of names, one for each game. The games
    work at the same time: all get their actions before the first one is waited for. Agent ``a`` of game ``g``
    is the environment ``g * agents + a``.

    ``autoreset_mode`` is one of Gymnasium's modes:

    - ``NEXT_STEP``: the step after the end of an episode ignores the action of the agent, and begins its next
      episode.
    - ``SAME_STEP``: the step that ends an episode also begins the next one. The last observation is in
      ``infos["final_obs"]``.
    - ``DISABLED``: call ``reset(options={"reset_mask": mask})``.

    After an error of a game, ``reset()`` starts the games that have failed again.

    >>> from godot_shared_memory.gym import GodotVectorEnv
    >>> envs = GodotVectorEnv(project="path/to/the/project", num_games=2)  # doctest: +SKIP
    >>> observations, infos = envs.reset(seed=1)  # doctest: +SKIP
    >>> step = envs.step(envs.action_space.sample())  # doctest: +SKIP
    >>> envs.close()  # doctest: +SKIP
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 60}  # noqa: RUF012

    def __init__(
        self,
        *,
        num_games: int = 1,
        join: str | Sequence[str] | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        copy: bool = True,
        **arguments: Any,
    ) -> None:
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.render_mode = render_mode
        self._copy = copy
        self._arguments = with_render_mode(render_mode, arguments)
        names: Sequence[str | None]
        if join is None:
            if not isinstance(num_games, int) or num_games < 1:
                raise ValueError(f"num_games must be at least 1, but is {num_games!r}")
            names = [None] * num_games
        else:
            names = [join] if isinstance(join, str) else list(join)
            if not names or num_games not in (1, len(names)):
                raise ValueError("join needs a name for each game")
        self._names = names
        # Those of several games are copied when they are put together.
        self._arguments["copy"] = copy and len(names) == 1
        self.games: list[Game] = []
        try:
            for name in names:
                self.games.append(self._start(name))
            for game in self.games:
                game.connect()
            self._check()
        except BaseException:
            self.close_extras()
            raise
        first = self.games[0]
        self._count = len(first.agents)
        self.num_envs = len(self.games) * self._count
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(first.observation_space, self.num_envs)
        self.action_space = batch_space(first.action_space, self.num_envs)
        self._arguments["observation_space"] = first.observation_space
        self._arguments["action_space"] = first.action_space
        fps = first.physics_ticks_per_second / first.steps_per_action
        self.metadata = {**self.metadata, "render_fps": fps, "autoreset_mode": self.autoreset_mode}
        self._parts = [self._part(index) for index in range(len(self.games))]
        self._is_over = np.zeros(self.num_envs, np.bool_)
        # Faster to ask than the array.
        self._is_any_over = False
        self._observations: Values = None

    def _start(self, name: str | None) -> Game:
        return Game(**self._arguments, join=name, connect=False)

    def _check(self) -> None:
        first = self.games[0]
        for index, game in enumerate(self.games):
            if len(game.agents) != len(first.agents):
                text = f"game {index} has {len(game.agents)} agents, but game 0 has {len(first.agents)}"
                raise GameError(text)
            for what in ("observation_space", "action_space"):
                if getattr(game, what) != getattr(first, what):
                    raise GameError(f"game {index} has another {what} than game 0")
        is_alone = len(first.agents) == 1 or first.steps_after_reset == 0
        if self.autoreset_mode != AutoresetMode.NEXT_STEP and not is_alone:
            # The steps for one agent would also pass for the others, which did not act.
            raise ValueError(
                f"autoreset_mode {self.autoreset_mode.value} needs steps_after_reset = 0 in a game with "
                f"several agents, but it is {first.steps_after_reset}"
            )

    def _part(self, game: int) -> slice:
        return slice(game * self._count, (game + 1) * self._count)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Values, dict[str, Any]]:
        """Begins an episode of each agent, or of those in ``options["reset_mask"]``.

        With a number as ``seed``, environment ``i`` gets ``seed + i``. The other options go to the agents.
        """
        seeds: list[int | None]
        if seed is None:
            seeds = [None] * self.num_envs
        elif isinstance(seed, int | np.integer):
            seeds = [int(seed) + index for index in range(self.num_envs)]
        else:
            seeds = list(seed)
            if len(seeds) != self.num_envs:
                raise ValueError(f"seed must have {self.num_envs} elements, but has {len(seeds)}")
        options = dict(options or {})
        mask = self._read_mask(options.pop("reset_mask", None))
        for index, game in enumerate(self.games):
            if game.is_closed:
                self.games[index] = self._start(self._names[index])
                mask[self._part(index)] = True
        for game in self.games:
            game.connect()
        self._check()
        # The program may still have the arrays.
        self._observations = None if mask.all() else deepcopy(self._observations)
        infos = self._reset(mask, seeds, options)
        self._is_over = self._is_over & ~mask
        self._is_any_over = bool(self._is_over.any())
        return self._give(), infos

    def _read_mask(self, given: Any) -> Array:
        if given is None:
            return np.ones(self.num_envs, np.bool_)
        mask = np.asarray(given)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(f"reset_mask must have {self.num_envs} booleans, and one of them must be True")
        return mask.copy()

    def _reset(
        self, mask: Array, seeds: list[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Begins the episodes in the mask, and returns their infos."""
        for game, part in zip(self.games, self._parts, strict=True):
            if mask[part].any():
                game.send_reset(mask[part], None if seeds is None else seeds[part], options)
        infos: dict[str, Any] = {}
        for index, (game, part) in enumerate(zip(self.games, self._parts, strict=True)):
            if mask[part].any():
                result = game.receive()
                self._take(index, result, mask[part])
                for agent, info in result.infos.items():
                    infos = self._add_info(infos, info, part.start + agent)
        return infos

    def step(self, actions: Values) -> tuple[Values, Array, Array, Array, dict[str, Any]]:
        """Lets all agents act, and all games go on by one step."""
        resets = None
        if self._is_any_over:
            if self.autoreset_mode == AutoresetMode.DISABLED:
                raise ValueError("episodes are over; call reset(options={'reset_mask': mask}) first")
            if self.autoreset_mode == AutoresetMode.NEXT_STEP:
                resets = self._is_over
        self._send(actions, resets)
        self._observations, rewards, terminated, truncated, found = self._receive()
        infos: dict[str, Any] = {}
        if self._is_any_over:
            self._is_over = terminated | truncated
        if self._is_any_over and self.autoreset_mode == AutoresetMode.SAME_STEP:
            infos = self._begin_again(self._is_over, found)
        else:
            for env, info in found.items():
                infos = self._add_info(infos, info, env)
        return self._give(), rewards, terminated, truncated, infos

    def _send(self, actions: Values, resets: Array | None) -> None:
        """Sends the actions to all games. The agents in ``resets`` begin an episode instead."""
        if resets is None and len(self.games) == 1:
            self.games[0].send_step(actions)
            return
        shares = [actions] if len(self.games) == 1 else self.games[0].split(actions, self._parts)
        for game, part, share in zip(self.games, self._parts, shares, strict=True):
            mine = None if resets is None or not resets[part].any() else resets[part]
            if mine is not None and mine.all():
                game.send_reset()
            else:
                game.send_step(share, mine)

    def _receive(self) -> Result:
        """Returns the observations, rewards, ends and infos of all games, each in one array or dictionary."""
        first = self.games[0].receive()
        self._is_any_over = self.games[0].is_any_over
        if len(self.games) == 1:
            return first
        results = [first, *(game.receive() for game in self.games[1:])]
        self._is_any_over = any(game.is_any_over for game in self.games)
        infos: dict[int, dict[str, Any]] = {}
        for part, result in zip(self._parts, results, strict=True):
            for agent, info in result.infos.items():
                infos[part.start + agent] = info
        observations: Values
        if isinstance(first.observations, dict):
            observations = {
                name: np.concatenate([result.observations[name] for result in results])
                for name in first.observations
            }
        else:
            observations = np.concatenate([result.observations for result in results])
        return Result(
            observations,
            np.concatenate([result.rewards for result in results]),
            np.concatenate([result.terminated for result in results]),
            np.concatenate([result.truncated for result in results]),
            infos,
        )

    def _begin_again(self, over: Array, found: dict[int, dict[str, Any]]) -> dict[str, Any]:
        """Begins the episodes after those that are over, and returns the infos of the whole step."""
        infos: dict[str, Any] = {}
        for env in map(int, np.flatnonzero(over)):
            last = self._observation_of(env)
            infos = self._add_info(
                infos, {"final_obs": last, "final_info": found.pop(int(env), {})}, int(env)
            )
        for env, info in found.items():
            infos = self._add_info(infos, info, env)
        for key, value in self._reset(over).items():
            infos[key] = value
        return infos

    def _take(self, index: int, result: Result, mask: Array) -> None:
        """Keeps the observations of some agents of a game."""
        if len(self.games) == 1 and mask.all():
            self._observations = result.observations
            return
        if isinstance(self.single_observation_space, gymnasium.spaces.Dict):
            if self._observations is None:
                self._observations = {name: self._room(array) for name, array in result.observations.items()}
            for name, array in result.observations.items():
                self._observations[name] = self._put(self._observations[name], index, array, mask)
        else:
            if self._observations is None:
                self._observations = self._room(result.observations)
            self._observations = self._put(self._observations, index, result.observations, mask)

    def _room(self, array: Array) -> Array:
        return np.zeros((self.num_envs, *array.shape[1:]), array.dtype)

    def _put(self, whole: Array, index: int, array: Array, mask: Array) -> Array:
        if not whole.flags.writeable:
            whole = whole.copy()
        whole[self._part(index)][mask] = array[mask]
        return whole

    def _observation_of(self, env: int) -> Values:
        # It stays as it is when the arrays get the next values.
        return deepcopy(row(self.single_observation_space, self._observations, env))

    def _give(self) -> Values:
        """Returns the observations, which the next step must not change.

        A view of a message can't be changed, and is copied. Other arrays are new in each step.
        """
        if not self._copy:
            return self._observations
        if isinstance(self._observations, dict):
            return {name: self._own(array) for name, array in self._observations.items()}
        return self._own(self._observations)

    @staticmethod
    def _own(array: Array) -> Array:
        return array if array.flags.writeable else array.copy()

    def render(self) -> tuple[Any, ...] | None:
        """Returns the pictures of the games' windows in the mode ``"rgb_array"``, one for each game."""
        if self.render_mode != "rgb_array":
            return None
        return tuple(game.render() for game in self.games)

    def close_extras(self, **_arguments: Any) -> None:
        """Ends the games that this object has started, and leaves the others."""
        for game in self.games:
            game.leave()
        for game in self.games:
            game.close()
