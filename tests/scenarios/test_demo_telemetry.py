"""The demo telemetry: the instruments show what the simulator published, even if it is killed."""

import re
import signal
import subprocess

import pytest
from harness import projects
from harness.demos import (
    PACKAGE,
    PARTNERS,
    Side,
    after,
    needs_package,
    partner,
    run_demo,
    scene,
)
from harness.marks import linux_only, same_for_every_user
from harness.session import file_of

pytestmark = [same_for_every_user, linux_only, needs_package]

SHOWN = re.compile(
    r"([\d.]+) s: ([\d.]+) km/h, (\d+) rpm, gear (\d), throttle ([\d.]+), brake ([\d.]+)"
)
SAYS = "Godot says: "
WAITING = "Waiting for a simulator, such as demo/python/simulator.py."
HERE = "The simulator is here."
SILENT = "The simulator is silent: it hangs."
# Prints what the simulator publishes at a time in seconds: its values depend on nothing else.
PUBLISHED = """
import sys

sys.path.insert(0, sys.argv[1])
import simulator

car = simulator.Car()
for step in range(1, round(float(sys.argv[2]) * simulator.RATE) + 1):
    values = car.step(step / simulator.RATE, 1 / simulator.RATE)
print(*values)
"""


@pytest.fixture(autouse=True)
def no_name_left(cleanup):
    cleanup.callback(file_of("SharedMemoryTelemetry").unlink, missing_ok=True)


def test_demo_telemetry(session):
    shown = after(run_demo(session, "telemetry"), "Godot shows ")
    assert len(shown) == 2, "once in each order"
    for line in shown:
        assert_published(line)
    # Ctrl+C has ended the simulators.
    assert not file_of("SharedMemoryTelemetry").exists()


@pytest.mark.parametrize("number", ["SIGINT", "SIGKILL"])
def test_demo_telemetry_finds_next_simulator(session, number):
    godot = Side(session, scene(session, "telemetry"))
    first = start_simulator(session)
    godot.read_until(SAYS + HERE)
    first.end(getattr(signal, number))
    godot.read_until(SAYS + WAITING)
    second = start_simulator(session)
    assert_ends_well(godot, [HERE, WAITING, HERE])
    assert second.end(signal.SIGINT) == 0, second.lines


def test_demo_telemetry_notices_a_simulator_that_hangs(session):
    godot = Side(session, scene(session, "telemetry"))
    simulator = start_simulator(session)
    godot.read_until(SAYS + HERE)
    simulator.process.send_signal(signal.SIGSTOP)
    godot.read_until(SAYS + SILENT)
    simulator.process.send_signal(signal.SIGCONT)
    assert_ends_well(godot, [HERE, SILENT, HERE])
    assert simulator.end(signal.SIGINT) == 0, simulator.lines


def test_next_godot_finds_the_same_simulator(session):
    simulator = start_simulator(session)
    killed = Side(session, scene(session, "telemetry"))
    killed.read_until(SAYS + HERE)
    killed.end(signal.SIGKILL)
    assert_ends_well(Side(session, scene(session, "telemetry")), [HERE])
    assert simulator.end(signal.SIGINT) == 0, simulator.lines


def start_simulator(session):
    return Side(session, partner("simulator.py", python=PACKAGE))


def assert_ends_well(godot, states):
    shown = godot.read_until("Godot shows ")
    assert godot.wait() == 0, godot.lines
    assert projects.errors_in(godot.lines) == []
    assert after(godot.lines, SAYS) == states
    assert_published(shown)


def assert_published(shown):
    """Compares what the instruments show with what the simulator publishes at that time."""
    numbers = [float(number) for number in SHOWN.fullmatch(shown).groups()]
    done = subprocess.run(
        [PACKAGE, "-c", PUBLISHED, PARTNERS, str(numbers[0])],
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        check=True,
    )
    values = [float(value) for value in done.stdout.split()]
    time, speed, rpm, throttle, brake, _steering, gear, _x, _y = values
    # Each is rounded to its last digit.
    steps = [0.001, 0.1, 1, 1, 0.01, 0.01]
    for one, other, step in zip(
        numbers, [time, speed, rpm, gear, throttle, brake], steps
    ):
        assert one == pytest.approx(other, rel=0, abs=0.51 * step), shown
