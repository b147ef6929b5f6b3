"""A game as an environment of Gymnasium, over shared memory.

The game has a node ``SharedMemoryGym`` of the addon, with agents below it. This side starts the game, or
joins a running one:

- ``GodotEnv``: a game with one agent, as a ``gymnasium.Env``.
- ``GodotVectorEnv``: all agents of one or many games, as a ``gymnasium.vector.VectorEnv``.
- ``Game``: the game itself with all its agents, for other libraries.

>>> from godot_shared_memory.gym import GodotEnv
>>> env = GodotEnv(project="path/to/the/project")  # doctest: +SKIP
>>> observation, info = env.reset(seed=1)  # doctest: +SKIP
>>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())  # doctest: +SKIP
>>> env.close()  # doctest: +SKIP

It needs Gymnasium 1.2 or newer: ``pip install godot-shared-memory[gym]``.
"""

from godot_shared_memory.gym._env import GodotEnv
from godot_shared_memory.gym._errors import (
    GameEndedError,
    GameError,
    GameScriptWarning,
    GameTimeoutError,
    SpaceMismatchError,
)
from godot_shared_memory.gym._game import Game, Result
from godot_shared_memory.gym._vector import GodotVectorEnv

__all__ = [
    "Game",
    "GameEndedError",
    "GameError",
    "GameScriptWarning",
    "GameTimeoutError",
    "GodotEnv",
    "GodotVectorEnv",
    "Result",
    "SpaceMismatchError",
]
