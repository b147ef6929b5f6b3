"""Episodes on a Ray cluster: an actor per game, anywhere in the cluster, and the learner where this runs.

Ray starts an actor again whose process or node has died, and gives it its episodes again. An actor starts its
game again if that dies, hangs or is stopped. An episode depends only on its weights and its seed, so the
learner doesn't notice. docs/RL.md tells what a cluster of several machines needs.
"""

import os
import pathlib

import learn
import numpy
import ray
from godot_shared_memory.gym import GameError, GodotVectorEnv
from ray.util import ActorPool

# On a cluster made for the demo: bytes of Ray's own memory per node, nearly its minimum.
STORE = 80 * 1024 * 1024
# Tries of the same episodes, each with a new game.
TRIES = 3
CLOSE_SECONDS = 10


@ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)
class Player:
    """Plays episodes in a game of its own."""

    def __init__(self, game):
        self.game = game
        self.envs = None

    def play(self, weights, seed):
        for _ in range(TRIES - 1):
            try:
                return self.play_once(weights, seed)
            except GameError:
                self.close()
        return self.play_once(weights, seed)

    def play_once(self, weights, seed):
        self.start()
        return learn.play_episode(self.envs, weights, seed)

    def start(self):
        if self.envs is None:
            self.envs = GodotVectorEnv(**self.game)

    def close(self):
        if self.envs is not None:
            self.envs.close()
            self.envs = None

    def describe(self):
        """Returns the node of this actor and the number of plates of its game."""
        self.start()
        return ray.get_runtime_context().get_node_id(), self.envs.num_envs


class RayGames:
    """Plays episodes on a cluster: on the one at `address`, or on two nodes on this machine if it is "local".

    Ray installs `packages` for the actors, which are arguments of pip.
    """

    def __init__(self, game, address, games, packages=()):
        self.cluster = None
        if address == "local":
            self.cluster = two_nodes(cpus=games)
            address = self.cluster.address
        # The actors import the modules of this folder, on whichever machine they are.
        environment = {"working_dir": str(pathlib.Path(__file__).resolve().parent)}
        if packages:
            environment["pip"] = list(packages)
        ray.init(
            address,
            runtime_env=environment,
            log_to_driver=False,
            logging_level="warning",
        )
        # Away from each other: a node that dies takes as few games along as possible.
        spread = Player.options(scheduling_strategy="SPREAD")
        self.players = [spread.remote(game) for _ in range(games)]
        described = ray.get([player.describe.remote() for player in self.players])
        self.nodes = [node for node, _plates in described]
        self.plates = described[0][1]
        print(f"Ray: {games} games on {len(set(self.nodes))} nodes", flush=True)
        self.pool = ActorPool(self.players)

    def play(self, weights, seed):
        """Plays an episode with each row of weights, and returns the returns."""
        parts = numpy.split(weights, len(weights) // self.plates)
        results = self.pool.map(
            lambda player, part: player.play.remote(part, seed), parts
        )
        return numpy.concatenate(list(results))

    def close(self):
        """Ends the games, and the cluster if it was made for them."""
        closed = [player.close.remote() for player in self.players]
        ray.wait(closed, num_returns=len(closed), timeout=CLOSE_SECONDS)
        for player in self.players:
            ray.kill(player)
        ray.shutdown()
        if self.cluster is not None:
            self.cluster.shutdown()


def two_nodes(cpus):
    """Starts a cluster of two nodes on this machine, each with room for all games."""
    from ray.cluster_utils import Cluster

    # Ray would report its use to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": cpus, "object_store_memory": STORE}
    cluster = Cluster(
        initialize_head=True, head_node_args={**node, "include_dashboard": False}
    )
    cluster.add_node(**node)
    return cluster
