"""Measures a game as an environment of reinforcement learning, for ./build.sh bench --rl: beside godot_rl."""

import contextlib
import json
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import addon
import bench_measure
import bench_rl_report
import pypi
from bench_rl_report import BODIES, BODIES_AGENTS, OBSERVATIONS, SIDES, THINKING
from common import ROOT, Failure, run_main, say

SOURCES = ROOT / "bench" / "rl"
PREFIX = bench_measure.PREFIX + "rl-"

# The pairs of each way. The ways take turns.
RUNS = 5
SECONDS = 1.0
# Seconds, for a run.
PATIENCE = 60
# Seconds until a game has started, if all start at once.
START_SECONDS = 1.0

AGENTS = (1, 16)
THINKING_STEPS = 100
GAMES = (1, 2, 4, 8)
GAMES_RUNS = 3

# With one physics step in each turn of the main loop, as fast as it can.
GAME_OPTIONS = ["--headless", "--fixed-fps", "60", "--disable-render-loop"]


class Sides:
    """The two ways to step the game, and the game without a partner."""

    def __init__(self, game, pythons):
        self.game, self.pythons = [str(part) for part in game] + GAME_OPTIONS, pythons

    def run(self, side, **plan):
        """Returns what drive.py has measured."""
        plan = {"game": self.game, "prefix": PREFIX, "seconds": SECONDS, "patience": PATIENCE, **plan}
        command = [str(self.pythons[side]), str(SOURCES / "drive.py"), side, json.dumps(plan)]
        log = bench_measure.FOLDER / "rl.log"
        # It tells before where it hangs.
        patience = PATIENCE + 5
        with open(log, "wb") as errors, process(command, stdout=subprocess.PIPE, stderr=errors) as driver:
            try:
                told, _ = driver.communicate(timeout=patience)
            except subprocess.TimeoutExpired:
                told = b""
        text = log.read_text(encoding="utf-8", errors="replace")
        error = re.search(r"^(?:SCRIPT )?ERROR:.*", text, re.MULTILINE)
        if error or driver.returncode != 0 or not told:
            why = error[0] if error else f"no result within {patience} s, or exit code {driver.returncode}"
            raise Failure(f"bench --rl: {side}: {why}; see {log}:\n{text[-2000:]}")
        return json.loads(told)

    def alone(self, agents, bodies, games):
        """Returns the steps a second that games take together without a partner."""
        # All measure in the same seconds.
        start = time.time() + START_SECONDS * games
        command = [*self.game, "--", "--side=alone", f"--agents={agents}", f"--bodies={bodies}"]
        with contextlib.ExitStack() as stack:
            running = [
                stack.enter_context(
                    process([*command, f"--start={start}"], stdout=subprocess.PIPE, text=True)
                )
                for _ in range(games)
            ]
            told = [game.communicate(timeout=PATIENCE)[0] for game in running]
        found = [re.search(r"^steps a second: (\S+)$", text, re.MULTILINE) for text in told]
        if None in found:
            raise Failure(f"bench --rl: a game without a partner measured nothing: {told[found.index(None)]}")
        return sum(float(match[1]) for match in found)


@contextlib.contextmanager
def process(command, **options):
    """Runs a program for the time of the block, and ends it with everything that it has started."""
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        yield program
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()


def project():
    """Returns a folder with the game and the addon."""
    folder = bench_measure.project_with_addon("rl")
    for file in SOURCES.iterdir():
        if file.suffix != ".py" and file.is_file():
            shutil.copy(file, folder)
    addon.list_extension(folder)
    return folder


def speed(sides, runs=RUNS, **plan):
    """Returns the runs of both sides in each condition. The sides take turns."""
    found = {}
    for observe in OBSERVATIONS:
        for agents in AGENTS:
            say(f"{agents} agents, {OBSERVATIONS[observe]}")
            pairs = [
                {side: sides.run(side, agents=agents, observe=observe, **plan) for side in SIDES}
                for _ in range(runs)
            ]
            found[f"{observe}, {agents}"] = pairs
    return found


def thinking(sides, runs=GAMES_RUNS, steps=THINKING_STEPS):
    """Returns the runs of both sides while the policy thinks for each step."""
    plan = {"agents": 1, "observe": "floats", "think": THINKING, "steps": steps}
    return [{side: sides.run(side, **plan) for side in SIDES} for _ in range(runs)]


def many_games(sides, counts=GAMES, runs=GAMES_RUNS, steps=0):
    """Returns the steps a second of several games with physics, alone and with both sides."""
    found = {}
    for games in counts:
        say(f"{games} games with {BODIES} bodies")
        plan = {"agents": BODIES_AGENTS, "bodies": BODIES, "games": games}
        found[games] = [
            {
                "alone": sides.alone(**plan),
                **{side: sides.run(side, observe="floats", steps=steps, **plan) for side in SIDES},
            }
            for _ in range(runs)
        ]
    return found


def measure(godot, template, pythons):
    """Measures both sides, and prints tables. `template` may be None."""
    with clean():
        folder = project()
        game = [bench_measure.exported(godot, template, folder)] if template else [godot, "--path", folder]
        sides = Sides(game, pythons)
        results = {
            "machine": bench_measure.machine(godot),
            "exported": bool(template),
            "speed": speed(sides),
            "thinking": thinking(sides),
            "games": many_games(sides),
        }
    (ROOT / "target" / "bench_rl.json").write_text(json.dumps(results, indent=1) + "\n")
    print(bench_rl_report.table(results))


@contextlib.contextmanager
def clean():
    """Removes what killed programs leave in memory."""
    bench_measure.FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for left in pathlib.Path("/dev/shm").glob(PREFIX + "*"):
            left.unlink()


def try_out(godot, *pythons):
    """Takes a few steps in each way, for the tests, and fails if the sides play different games."""
    with clean():
        sides = Sides([godot, "--path", project()], dict(zip(SIDES, pythons)))
        results = {
            "machine": bench_measure.machine(godot),
            "exported": False,
            "speed": speed(sides, runs=1, steps=30),
            "thinking": thinking(sides, runs=1, steps=3),
            "games": many_games(sides, counts=(2,), runs=1, steps=30),
        }
    for name, (pair,) in results["speed"].items():
        for what in ("steps", "shape", "rewards", "observation"):
            mine, other = (pair[side][what] for side in SIDES)
            # JSON has six digits of a number.
            same = mine == other if what == "shape" else math.isclose(mine, other, rel_tol=1e-4)
            if not same:
                raise Failure(f"bench --rl: {name}: {what} are {mine}, and {other} with godot_rl")
    print(bench_rl_report.table(results))


def pythons():
    """Returns the interpreter of each side: both packages want their own version of gymnasium."""
    # These import this module.
    import python_package
    from commands import wheel

    wheel.check_python()
    found = python_package.given_wheel() if python_package.is_given() else [wheel.build()]
    ours = pypi.programs("python", "wheel-venv") / "python"
    python_package.install(ours, found)
    return {"ours": ours, "godot_rl": godot_rl()}


def godot_rl():
    """Returns an interpreter that has godot_rl."""
    return pypi.programs("godot-rl", options=["--no-deps"]) / "python"


if __name__ == "__main__":
    run_main(try_out, *sys.argv[1:])
