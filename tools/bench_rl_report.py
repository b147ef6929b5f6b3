"""The tables that ./build.sh bench --rl prints, from what is in target/bench_rl.json."""

import statistics

from bench_report import heading, rows, time

SIDES = ("ours", "godot_rl")
OBSERVATIONS = {"floats": "64 floats", "picture": "84 x 84 x 3"}
# The seconds that a policy thinks for each step.
THINKING = 0.02
# The game whose physics is measured: as many bodies, in a box.
BODIES = 100
BODIES_AGENTS = 16

# Steps of agents a second, by the key in the results, and the multiples of godot_rl's.
LEAST_STEPS = {"floats, 16": 100_000}
LEAST_RATIO = {"floats": 5, "picture": 20}
MOST_OF_A_CORE = 0.05


def table(results):
    build = "an exported game" if results["exported"] else "the editor's build"
    return "\n".join(
        [
            heading(results["machine"]),
            f"The game runs in {build}.",
            *speed(results["speed"]),
            *thinking(results["thinking"]),
            *games(results["games"]),
        ]
    )


def rate(run):
    return run["steps"] / run["seconds"]


def middle(runs, side, figure):
    """Returns the median of a figure of one side."""
    return statistics.median(figure(run[side]) for run in runs)


def ratio(runs):
    """Returns how many times as fast ours is, pair by pair: what slows a pair down slows down both."""
    return statistics.median(rate(run["ours"]) / rate(run["godot_rl"]) for run in runs)


def speed(conditions):
    columns = ["", "target", "godot_rl", "ratio", "target", "Python", "game", "godot_rl: Python", "game"]
    lines = []
    for condition, runs in conditions.items():
        observe, agents = condition.split(", ")
        least = LEAST_STEPS.get(condition)
        ours, theirs = (f"{middle(runs, side, rate):,.0f}" for side in SIDES)
        lines.append(
            [
                f"{OBSERVATIONS[observe]}, {counted(agents, 'agent')}",
                *(ours, f"{least:,}" if least else "", theirs),
                *(f"{ratio(runs):.1f}", f"{LEAST_RATIO[observe]}"),
                *(time(middle(runs, side, cost) * 1e9) for side in SIDES for cost in (of_python, of_game)),
            ]
        )
    yield from rows("Steps of agents a second", columns, lines)
    yield "(ratio: pair by pair. Behind it: the processor time of each side for a step of an agent.)"


def of_python(run):
    return run["python_s"] / run["steps"]


def of_game(run):
    return run["game_s"] / run["steps"]


def thinking(runs):
    shares = [f"{middle(runs, side, lambda run: run['game_s'] / run['seconds']):.1%}" for side in SIDES]
    line = [f"the game, while the policy thinks {THINKING * 1e3:.0f} ms a step", *shares]
    return rows("Use of a core", ["", "godot_rl", "target"], [[*line, f"{MOST_OF_A_CORE:.0%}"]])


def games(counts):
    columns = ["alone", "", "of alone", "cores", "scale", "godot_rl", "of alone", "cores", "scale"]
    lines = []
    one = next(iter(counts.values()))
    for count, runs in counts.items():
        line = [counted(count, "game"), f"{statistics.median(run['alone'] for run in runs):,.0f}"]
        for side in SIDES:
            here = middle(runs, side, rate)
            share = statistics.median(rate(run[side]) / run["alone"] for run in runs)
            line += [f"{here:,.0f}", f"{share:.0%}", f"{middle(runs, side, cores):.2f}"]
            line.append(f"{here / middle(one, side, rate):.2f}")
        lines.append(line)
    title = f"{BODIES} bodies, {BODIES_AGENTS} agents in each game"
    yield from rows(title, columns, lines)
    yield "(steps of agents a second. alone: the same games without Python. cores: of Python and the games.)"


def cores(run):
    return (run["python_s"] + run["game_s"]) / run["seconds"]


def counted(count, what):
    return f"{count} {what}" if int(count) == 1 else f"{count} {what}s"
