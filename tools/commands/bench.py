"""build.sh bench: the times of the addon, beside those of other ways."""

import json

import addon
import bench_measure
import bench_pictures
import bench_python
import bench_rl
import find_godot
import needs
from common import Failure, output, parse, require_linux, say

from . import wheel

HELP = """\
Usage: ./build.sh bench [--chart | --pictures | --python | --rl]

Builds the addon and measures it, in four minutes or so: calls, copies, objects and threads in a real Godot,
and in a game that it exported; round trips to a Python partner, beside sockets and a pipe; the segment crate
beside memcpy, the bare system calls and the crate shared_memory; two processes that wait for each other,
beside the same in C; requests between two processes, beside TCP and C; the Python package beside C, GDScript
and other ways between programs; the library's size. Prints a table, and writes target/bench.json and
target/bench.svg. Asserts nothing: times depend on the machine, and on its other work. Linux only.

  --chart     also update docs/images/bench.svg, the chart of the README
  --python    measure only the Python package, in two minutes, and write target/bench-python.json
  --pictures  measure only SharedMemoryTexture and SharedMemoryViewportSource, in a window under Xvfb
  --rl        measure only a game as an environment of reinforcement learning, beside the package godot-rl
              from PyPI, in five minutes or so; writes target/bench_rl.json
"""


def main(arguments):
    _, options = parse("bench", arguments, options=("--chart", "--pictures", "--python", "--rl"))
    require_linux("bench", "this measures on Linux only")
    needs.check()
    godot = find_godot.find()
    if "--pictures" in options:
        addon.build()
        bench_pictures.measure(godot)
        return
    if "--python" in options:
        wheel.check_python()
        python = bench_python.environment(wheel.build())
        addon.build()
        bench_measure.measure_python(godot, *python)
        return
    template = find_godot.template_or_none(godot, "nothing is measured in an exported game")
    addon.build()
    if "--rl" in options:
        bench_rl.measure(godot, template, bench_rl.pythons())
        return
    library, _ = addon.library_here()
    say("building the segment crate's benchmarks")
    cargo = ["cargo", "bench", "--locked", "-p", "shm-segment", "--benches", "--no-run"]
    told = map(json.loads, output(*cargo, "--message-format", "json").splitlines())
    built = {
        message["target"]["name"]: message["executable"] for message in told if message.get("executable")
    }
    python = python_or_none()
    bench_measure.measure(godot, template, library, built, python, "--chart" in options)


def python_or_none():
    """Returns a Python with the package, and the other packages that it has."""
    try:
        wheel.check_python()
        return bench_python.environment(wheel.build())
    except Failure as failure:
        say(f"the Python package is not measured: {failure}")
        return None
