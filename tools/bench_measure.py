"""Measures the addon, for ./build.sh bench, once everything is built."""

import contextlib
import datetime
import json
import os
import pathlib
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import time

import addon
import bench_chart
import bench_lockstep
import bench_python
import bench_report
import common
import rust
from bench_processes import cores, memories, on, started
from common import MACHINE, ROOT, git, output, say
from find_godot import version

FOLDER = ROOT / "target" / "bench"
BENCH = ROOT / "bench"

# Seconds, for each program that is started.
TIME_LIMIT = 120
LOADS = 9

# Everything that is made in /dev/shm has this in front.
PREFIX = f"bench-{os.getpid()}-"


def logged(command, **options):
    """Returns the output of a program. If it fails, or prints an error of Godot's, everything ends."""
    log = FOLDER / "log"
    with open(log, "wb") as file:
        code = common.run(
            command, limit=TIME_LIMIT, stdin=subprocess.DEVNULL, stdout=file, stderr=file, **options
        )
    text = log.read_text(encoding="utf-8", errors="replace")
    error = re.search(r"^(SCRIPT )?ERROR:.*", text, re.MULTILINE)
    if code != 0 or error:
        why = error[0] if error else f"exit code {code}; see {log}"
        raise common.Failure(f"bench: {command[0]}: {why}")
    return text


def machine(godot):
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "rust", "bench")
    return {
        "cpu": cpu.group(1) if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": ".".join(platform.release().split(".")[:2]),
        "date": datetime.date.today().isoformat(),
        "load": round(os.getloadavg()[0], 2),
        "godot": version(godot),
        "rustc": rust.version(),
        "python": platform.python_version(),
        "commit": git("rev-parse", "--short", "HEAD") + (", changed" if changed else ""),
    }


def medians(tree):
    """Returns the same tree, with the median in place of each list."""
    if isinstance(tree, dict):
        return {key: medians(value) for key, value in tree.items()}
    return statistics.median(tree) if isinstance(tree, list) else tree


def measured(command, *parts, python=sys.executable, **options):
    """Returns the results of bench.gd for these parts. `python` runs the partners in Python."""
    values = FOLDER / "godot.json"
    values.unlink(missing_ok=True)
    logged([*command, "--", values, FOLDER, PREFIX, python, *parts], **options)
    if not values.exists():
        raise common.Failure(f"bench: the script in {command[0]} broke off")
    return json.loads(values.read_text())


def scene_in(godot):
    return [godot, "--headless", "--path", BENCH]


def in_editor(godot):
    scene = scene_in(godot)
    results = measured(scene, "calls", "copies", "objects", "round_trips", "structs")
    trips = {
        transport: {size: trip_times(samples) for size, samples in sizes.items()}
        for transport, sizes in results["round_trips"].items()
    }
    return {
        "yardsticks": [results["calls"][kind] for kind in ("yardstick", "array_yardstick")],
        "calls": call_times(results["calls"]),
        "copies_ns": medians(results["copies"]),
        "round_trips_us": trips,
        "objects": medians(results["objects"]),
        "structs_ns": medians(results["structs"]),
    }


def in_exported_game(godot, template):
    """Measures the parts that differ there: the editor's build checks more at each call."""
    project = project_with_addon("game")
    for file in BENCH.iterdir():
        if file.is_file():
            shutil.copy(file, project)
    game = exported(godot, template, project)
    results = measured([game, "--headless"], "calls", "objects")
    return {"calls": call_times(results["calls"]), "objects": medians(results["objects"])}


def exported(godot, template, project):
    """Exports the game of a project, and returns its program."""
    presets = ROOT / "tests" / "projects" / "game" / "export_presets.cfg"
    (project / "export_presets.cfg").write_text(
        presets.read_text().format(template=template, architecture=MACHINE)
    )
    addon.list_extension(project)
    game = project / "exported" / "game"
    game.parent.mkdir()
    home = {f"XDG_{kind}_HOME": str(FOLDER / "home") for kind in ("DATA", "CONFIG", "CACHE")}
    options = ["--headless", "--path", project, "--export-release", "Game", game]
    logged([godot, *options], env=home)
    return game


def project_with_addon(name):
    project = FOLDER / name
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(BENCH / "addons", project / "addons")
    return project


def call_times(results):
    def yardstick(call):
        kind = "array_yardstick" if call in results["array_calls"] else "yardstick"
        return results["ns"][results[kind]]

    return {
        call: {
            "ns": statistics.median(rounds),
            # Within each round: what slows a round down slows down both.
            "multiple": statistics.median(a / b for a, b in zip(rounds, yardstick(call))),
        }
        for call, rounds in results["ns"].items()
    }


def trip_times(samples):
    return {
        # Godot's clock counts whole microseconds: the median is found within the one it is in.
        "median": statistics.median_grouped(samples),
        "p99": statistics.quantiles(samples, n=100)[98],
        "rounds": len(samples),
    }


def load_times(godot):
    """Returns the median time of loading the library, in a fresh Godot and a project that doesn't name it."""
    project = project_with_addon("load")
    shutil.copy(BENCH / "load.gd", project)
    (project / "project.godot").write_text("config_version=5\n")
    script = ["--headless", "--path", project, "--script", "res://load.gd"]
    found = []
    for _ in range(LOADS):
        line = re.search(r"^loaded in (\d+)$", logged([godot, *script]), re.MULTILINE)
        if not line:
            raise common.Failure("bench: the library was not loaded")
        found.append(int(line.group(1)))
    return statistics.median(found)


UNITS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}


def in_rust(program):
    """Returns medians in nanoseconds, by the names of divan's tree: {group: {what: ns or {size: ns}}}."""
    options = ["--bench", "--color", "never", "--sample-count", 500, "--max-time", 1]
    text = logged([program, *options], env={"BENCH_PREFIX": PREFIX})
    tree = {}
    path = []
    for line in text.splitlines():
        match = re.match(r"((?:│  |   )*)[├╰]─ (\S+)(.*)", line)
        if not match:
            continue
        depth = len(match.group(1)) // 3
        path[depth:] = [match.group(2)]
        columns = match.group(3).split("│")
        if len(columns) > 2 and columns[2].strip():
            value, unit = columns[2].split()
            place = tree
            # The first one is the module of the system.
            for name in path[1:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = float(value) * UNITS[unit]
    if not tree:
        raise common.Failure(f"bench: no times in the output of {program}")
    return tree


# The rounds of a pair, and the microseconds before each: the other side falls asleep.
WAIT_ROUNDS = 1000
WAIT_PAUSE = 200
# The pairs of each kind. They take turns.
WAIT_PAIRS = 7


def in_c(name, folder="rust/segment/tests/partner"):
    """Builds a partner in C, and returns the program."""
    program, source = FOLDER / name, ROOT / folder / f"{name}.c"
    common.must(["cc", "-std=gnu11", "-O2", "-o", program, source], f"cc could not build {source}")
    return program


def waits(ours):
    """Returns the median nanoseconds of a round trip of two processes asleep, in C and of this crate."""
    programs = {"futex in C": in_c("futex"), "wait_u32, notify_u32": ours}
    found = {name: [] for name in programs}
    for _ in range(WAIT_PAIRS):
        for name, program in programs.items():
            found[name].append(round_trip_of(program))
    bare, mine = found.values()
    return {"ns": medians(found), "ratio": statistics.median(a / b for a, b in zip(mine, bare))}


def round_trip_of(program, names=("",)):
    """Returns the median of one pair: a program that asks, and one that answers. `names` end the names."""
    name = PREFIX + "wait"
    rounds = str(WAIT_ROUNDS)
    with memories([name + end for end in names], 1 << 17), started(program, "answer", name, rounds):
        text = output(program, "ask", name, rounds, str(WAIT_PAUSE))
    # The first tenth is for warming up.
    return statistics.median(map(int, text.split()[WAIT_ROUNDS // 10 :]))


# The messages of a round, by their bytes.
THROUGHPUT = {8: 3_000_000, 64: 2_000_000, 1024: 500_000}
FRAMES = 100
LOCKS = "100000"
KILLS = 100


def native(ours):
    """Returns the times of the native layouts, beside the same in C in the same run."""
    ring, futex = in_c("ring"), in_c("futex")
    sizes = {}
    for size, count in THROUGHPUT.items():
        found = {"ring in C": [], "native queue": []}
        for _ in range(WAIT_PAIRS):
            for name, program in zip(found, (ring, ours)):
                found[name].append(message_time(program, count, size))
        bare, mine = found.values()
        sizes[size] = {"ns": medians(found), "ratio": statistics.median(a / b for a, b in zip(bare, mine))}
    trips = {"futex in C": [], "native queue": []}
    for _ in range(WAIT_PAIRS):
        trips["futex in C"].append(round_trip_of(futex))
        trips["native queue"].append(round_trip_of(ours, ("-q", "-a")))
    bare, mine = trips.values()
    asleep = {"ns": medians(trips), "ratio": statistics.median(a / b for a, b in zip(mine, bare))}
    frames = [list(map(int, line.split())) for line in output(ours, "frame", str(FRAMES)).splitlines()]
    picture = {
        "ns": {"native stream": statistics.median(a for a, _ in frames)}
        | {"two memcpy": statistics.median(b for _, b in frames)},
        "ratio": statistics.median(a / b for a, b in frames),
    }
    bare = FOLDER / "lock"
    source = ROOT / "rust/segment/tests/partner/lock.c"
    common.must(["cc", "-std=gnu11", "-O2", "-o", bare, source], f"cc could not build {source}")
    locks = {"fcntl twice, in C": [], "lock and unlock": []}
    for _ in range(WAIT_PAIRS):
        for name, program in zip(locks, (bare, ours)):
            locks[name].append(int(output(program, "lock", LOCKS)) / int(LOCKS))
    ratio = statistics.median(a / b for b, a in zip(*locks.values()))
    lock = {"ns": medians(locks), "ratio": ratio}
    deaths = sorted(death_time(ours) for _ in range(KILLS))
    ends = {"median": statistics.median(deaths), "p99": deaths[int(KILLS * 0.99) - 1]}
    return {"throughput": sizes, "asleep": asleep, "picture": picture, "lock": lock, "death_ns": ends}


def message_time(program, count, size):
    """Returns the nanoseconds of a message, from one process to another, both of which spin.

    Each process has a core of its own, where there are two. The scheduler may put both on one core.
    """
    name = PREFIX + "ring"
    words = [name, str(count), str(size)]
    with memories([name], 1 << 18), started(program, "consume", *words, **on(cores()[-1])):
        return int(output(program, "produce", *words, **on(cores()[0]))) / count


def death_time(ours):
    """Returns the nanoseconds from the SIGKILL of a writer to the error in a call that waits for it."""
    name = PREFIX + "death"
    with memories([name], 1 << 14), started(ours, "write", name) as writer:
        writer.stdout.readline()
        with started(ours, "wait", name) as reader:
            reader.stdout.readline()
            # At any moment of a sleep.
            time.sleep(0.1 + random.random() / 20)
            start = time.monotonic_ns()
            writer.kill()
            seconds, nanoseconds = re.findall(r"\d+", reader.stdout.readline())
    return int(seconds) * 10**9 + int(nanoseconds) - start


def library(path):
    sections = {}
    if shutil.which("size"):
        listed = output("size", "-A", "-d", path)
        for name, size in re.findall(r"^(\.\S+)\s+(\d+)", listed, re.MULTILINE):
            sections[name] = int(size)
    return {"bytes": path.stat().st_size, "sections": sections}


def python_package(godot, python, others, rounds=bench_python.FULL):
    """Returns the times of the Python package, which this Python has. `others` are packages beside it."""
    in_c("answer", "bench")

    def in_godot(env):
        return measured(scene_in(godot), "python", python=python, env=env)["python"]

    return bench_python.measure(in_godot, python, others, PREFIX, rounds)


@contextlib.contextmanager
def names_removed():
    """Removes the names of programs that had to be ended."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for left in pathlib.Path("/dev/shm").glob(PREFIX + "*"):
            left.unlink()


def measure_python(godot, *python):
    """Measures only the Python package, and prints a table."""
    with names_removed():
        results = {"machine": machine(godot), "python": python_package(godot, *python)}
    (ROOT / "target" / "bench-python.json").write_text(json.dumps(results, indent=1) + "\n")
    print(bench_report.table(results))


def measure(godot, template, library_here, rust_benches, python, chart):
    """Measures everything, prints a table, and with `chart` updates the README's.

    `rust_benches` has the programs of the segment crate by their names. `python` has a Python with the
    package, and the other packages that it has. It and `template` may be None.
    """
    with names_removed():
        results = {"machine": machine(godot)}
        say("the segment crate")
        results["rust_ns"] = in_rust(rust_benches["copy"])
        results["waits"] = waits(rust_benches["wait"])
        say("two processes")
        results["native"] = native(rust_benches["native"])
        say("two processes in lockstep")
        pairs = bench_lockstep.Pairs(rust_benches["lockstep"], in_c("ring"), in_c("futex"), PREFIX)
        results["lockstep"] = bench_lockstep.measure(pairs)
        say("loading the library")
        results["load_us"] = load_times(godot)
        results["library"] = library(library_here)
        say(f"in {godot}")
        results.update(in_editor(godot))
        say("two Godots in lockstep")
        results["lockstep"]["in Godot"] = bench_lockstep.in_godot(
            lambda **options: measured(scene_in(godot), "lockstep", **options)["lockstep"]
        )
        if template:
            say("in an exported game")
            results["exported"] = in_exported_game(godot, template)
        if python:
            results["python"] = python_package(godot, *python)

    (ROOT / "target" / "bench.json").write_text(json.dumps(results, indent=1) + "\n")
    drawn = bench_chart.draw(results)
    (ROOT / "target" / "bench.svg").write_text(drawn)
    if chart:
        (ROOT / "docs" / "images" / "bench.svg").write_text(drawn)
    print(bench_report.table(results))
