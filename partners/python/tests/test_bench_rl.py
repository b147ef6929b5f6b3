"""The bench beside godot_rl, with a few steps: ./build.sh bench --rl."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

GODOT = os.environ.get("GODOT")
GODOT_RL_PYTHON = os.environ.get("GODOT_RL_PYTHON")
BENCH = pathlib.Path(__file__).parents[3] / "tools/bench_rl.py"


@pytest.mark.skipif(not GODOT or not GODOT_RL_PYTHON, reason="needs Godot and godot_rl")
def test_both_sides_play_the_same_game() -> None:
    command = [sys.executable, BENCH, GODOT, sys.executable, GODOT_RL_PYTHON]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for line in ("64 floats, 16 agents", "84 x 84 x 3, 1 agent", "2 games"):
        assert line in done.stdout
