"""Measures the Python package, for ./build.sh bench: beside C, GDScript, and other ways between programs."""

import pathlib
import statistics
import tempfile
from typing import NamedTuple

import common
import pypi
from bench_processes import started
from common import ROOT, run, say

BENCH = ROOT / "bench"
# Seconds, for each program.
LIMIT = 60


class Rounds(NamedTuple):
    """The size of a measurement."""

    runs: int
    # In Godot: the requests of a run while both sides spin, and while both sleep.
    spinning: int
    asleep: int
    # Between two programs in Python: the requests of a run, and its longest time in seconds.
    requests: int
    longest: float
    pictures: int


FULL = Rounds(runs=7, spinning=500, asleep=300, requests=2000, longest=0.5, pictures=100)
SMOKE = Rounds(runs=1, spinning=20, asleep=20, requests=20, longest=0.5, pictures=5)

# The packages that each way needs besides numpy, and its name in the table. The first way of a group is ours.
WAYS = {
    "bytes": {
        "bytes-peer": ("", "Peer"),
        "bytes-socket": ("", "Unix socket"),
        "bytes-zmq": ("pyzmq", "pyzmq over ipc"),
        "bytes-iceoryx2": ("iceoryx2", "iceoryx2"),
        "bytes-seqlock": ("", "multiprocessing.shared_memory, seqlock"),
    },
    "values": {
        "values-peer": ("", "Peer"),
        "values-pickle": ("", "pickle over a Unix socket"),
        "values-json": ("", "json over a Unix socket"),
    },
    "picture": {
        "picture-stream": ("", "Stream"),
        "picture-zmq": ("pyzmq", "pyzmq over ipc"),
        "picture-iceoryx2": ("iceoryx2", "iceoryx2"),
        "picture-seqlock": ("", "multiprocessing.shared_memory, seqlock"),
    },
}


def environment(wheel):
    """Makes target/bench-venv with the wheel. Returns its Python, and the packages of others that it has."""
    python = pypi.programs("python", "bench-venv") / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    common.must([*pip, "--force-reinstall", "--no-deps", "--no-index", wheel])
    others = []
    for line in (ROOT / "tools/requirements-bench.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        name = line.partition("==")[0]
        if run([*pip, line]) == 0:
            others.append(name)
        else:
            say(f"{line} can't be had from PyPI: nothing is measured beside {name}")
    return python, others


def measure(in_godot, python, others, prefix, rounds=FULL):
    """Returns the results. `in_godot` runs python.gd with some variables, and returns what it has found."""
    say("the Python package, and Godot")
    found = in_godot({"BENCH_ROUNDS": f"{rounds.runs} {rounds.spinning} {rounds.asleep}"})
    results = {"beside C": {}}
    for kind in ("both spin", "both sleep"):
        runs = found[kind]
        results["beside C"][kind] = beside(*(requests(runs[partner]) for partner in ("Python", "C")))
    results["queue"] = beside(found["queue"]["Python"], found["queue"]["GDScript"])
    say("the Python package, and memcpy")
    results["write"] = writes(python, prefix, rounds)
    for kind, ways in WAYS.items():
        say(f"two programs in Python: {kind}")
        there = [way for way, (package, _) in ways.items() if not package or package in others]
        times = {way: [] for way in there}
        for _ in range(rounds.runs):
            for way in there:
                times[way].append(exchange(python, way, prefix, rounds))
        ours = times[there[0]]
        results[kind] = {ways[way][1]: beside(ours, times[way]) for way in there}
    return results


def requests(runs):
    """Returns the median nanoseconds of a request in each run.

    Godot's clock counts whole microseconds: the median is found within the one it is in.
    """
    return [statistics.median_grouped(run) * 1e3 for run in runs]


def beside(ours, other):
    """Returns the medians of two ways in nanoseconds, and the ratios of their runs, which took turns."""
    ratios = [mine / theirs for mine, theirs in zip(ours, other)]
    return {
        "ns": [statistics.median(ours), statistics.median(other)],
        "ratio": statistics.median(ratios),
        "worst": max(ratios),
    }


def exchange(python, way, prefix, rounds):
    """Returns the median nanoseconds of a request in one pair of programs."""
    count = rounds.pictures if way.startswith("picture") else rounds.requests
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        # Short, as paths of sockets are limited.
        name = prefix + way[0]
        is_file = way.endswith(("socket", "pickle", "json", "zmq", "iceoryx2"))
        address = pathlib.Path(folder, name) if is_file else name
        program = [python, BENCH / "ways.py"]
        with started(*program, "answer", way, address) as partner:
            if partner.stdout.readline() != "ready\n":
                raise common.Failure(f"bench: ways.py answer {way} did not start")
            text = common.output(*program, "ask", way, address, count, rounds.longest, timeout=LIMIT)
            partner.wait(LIMIT)
    times = list(map(int, text.split()))
    return statistics.median(times[len(times) // 10 :])


def writes(python, prefix, rounds):
    """Returns the times of a picture's way into a stream, beside a memcpy over as many slots."""
    command = [python, BENCH / "picture_writes.py", prefix + "writes", rounds.pictures]
    lines = [list(map(int, line.split())) for line in common.output(*command, timeout=LIMIT).splitlines()]
    bare, *ours = zip(*lines)
    return {name: beside(times, bare) for name, times in zip(("write", "begin"), ours)}
