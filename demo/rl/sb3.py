#!/usr/bin/env python3
"""The same game under Stable-Baselines3: PPO learns it on the sixteen plates of one game.

It needs the packages stable-baselines3 and godot-shared-memory[gym]. GodotVecEnv may be copied for any game.
"""

import argparse
import contextlib
import os
import pathlib
import time

import numpy
from godot_shared_memory.gym import GodotVectorEnv
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

PROJECT = pathlib.Path(__file__).resolve().parent.parent


class GodotVecEnv(VecEnv):
    """A GodotVectorEnv in the form of Stable-Baselines3: a step that ends an episode begins the next one."""

    def __init__(self, **game):
        self.envs = GodotVectorEnv(**game, autoreset_mode=AutoresetMode.SAME_STEP)
        self.actions = None
        super().__init__(
            self.envs.num_envs,
            self.envs.single_observation_space,
            self.envs.single_action_space,
        )

    def reset(self):
        # Set by seed(), which Stable-Baselines3 calls before.
        observations, _ = self.envs.reset(
            seed=None if self._seeds[0] is None else list(self._seeds)
        )
        self._reset_seeds()
        return observations

    def step_async(self, actions):
        self.actions = actions

    def step_wait(self):
        observations, rewards, terminated, truncated, infos = self.envs.step(
            self.actions
        )
        done = terminated | truncated
        told = [{} for _ in range(self.num_envs)]
        for index in numpy.flatnonzero(done):
            told[index]["terminal_observation"] = infos["final_obs"][index]
            told[index]["TimeLimit.truncated"] = bool(
                truncated[index] and not terminated[index]
            )
        return observations, rewards.astype(numpy.float32), done, told

    def close(self):
        self.envs.close()

    # A game has neither attributes nor methods that Python could reach.
    def get_attr(self, attr_name, indices=None):
        return [None for _ in self._get_indices(indices)]

    def set_attr(self, attr_name, value, indices=None):
        raise AttributeError(attr_name)

    def env_method(self, method_name, *method_args, indices=None, **method_kwargs):
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False for _ in self._get_indices(indices)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--godot", default=os.environ.get("GODOT", "godot"), help="the Godot program"
    )
    parser.add_argument(
        "--steps", type=int, default=150_000, help="actions of all plates together"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    game = GodotVecEnv(
        project=str(PROJECT), scene="res://rl/rl.tscn", godot=options.godot
    )
    with contextlib.closing(VecMonitor(game)) as envs:
        model = PPO(
            "MlpPolicy",
            envs,
            n_steps=256,
            batch_size=512,
            seed=options.seed,
            device="cpu",
            gamma=0.97,
        )
        start = time.monotonic()
        model.learn(options.steps)
        print(f"{options.steps:,} steps took {time.monotonic() - start:.0f} s")
        returns = [episode["r"] for episode in model.ep_info_buffer]
    print(
        f"the last {len(returns)} episodes have a mean return of {numpy.mean(returns):.0f}"
    )


if __name__ == "__main__":
    main()
