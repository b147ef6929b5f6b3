"""The demos hello and chat: Godot and Python understand each other, whichever starts first."""

import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from harness.constants import OK
from harness.demos import (
    DEMO,
    PACKAGE,
    PARTNERS,
    Side,
    needs_package,
    partner,
    run_demo,
    runner,
    scene,
)
from harness.marks import linux_only
from harness.projects import errors_in
from harness.session import REPOSITORY, file_of, wait_until

GREETING = "Hello world from {} Shared Memory!"
HELLO, CHAT = "hello_example", "SharedMemoryChat"


@pytest.fixture(autouse=True)
def no_name_left(cleanup):
    """Removes the names at the end: a Godot that is ended by a signal leaves them."""
    for name in (HELLO, CHAT):
        cleanup.callback(file_of(name).unlink, missing_ok=True)


@linux_only
def test_demo_hello(session):
    said = run_demo(session, "hello")
    for text in ("Hello from Python!", "Hello from Godot!"):
        assert said.count(text) == 2, f"once for each order: {said}"


@linux_only
def test_hello_answers_next_godot_after_kill(session):
    memory = file_of(HELLO)
    killed = session.start(scene(session, "hello"), stdout=subprocess.DEVNULL)
    wait_until(lambda: memory.exists() and memory.read_bytes()[0] != 0)
    killed.kill()
    killed.wait(20)
    python = session.start(partner("hello.py"), stdout=subprocess.PIPE, text=True)
    wait_until(lambda: memory.read_bytes()[512:530] == b"Hello from Python!")
    code, lines = session.run(scene(session, "hello"), 30)
    assert code == 0, lines
    assert "Hello from Python!" in lines
    told, _ = python.communicate(timeout=20)
    assert (python.returncode, told) == (0, "Hello from Godot!\n")


def test_hello_has_code_of_readme():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    example = re.search(r"^```gdscript\n(.*?)^```", readme, re.M | re.S)[1]
    script = iter((DEMO / "hello/hello.gd").read_text(encoding="utf-8").splitlines())
    for line in example.splitlines():
        # The script is of a node that shows the texts, too.
        if not line.startswith("extends") and "#" not in line:
            assert line in script, "the same lines in the same order"


@linux_only
def test_scripts_beside_hello_write_and_read_a_text(session, memory, name):
    assert memory.create(name, 1024) == OK
    for script, word in (("write.py", "written: "), ("read.py", "")):
        command = [sys.executable, PARTNERS / script, name]
        assert session.run(command, 30) == (0, [word + GREETING.format("Python")])


@needs_package
def test_demo_chat(session):
    said = run_demo(session, "chat")
    for listener, speaker in (("Python", "Godot"), ("Godot", "Python")):
        heard = f"{listener} received: {GREETING.format(speaker)}"
        assert said.count(heard) == 2, f"once for each order: {said}"


@needs_package
@linux_only
def test_chat_of_python_goes_on_with_the_next_godot(session):
    python = Side(session, partner("chat.py", python=PACKAGE))
    for godot_ends in (False, True):
        godot = Side(session, scene(session, "chat"))
        python.read_until("[Godot is here]")
        assert python.read_until("Godot: ") == GREETING.format("Godot")
        if godot_ends:
            python.type(GREETING.format("Python"))
            godot.read_until(f"Godot received: {GREETING.format('Python')}")
            assert godot.wait() == 0, godot.lines
            assert errors_in(godot.lines) == []
        else:
            godot.end(signal.SIGKILL)
        python.read_until("[Godot has left]")
    python.type("nobody is there")
    assert "no partner" in python.read_until("[not sent: ")
    assert python.end(signal.SIGINT) == 0, python.lines
    assert not file_of(CHAT).exists()


@needs_package
@linux_only
def test_chat_of_godot_goes_on_with_the_next_python(session):
    godot = Side(session, scene(session, "chat"))
    first = Side(session, partner("chat.py", python=PACKAGE))
    godot.read_until("Godot sent: ")
    first.read_until("Godot: ")
    first.end(signal.SIGKILL)
    second = Side(session, partner("chat.py", "--auto", python=PACKAGE))
    assert godot.read_until("Godot sent: ") == GREETING.format("Godot")
    assert godot.read_until("Godot received: ") == GREETING.format("Python")
    assert (godot.wait(), second.wait()) == (0, 0), godot.lines + second.lines
    assert errors_in(godot.lines) == []


# Writes messages of any kind, also of numbers that are none.
NONSENSE = """
import array, itertools, math, sys, time
import godot_shared_memory as gsm
import numpy

numbers = (math.nan, math.inf, -math.inf, 3e38, -3e38, 1)
values = ["x", {"a": 1}, [1, 2], b"123", 5, array.array("d", [1] * 9)]
values += [array.array("f", [number] * count) for number in numbers for count in (8, 9, 10)]
shapes = ((4, 4), (1, 20000, 1), (3, 3, 2), (3, 3, 3), (2, 3, 4))
values += [numpy.zeros(shape, "u1") for shape in shapes]
values.append(gsm.image(numpy.zeros((3, 3, 4), "u1"), "BGRA8"))
with gsm.Stream.create(sys.argv[1], 1 << 16) as stream:
    print("begins")
    for value in itertools.cycle(values):
        stream.write(value)
        time.sleep(0.005)
"""


@needs_package
@linux_only
@pytest.mark.parametrize(
    ("kind", "stream"),
    [("telemetry", "SharedMemoryTelemetry"), ("video", "SharedMemoryVideo")],
)
def test_scene_survives_any_message(session, cleanup, kind, stream):
    cleanup.callback(file_of(stream).unlink, missing_ok=True)
    writer = Side(session, [PACKAGE, "-u", "-c", NONSENSE, stream])
    writer.read_until("begins")
    command = [session.godot, "--headless", "--path", DEMO, "--quit-after", "200"]
    code, lines = session.run([*command, f"res://{kind}/{kind}.tscn"], 60)
    assert (code, errors_in(lines)) == (0, [])
    assert writer.process.poll() is None, "it wrote all the time"
    writer.end(signal.SIGKILL)


def test_demo_names_a_given_wheel_that_is_missing(session):
    given = "SHARED_MEMORY_LIBRARY", "SHARED_MEMORY_WHEEL"
    environment = session.environment()
    environment.update(dict.fromkeys(given, "/nothing.whl"), GODOT=session.godot)
    command = [sys.executable, REPOSITORY / "tools", "demo", "chat"]
    code, lines = session.run(command, 60, env=environment)
    assert code == 1
    problem = "SHARED_MEMORY_WHEEL is set to '/nothing.whl', which is not a file."
    assert lines[-1] == f"build.sh: {problem}"


@needs_package
@linux_only
def test_no_process_outlives_demo(session):
    demo = session.start(runner(session, "chat"), stdout=subprocess.PIPE, text=True)
    with demo.stdout:
        # From here on, a Godot is running; its partner comes a moment later.
        assert "starts first" in demo.stdout.readline()
        time.sleep(0.3)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(20) == 128 + signal.SIGTERM
    assert still_running() == []


def still_running():
    """Returns the command lines of unattended demos of this folder that still run."""
    left = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--auto" in words and any(str(DEMO).encode() in word for word in words):
            left.append(b" ".join(words).decode(errors="replace"))
    return left
