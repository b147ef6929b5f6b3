"""The demos hello and chat: Godot and Python understand each other, whichever starts first."""

import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest
from harness.demos import DEMO, partner, run_demo, runner, scene
from harness.gdscript import TestFile
from harness.marks import linux_only
from harness.projects import list_addon, make
from harness.session import PROJECT, REPOSITORY, file_of, wait_until

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


def test_demo_chat(session):
    said = run_demo(session, "chat")
    for listener, speaker in (("Python", "Godot"), ("Godot", "Python")):
        heard = f"{listener} received: {GREETING.format(speaker)}"
        assert said.count(heard) == 2, f"once for each order: {said}"


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


def test_readers_of_the_demos(session):
    folder = make(session, "readers")
    for script in (DEMO / "telemetry/record.gd", DEMO / "video/frames.gd"):
        (folder / script.parent.name).mkdir()
        shutil.copy(script, folder / script.parent.name)
    (folder / "harness").mkdir()
    for script in ("harness/runner.gd", "test_case.gd"):
        shutil.copy(PROJECT / script, folder / script)
    list_addon(folder)
    judge = TestFile(folder / "test_readers.gd", folder).run(session, project=folder)
    assert judge.failures() == {}
    assert len(judge.results) == 2


def still_running():
    """Returns the command lines of unattended demos that still run, from any folder."""
    left = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--auto" in words:
            left.append(b" ".join(words).decode(errors="replace"))
    return left
