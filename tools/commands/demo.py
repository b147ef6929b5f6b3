"""build.sh demo: Godot and its Python partner, side by side."""

import os
import sys

import addon
import find_godot
import needs
import python_package
import run_bridge
import run_demo
from common import ROOT, TARGET, Failure, must, parse, say

from . import wheel

NAMES = "\n".join(f"  {name:<10} {about['help']}" for name, about in run_demo.DEMOS.items())
HELP = f"""\
Usage: ./build.sh demo [NAME] [--window | --picture PATH] [--ray]

Builds the addon, starts the demo NAME in Godot and its partner in Python, and shows the output of both. Runs
twice, with either side starting first, ends by itself, and fails if either side fails. All demos but hello
need the Python package, which is built and installed in target/package-venv, with numpy and gymnasium from
PyPI. That needs Python 3.11 or newer.

Without Rust, give it the files of a release: SHARED_MEMORY_LIBRARY names the addon's zip, and
SHARED_MEMORY_WHEEL the wheel for this system.

{NAMES}
  {"bridge":<10} {run_bridge.HELP}

  --window   show the demo in a window instead, until it is closed; lines typed here go to the Python side
  --picture PATH
             save a picture of the window as PNG, on the screen DISPLAY or on one of Xvfb
  --ray      let the demo rl learn on a cluster of Ray, which comes from PyPI into target/ray-venv
"""


def main(arguments):
    words, options = parse("demo", arguments, options=("--window", "--picture=", "--ray"), most=1)
    name = words[0] if words else "hello"
    if "--ray" in options and name != "rl":
        raise Failure(f"demo: --ray is for the demo rl, not for {name} (see ./build.sh demo --help)")
    if name == "bridge":
        bridge("--window" in options)
        return
    # Before minutes of building: an unknown name, and no Godot.
    run_demo.check_name(name)
    needs_package = run_demo.DEMOS[name]["needs_package"]
    if needs_package:
        wheel.check_python()
    is_given = addon.is_given() and (python_package.is_given() or not needs_package)
    needs.check(*[needs.VENV] * needs_package, builds=not is_given)
    godot = find_godot.find()
    venv = ("ray", "ray-venv") if "--ray" in options else ()
    python = python_package.python(*venv) if needs_package else sys.executable
    addon.build()
    say(f"demo {name}")
    # The folder for the files that the demo saves.
    folder = TARGET / "demo"
    folder.mkdir(exist_ok=True)
    command = [sys.executable, ROOT / "tools/run_demo.py", "--godot", godot, "--python", python]
    command += ["--window"] if "--window" in options else []
    command += ["--ray"] if "--ray" in options else []
    # The demo runs in another folder.
    command += ["--picture", os.path.abspath(options["--picture"])] if "--picture" in options else []
    must([*command, name], f"the demo {name} failed", cwd=folder)


def bridge(is_window):
    """Runs the demo of the bridge, which needs the Python package."""
    from . import test_bridge

    wheel.check_python()
    needs.check(needs.VENV, builds=not (addon.is_given() and python_package.is_given()))
    godot = find_godot.find()
    python = test_bridge.python()
    addon.build()
    run_bridge.run(godot, python, is_window)
