"""The demo hello: Godot and Python understand each other, whichever starts first."""

import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from harness.demos import DEMO, run_demo, runner
from harness.gdscript import TestFile
from harness.marks import linux_only
from harness.projects import list_addon, make
from harness.session import PROJECT, file_of

GREETING = "Hello world from {} Shared Memory!"


@pytest.fixture(autouse=True)
def no_name_left(cleanup):
    """A Godot that is ended by a signal leaves the name of its memory, as any killed program does."""
    cleanup.callback(file_of("SharedMemoryExample").unlink, missing_ok=True)


def test_demo_hello(session):
    said = run_demo(session, "hello")
    for listener, speaker in (("Python", "Godot"), ("Godot", "Python")):
        heard = f"{listener} received: {GREETING.format(speaker)}"
        assert said.count(heard) == 2, f"once for each order: {said}"


@linux_only
def test_no_process_outlives_demo(session):
    demo = session.start(runner(session, "hello"), stdout=subprocess.PIPE, text=True)
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
    for script in ("runner.gd", "test_case.gd"):
        shutil.copy(PROJECT / script, folder)
    list_addon(folder)
    judge = TestFile(folder / "test_readers.gd", folder).run(session, project=folder)
    assert judge.failures() == {}
    assert len(judge.results) == 2


def still_running():
    """Return the command lines of unattended demos that still run, from any folder."""
    left = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--auto" in words:
            left.append(b" ".join(words).decode(errors="replace"))
    return left
