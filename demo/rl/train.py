#!/usr/bin/env python3
"""Learns to play the game in demo/rl, and then plays it.

The games run without a window, as fast as they can. With --window, the learnt player plays in a window in the
end. It needs the Python package godot-shared-memory with its extra `gym`: see docs/RL.md.
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import sys

import learn
import numpy
from godot_shared_memory.gym import GameEndedError, GodotVectorEnv
from plot import Plot

PROJECT = pathlib.Path(__file__).resolve().parent.parent
SCENE = "res://rl/rl.tscn"


def game_options(options):
    """Returns the arguments of GodotVectorEnv that say which game to start."""
    if options.executable:
        return {"executable": options.executable}
    return {"project": str(PROJECT), "scene": SCENE, "godot": options.godot}


class LocalGames:
    """Plays episodes in games on this machine."""

    def __init__(self, options):
        self.envs = GodotVectorEnv(**game_options(options), num_games=options.games)

    def play(self, weights, seed):
        """Plays an episode with each row of weights, and returns the returns."""
        count = self.envs.num_envs
        if len(weights) % count:
            raise SystemExit(
                f"{len(weights)} episodes can't be divided among {count} plates: use 1, 2 or 4 games"
            )
        # All have the same seed, so that luck doesn't decide between two policies.
        parts = numpy.split(weights, len(weights) // count)
        return numpy.concatenate(
            [learn.play_episode(self.envs, part, seed) for part in parts]
        )

    def close(self):
        self.envs.close()


def games_on_ray(options):
    # Only here: the demo needs no Ray.
    import ray_rollouts

    games = max(2, options.games)
    return ray_rollouts.RayGames(
        game_options(options), options.ray, games, options.install
    )


def learn_to_play(options, plot):
    """Returns the weights that were learnt, and whether they solve the game."""
    games = games_on_ray(options) if options.ray else LocalGames(options)
    progress = learn.Progress()
    with contextlib.closing(games):
        for progress in learn.train(games.play, options.seed, options.generations):
            plot.show(progress)
    plot.end(progress)
    return progress.weights, progress.solved


def play_unattended(options, weights):
    """Plays one episode on each plate, which the learner has not seen."""
    with contextlib.closing(GodotVectorEnv(**game_options(options))) as envs:
        returns = learn.play_episode(envs, weights, options.seed + 1_000_000)
    mean = returns.mean()
    print(
        f"Python played {len(returns)} new episodes, with a mean return of {mean:.0f}",
        flush=True,
    )
    return bool(mean >= learn.SOLVED * 0.95)


def play_in_window(options, weights):
    """Plays until the window is closed."""
    print("Python plays in the window: close it to end", flush=True)
    picture = (
        ["--auto", f"--screenshot={options.screenshot}"] if options.screenshot else []
    )
    envs = GodotVectorEnv(
        **game_options(options), headless=False, realtime=True, arguments=picture
    )
    with contextlib.closing(envs), contextlib.suppress(GameEndedError):
        for episode in itertools.count(1):
            returns = learn.play_episode(envs, weights, options.seed + episode)
            print(
                f"episode {episode}: the mean return is {returns.mean():.1f}",
                flush=True,
            )


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--godot", default=os.environ.get("GODOT", "godot"), help="the Godot program"
    )
    parser.add_argument(
        "--executable", help="an exported game, instead of Godot and the project"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed leads to the same player"
    )
    parser.add_argument(
        "--games",
        type=int,
        default=1,
        help="games at the same time, with 16 plates each",
    )
    parser.add_argument(
        "--generations", type=int, default=60, help="give up after this many"
    )
    parser.add_argument(
        "--window", action="store_true", help="play in a window in the end"
    )
    parser.add_argument(
        "--screenshot",
        metavar="FILE",
        help="end the window with a picture of it, as PNG",
    )
    parser.add_argument(
        "--save", metavar="FILE", help="write the weights that were learnt, as .npy"
    )
    parser.add_argument(
        "--load", metavar="FILE", help="play with these weights, without learning"
    )
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="a Ray cluster, or `local` for two nodes here"
    )
    parser.add_argument(
        "--install",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="with --ray: a package for Ray to install on each node, by name or path; may be repeated",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    with Plot(sys.stdout) as plot:
        if options.load:
            weights, solved = numpy.load(options.load), True
        else:
            weights, solved = learn_to_play(options, plot)
        if options.save:
            numpy.save(options.save, weights)
        if options.window:
            play_in_window(options, weights)
            if options.screenshot and not os.path.exists(options.screenshot):
                print("The window ended without a picture")
                return 1
        elif solved:
            solved = play_unattended(options, weights)
    return 0 if solved else 1


if __name__ == "__main__":
    sys.exit(main())
