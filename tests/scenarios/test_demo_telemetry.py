"""The demo telemetry: the instruments show what the simulator published, even if it is killed."""

import re
import signal
import subprocess

import pytest
from harness import projects
from harness.demos import after, partner, run_demo, scene
from harness.judge import plain
from harness.marks import same_for_every_user
from harness.session import file_of

pytestmark = same_for_every_user

NUMBER = re.compile(r"\d+(?:\.\d+)?")
WAITING = "Waiting for the simulator: python3 demo/python/simulator.py"
HERE = "The simulator is here."
SILENT = "The simulator is silent: it hangs, or was killed."


@pytest.fixture(autouse=True)
def no_name_left(cleanup):
    cleanup.callback(file_of("SharedMemoryTelemetry").unlink, missing_ok=True)


def test_demo_telemetry(session):
    said = run_demo(session, "telemetry")
    shown = after(said, "Godot shows ")
    published = after(said, "Python was read up to ")
    assert len(shown) == 2, "once in each order"
    assert len(published) == 2, "once in each order"
    for one, other in zip(shown, published):
        assert_same_record(one, other)


@pytest.mark.parametrize(
    ("number", "told"),
    [("SIGTERM", WAITING), ("SIGKILL", SILENT)],
    ids=["SIGTERM", "SIGKILL"],
)
def test_demo_telemetry_finds_next_simulator(session, number, told):
    godot = start(session, scene(session, "telemetry"))
    first = start(session, partner("simulator.py"))
    with godot.stdout as words, first.stdout:
        lines = []
        read_until(words, lines, HERE)
        first.send_signal(getattr(signal, number))
        first.wait(20)
        read_until(words, lines, told)
        second = start(session, partner("simulator.py", "--auto"))
        with second.stdout:
            lines += [plain(line.rstrip()) for line in words]
            assert godot.wait(20) == 0, lines
            published = after(
                second.stdout.read().splitlines(), "Python was read up to "
            )
            assert second.wait(20) == 0
    assert after(lines, "Godot says: ") == [HERE, told, HERE]
    assert projects.errors_in(lines) == []
    assert len(published) == 1
    assert_same_record(after(lines, "Godot shows ")[0], published[0])


def start(session, command):
    return session.start(command, stdout=subprocess.PIPE, text=True)


def read_until(words, lines, end):
    for line in words:
        lines.append(plain(line.rstrip()))
        if lines[-1] == f"Godot says: {end}":
            return
    pytest.fail(f"Godot did not say {end!r}:\n" + "\n".join(lines))


def assert_same_record(shown, published):
    """Compares two descriptions: words, number of the record, and the values except for their rounding."""
    assert NUMBER.sub("#", shown) == NUMBER.sub("#", published)
    pairs = list(zip(NUMBER.findall(shown), NUMBER.findall(published)))
    assert pairs[0][0] == pairs[0][1]
    for one, other in pairs[1:]:
        step = 10.0 ** -len(one.partition(".")[2])
        assert float(one) == pytest.approx(float(other), rel=0, abs=1.01 * step)
