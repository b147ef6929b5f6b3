"""The demo water: a ball on water that numpy computes, which goes on after a kill of either side."""

import signal

import pytest
from harness import projects
from harness.demos import (
    PACKAGE,
    Side,
    after,
    needs_package,
    partner,
    run_demo,
    scene,
)
from harness.marks import linux_only, same_for_every_user
from harness.session import file_of

pytestmark = [linux_only, same_for_every_user, needs_package]


@pytest.fixture(autouse=True)
def no_name_left(cleanup):
    cleanup.callback(file_of("SharedMemoryWater").unlink, missing_ok=True)


def test_demo_water(session):
    said = run_demo(session, "water")
    shown = after(said, "Godot shows step ")
    assert len(shown) == 2, "once in each order"
    # Each step had waves that came from Python: the water is neither flat nor still.
    for line in shown:
        _step, low, high = (float(word) for word in line.split() if word[-1].isdigit())
        assert -30 < low < -0.1
        assert low < high < 30


def test_water_goes_on_with_next_python_after_kill(session):
    godot = Side(session, scene(session, "water"))
    first = Side(session, partner("water.py", python=PACKAGE))
    first.read_until("step 0: ")
    first.end(signal.SIGKILL)
    second = Side(session, partner("water.py", python=PACKAGE))
    assert godot.wait() == 0, godot.lines
    assert projects.errors_in(godot.lines) == []
    second.end(signal.SIGINT)
    assert "Traceback" not in "".join(second.lines)


def test_water_goes_on_with_next_godot_after_kill(session):
    python = Side(session, partner("water.py", python=PACKAGE))
    killed = Side(session, scene(session, "water"))
    python.read_until("step 0: ")
    killed.end(signal.SIGKILL)
    godot = Side(session, scene(session, "water"))
    assert godot.wait() == 0, godot.lines
    assert projects.errors_in(godot.lines) == []
    python.end(signal.SIGINT)
    assert "Traceback" not in "".join(python.lines)
