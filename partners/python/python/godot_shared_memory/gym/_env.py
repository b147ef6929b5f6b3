"""A game with one agent, as a ``gymnasium.Env``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium

from godot_shared_memory.gym._errors import GameError
from godot_shared_memory.gym._game import Game
from godot_shared_memory.gym._spaces import Values

RENDER_MODES = ("human", "rgb_array")


def with_render_mode(render_mode: str | None, arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of the game for a render mode: a window for each one but ``None``."""
    if render_mode is None:
        return arguments
    if render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode must be None, 'human' or 'rgb_array', but is {render_mode!r}")
    return {"headless": False, "realtime": render_mode == "human", **arguments}


class GodotEnv(gymnasium.Env[Values, Values]):
    """A game with one agent.

    The arguments are those of ``Game``, and ``render_mode``. With ``"human"``, the game has a window, and
    runs at the speed of a player. With ``"rgb_array"``, ``render()`` returns the picture of its window.

    The game starts at once. After an error of the game, ``reset()`` starts another one, or joins again.

    >>> from godot_shared_memory.gym import GodotEnv
    >>> env = GodotEnv(project="path/to/the/project")  # doctest: +SKIP
    >>> observation, info = env.reset(seed=1)  # doctest: +SKIP
    >>> action = env.action_space.sample()  # doctest: +SKIP
    >>> observation, reward, terminated, truncated, info = env.step(action)  # doctest: +SKIP
    >>> env.close()  # doctest: +SKIP
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 60}  # noqa: RUF012

    def __init__(self, *, render_mode: str | None = None, **arguments: Any) -> None:
        for name in ("num_games", "autoreset_mode"):
            if name in arguments:
                raise TypeError(
                    f"{name} is an argument of GodotVectorEnv; GodotEnv is one game with one agent"
                )
        self._arguments = with_render_mode(render_mode, arguments)
        self.render_mode = render_mode
        self.game = self._start()
        self.observation_space = self.game.observation_space
        self.action_space = self.game.action_space
        fps = self.game.physics_ticks_per_second / self.game.steps_per_action
        self.metadata = {**self.metadata, "render_fps": fps}
        # Another game must have the same spaces.
        self._arguments["observation_space"] = self.observation_space
        self._arguments["action_space"] = self.action_space

    def _start(self) -> Game:
        game = Game(**self._arguments)
        count = len(game.agents)
        if count != 1:
            game.close()
            raise GameError(f"the game has {count} agents, but GodotEnv needs one; use GodotVectorEnv")
        return game

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Values, dict[str, Any]]:
        """Begins an episode. Starts the game again if it has failed."""
        super().reset(seed=seed)
        if self.game.is_closed:
            self.game = self._start()
        self.game.send_reset(seeds=[seed], options=options)
        observation, _, _, _, info = self.game.receive_one()
        return observation, info

    def step(self, action: Values) -> tuple[Values, float, bool, bool, dict[str, Any]]:
        """Lets the agent act, and the game go on by ``steps_per_action`` physics steps."""
        self.game.send_action(action)
        return self.game.receive_one()

    def render(self) -> Any:
        """Returns the picture of the game's window in the mode ``"rgb_array"``, and ``None`` in others."""
        return self.game.render() if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Ends the game if this object has started it. Otherwise leaves it."""
        self.game.close()
