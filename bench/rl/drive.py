"""Python's side of ./build.sh bench --rl: steps games in one way, and prints what that took.

drive.py ours|godot_rl JSON, where JSON has the fields of `Plan`.
"""

import atexit
import contextlib
import dataclasses
import faulthandler
import json
import os
import socket
import subprocess
import sys
import time

import numpy as np

# Seconds, for a game that should have ended.
PATIENCE = 10
# The part of the steps that is for warming up, and the least number of them.
WARM_UP, LEAST = 0.1, 20
# As in agent.gd.
ACTIONS = 2
# The actions are drawn before the measurement, and then taken in turn.
DRAWN = 256


@dataclasses.dataclass
class Plan:
    # The command of the game, with its options up to "--".
    game: list
    agents: int
    # "floats" or "picture".
    observe: str
    # Ends the measurement: a number of seconds, or of steps if that is not 0.
    seconds: float
    steps: int = 0
    games: int = 1
    bodies: int = 0
    # Seconds that the policy thinks for each step.
    think: float = 0.0
    # In front of the names in memory.
    prefix: str = "bench-rl-"
    # Seconds after which this program tells on stderr where it hangs.
    patience: float = 60.0

    def command(self, side, *more):
        """Returns the command of a game."""
        options = [
            f"--side={side}",
            f"--agents={self.agents}",
            f"--observe={self.observe}",
        ]
        return [*self.game, "--", *options, f"--bodies={self.bodies}", *more]


@contextlib.contextmanager
def started(commands):
    """Runs the games for the time of the block."""
    games = []
    try:
        for command in commands:
            games.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
            )
        yield games
    finally:
        for game in games:
            # The partner's end ends a game.
            with contextlib.suppress(subprocess.TimeoutExpired):
                game.wait(PATIENCE)
            game.kill()
            game.wait()


@contextlib.contextmanager
def godot_rl(plan):
    """Gives a function that resets all games and one that steps them, and the PIDs, with godot_rl's package.

    Observations are stacked as its wrapper for Stable Baselines does.
    """
    from godot_rl.core.godot_env import GodotEnv
    from godot_rl.core.utils import lod_to_dol

    ports = [free_port() for _ in range(plan.games)]
    envs = []

    def stacked(observations):
        return {key: np.array(value) for key, value in lod_to_dol(observations).items()}

    def reset():
        return stacked([one for env in envs for one in env.reset()[0]])

    def step(actions):
        for index, env in enumerate(envs):
            env.step_send(actions[index * plan.agents : (index + 1) * plan.agents])
        observations, rewards, ends = [], [], []
        for env in envs:
            observed, rewarded, ended, _, _ = env.step_recv()
            observations.extend(observed)
            rewards.extend(rewarded)
            ends.extend(ended)
        return (
            stacked(observations),
            np.array(rewards, dtype=np.float32),
            np.array(ends),
        )

    with started(
        [plan.command("godot_rl", f"--port={port}") for port in ports]
    ) as games:
        for port in ports:
            # It waits for a game that was started by somebody else, as for the editor's.
            envs.append(GodotEnv(port=port, convert_action_space=True))
        try:
            yield reset, step, [game.pid for game in games]
        finally:
            for env in envs:
                # close() sleeps for a second.
                atexit.unregister(env._close)
                env.connection.close()


@contextlib.contextmanager
def ours(plan):
    """Gives the same as godot_rl(), with godot_shared_memory."""
    from godot_shared_memory.gym import GodotVectorEnv
    from gymnasium.vector import AutoresetMode

    names = [f"{plan.prefix}{os.getpid()}-{index}" for index in range(plan.games)]

    def step(actions):
        observations, rewards, ends, _, _ = env.step(actions)
        return observations, rewards, ends

    with started(
        [plan.command("ours", f"--shared-memory-gym={name}") for name in names]
    ) as games:
        # As godot_rl: the step that ends an episode returns the first observation of the next one.
        env = GodotVectorEnv(join=names, autoreset_mode=AutoresetMode.SAME_STEP)
        try:
            yield lambda: env.reset(seed=1)[0], step, [game.pid for game in games]
        finally:
            env.close()


def free_port():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


SIDES = {"ours": ours, "godot_rl": godot_rl}


def measure(side, plan):
    """Returns the steps, the seconds, and the processor time of both sides.

    It also returns the sums of the rewards and of the last observation: both sides play the same game.
    """
    random = np.random.default_rng(1)
    count = plan.agents * plan.games
    drawn = random.uniform(-1, 1, (DRAWN, count, ACTIONS)).astype(np.float32)
    rewards = 0.0
    with SIDES[side](plan) as (reset, step, games):
        observation = reset()
        warm_up = max(LEAST, int(WARM_UP * plan.steps))
        for index in range(warm_up):
            observation, rewarded, _ = step(drawn[index % DRAWN])
            rewards += float(rewarded.sum())
        used = [time.process_time(), sum(map(processor_time, games))]
        start = now = time.perf_counter()
        steps = 0
        while steps < plan.steps or (not plan.steps and now - start < plan.seconds):
            if plan.think:
                time.sleep(plan.think)
            observation, rewarded, _ = step(drawn[(warm_up + steps) % DRAWN])
            rewards += float(rewarded.sum())
            steps += 1
            now = time.perf_counter()
        used = [
            time.process_time() - used[0],
            sum(map(processor_time, games)) - used[1],
        ]
    values = observation if side == "ours" else next(iter(observation.values()))
    return {
        "steps": steps * count,
        "seconds": now - start,
        "python_s": used[0],
        "game_s": used[1],
        "rewards": rewards,
        "observation": float(values.sum(dtype=np.float64)),
        "shape": values.shape,
        "type": str(values.dtype),
    }


def processor_time(pid):
    """Returns the seconds that a process has used, by the clock that Linux has for each."""
    return time.clock_gettime(~pid << 3 | 2)


def main():
    side, plan = sys.argv[1], Plan(**json.loads(sys.argv[2]))
    faulthandler.dump_traceback_later(plan.patience)
    result = os.dup(1)
    # godot_rl prints to stdout.
    os.dup2(2, 1)
    values = measure(side, plan)
    os.write(result, json.dumps(values).encode())


if __name__ == "__main__":
    main()
