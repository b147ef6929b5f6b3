"""build.sh demo: Godot and its Python partner, side by side."""

import sys

import addon
import find_godot
import needs
import pypi
import run_bridge
import run_demo
from common import ROOT, TARGET, must, parse, say

NAMES = "\n".join(f"  {name:<10} {about['help']}" for name, about in run_demo.DEMOS.items())
HELP = f"""\
Usage: ./build.sh demo [NAME] [--window]

Builds the addon, starts the demo NAME in Godot and its partner in Python, and shows the output of both. Runs
twice, with either side starting first, ends by itself, and fails if either side fails.

{NAMES}
  {"bridge":<10} {run_bridge.HELP}

  --window   show the demo in a window instead, until it is closed; lines typed here go to the Python side
"""


def main(arguments):
    words, options = parse("demo", arguments, options=("--window",), most=1)
    name = words[0] if words else "hello"
    if name == "bridge":
        bridge("--window" in options)
        return
    # Before minutes of building: an unknown name, and no Godot.
    run_demo.check_name(name)
    packages = run_demo.DEMOS[name]["packages"]
    needs.check(*[needs.VENV] * bool(packages))
    godot = find_godot.find()
    python = pypi.programs(packages) / "python" if packages else sys.executable
    addon.build()
    say(f"demo {name}")
    # The folder for the files that the demo saves.
    folder = TARGET / "demo"
    folder.mkdir(exist_ok=True)
    command = [sys.executable, ROOT / "tools/run_demo.py", "--godot", godot, "--python", python]
    must([*command, *options, name], f"the demo {name} failed", cwd=folder)


def bridge(is_window):
    """Runs the demo of the bridge, which needs the Python package."""
    from . import test_bridge

    needs.check(needs.VENV)
    godot = find_godot.find()
    python = test_bridge.python()
    addon.build()
    run_bridge.run(godot, python, is_window)
