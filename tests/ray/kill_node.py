#!/usr/bin/env python3
"""Kills a game, and then a node of a Ray cluster, while the demo rl learns, and sees the learning go on.

Run by hand: target/ray-venv/bin/python tests/ray/kill_node.py "$(./build.sh godot)". docs/RL.md has the last
figures. The returns must be those of a run without a kill, and must come within the time limit.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "demo/rl"))

import learn  # noqa: E402
import ray_rollouts  # noqa: E402
import train  # noqa: E402

GENERATIONS = 12
KILL_GAME, KILL_NODE = 3, 6
SEED = 1
TIME_LIMIT = 240


def generations(games, disturb=None):
    """Returns the mean return of each generation, and the seconds that each took."""
    means, seconds, last = [], [], time.monotonic()
    for progress in learn.train(games.play, SEED, GENERATIONS):
        now = time.monotonic()
        means.append(progress.means[-1])
        seconds.append(now - last)
        last = now
        print(
            f"generation {len(means)}: {means[-1]:.1f} after {seconds[-1]:.1f} s",
            flush=True,
        )
        if disturb:
            disturb(len(means))
    return means, seconds


def games_below(process):
    """Returns the ids of the Godots that descend from a process."""
    found, parents = [], {process}
    stats = sorted(
        pathlib.Path("/proc").glob("[0-9]*/stat"),
        key=lambda path: int(path.parent.name),
    )
    for stat in stats:
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            number = int(stat.parent.name)
            if int(rest.split()[1]) in parents:
                parents.add(number)
                if name == "godot":
                    found.append(number)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("godot")
    options = train.parse(["--godot", parser.parse_args().godot, "--ray", "local"])
    signal.alarm(TIME_LIMIT)

    with contextlib.closing(train.LocalGames(options)) as local:
        expected, _ = generations(local)

    with contextlib.closing(train.games_on_ray(options)) as games:
        worker = games.cluster.worker_nodes.copy().pop()

        def disturb(generation):
            if generation == KILL_GAME:
                game = games_below(os.getpid())[0]
                print(f"killing the game {game}", flush=True)
                os.kill(game, signal.SIGKILL)
            elif generation == KILL_NODE:
                print("killing a node", flush=True)
                games.cluster.remove_node(worker, allow_graceful=False)

        means, seconds = generations(games, disturb)
        described = ray_rollouts.ray.get(
            [player.describe.remote() for player in games.players]
        )
        nodes = {node for node, _plates in described}
    usual = sorted(seconds)[len(seconds) // 2]
    print(
        f"a generation takes {usual:.1f} s, the one after the kill of a game {seconds[KILL_GAME]:.1f} s, "
        f"the one after the kill of a node {seconds[KILL_NODE]:.1f} s"
    )
    assert means == expected, "the kills changed what was learnt"
    assert len(nodes) == 1, "an actor is still on the node that was killed"
    print("all generations are those of a run without a kill")


if __name__ == "__main__":
    main()
