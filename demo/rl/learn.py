"""A learner in numpy alone: an evolution strategy over the weights of a small policy.

Each generation draws pairs of policies, which differ from the guess in opposite directions. Each plays an
episode, and the guess moves towards those with the higher returns. demo/rl/train.py plays the episodes in
games on this machine, and demo/rl/ray_rollouts.py on a cluster.
"""

import dataclasses
import time

import numpy

# Eight numbers are observed, and two are decided; see demo/rl/plate.gd.
INPUTS, OUTPUTS = 8, 2
WEIGHTS = (INPUTS + 1) * OUTPUTS
# In each game.
PLATES = 16
# Of this many actions is an episode, each with a reward from 0 to 1.
EPISODE = 200
# The mean return over the test episodes of a generation at which the game counts as solved. The player in
# plate.gd that was written by hand has 177.
SOLVED = 170.0
# In each generation, this many policies play one episode each. The guess itself plays the test episodes.
POPULATION, TESTS = 48, PLATES
ROWS = POPULATION + TESTS


def act(weights, observations):
    """Returns the actions of many policies, each for its own observation.

    `weights` has a row of WEIGHTS numbers per policy, or only one row for all. The actions are from -1 to 1.
    """
    matrices = weights.reshape(-1, OUTPUTS, INPUTS + 1)
    decided = numpy.matmul(matrices[:, :, :INPUTS], observations[:, :, None])[:, :, 0]
    return numpy.tanh(decided + matrices[:, :, INPUTS]).astype(numpy.float32)


def play_episode(envs, weights, seed):
    """Plays one episode in each environment of a vector. Returns their returns.

    `weights` has a row per environment, or only one for all. The same seed and weights lead
    to the same returns, whatever was played before.
    """
    # The same for each game, so that the number of games makes no difference.
    seeds = [seed + number % PLATES for number in range(envs.num_envs)]
    observations, _ = envs.reset(seed=seeds)
    returns = numpy.zeros(envs.num_envs)
    playing = numpy.ones(envs.num_envs, bool)
    while playing.any():
        observations, rewards, terminated, truncated, _ = envs.step(
            act(weights, observations)
        )
        returns += rewards * playing
        playing &= ~(terminated | truncated)
    return returns


class EvolutionStrategy:
    """A guess at the best weights, which moves up the slope that its neighbours show."""

    # The distance of the neighbours from the guess, the length of a step, and the part of the last step that
    # is repeated.
    SPREAD, RATE, MOMENTUM = 0.5, 6.0, 0.7

    def __init__(self, seed):
        self.random = numpy.random.default_rng(seed)
        self.guess = numpy.zeros(WEIGHTS)
        self.step = numpy.zeros(WEIGHTS)
        self.noise = numpy.zeros((POPULATION, WEIGHTS))

    def ask(self):
        """Returns the weights that are to be tried, a row for each policy."""
        half = self.random.standard_normal((POPULATION // 2, WEIGHTS))
        self.noise = numpy.concatenate([half, -half])
        return self.guess + self.SPREAD * self.noise

    def tell(self, returns):
        """Learns from the returns of the weights of the last ask()."""
        # Only the order counts: from -0.5 for the worst to 0.5 for the best.
        ranks = numpy.argsort(numpy.argsort(returns)) / (POPULATION - 1) - 0.5
        slope = ranks @ self.noise / POPULATION
        self.step = self.MOMENTUM * self.step + (1 - self.MOMENTUM) * self.RATE * slope
        self.guess = self.guess + self.step


@dataclasses.dataclass
class Progress:
    """The returns of all generations so far."""

    means: list[float] = dataclasses.field(default_factory=list)
    lows: list[float] = dataclasses.field(default_factory=list)
    highs: list[float] = dataclasses.field(default_factory=list)
    weights: numpy.ndarray | None = None
    episodes: int = 0
    seconds: float = 0.0

    @property
    def solved(self):
        return bool(self.means) and self.means[-1] >= SOLVED


def train(play, seed, generations):
    """Yields the progress after each generation, until the game is solved.

    `play(weights, seed)` plays an episode with each row of weights, and returns the returns.
    """
    learner = EvolutionStrategy(seed)
    progress = Progress()
    start = time.monotonic()
    for _ in range(generations):
        tried = learner.ask()
        test = numpy.repeat(learner.guess[None], TESTS, axis=0)
        returns = play(
            numpy.concatenate([tried, test]), int(learner.random.integers(2**31))
        )
        tests = returns[POPULATION:]
        progress.means.append(float(tests.mean()))
        progress.lows.append(float(tests.min()))
        progress.highs.append(float(tests.max()))
        progress.weights = learner.guess.copy()
        progress.episodes += ROWS
        progress.seconds = time.monotonic() - start
        yield progress
        if progress.solved:
            return
        learner.tell(returns[:POPULATION])
