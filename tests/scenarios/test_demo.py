"""The demo hello: Godot and Python understand each other, whichever starts first."""

import pathlib
import shutil
import signal
import subprocess
import time

from harness.demos import DEMO, Demo
from harness.gdscript import TestFile
from harness.projects import list_addon, make
from harness.session import PROJECT

GREETING = "Hello world from {} Shared Memory!"


class Hello(Demo):
    # A Godot that is ended by a signal leaves the name of its memory, as any killed program does.
    names = ("SharedMemoryExample",)

    def test_demo_hello(self):
        said = self.run_demo("hello")
        for listener, speaker in (("Python", "Godot"), ("Godot", "Python")):
            heard = f"{listener} received: {GREETING.format(speaker)}"
            self.assertEqual(said.count(heard), 2, f"once for each order: {said}")

    def test_nothing_outlives_it(self):
        if not pathlib.Path("/proc/self/stat").exists():
            self.skipTest("there is no /proc to tell of processes")
        demo = self.session.start(
            self.runner("hello"), stdout=subprocess.PIPE, text=True
        )
        with demo.stdout:
            # From here on, a Godot is running; its partner comes a moment later.
            self.assertIn("starts first", demo.stdout.readline())
            time.sleep(0.3)
            demo.send_signal(signal.SIGTERM)
            self.assertEqual(demo.wait(20), 128 + signal.SIGTERM)
        self.assertEqual(still_running(), [])


class Readers(Demo):
    def test_readers_of_the_demos(self):
        folder = make(self.session, "readers")
        for script in (DEMO / "telemetry/record.gd", DEMO / "video/frames.gd"):
            (folder / script.parent.name).mkdir()
            shutil.copy(script, folder / script.parent.name)
        for script in ("runner.gd", "test_case.gd"):
            shutil.copy(PROJECT / script, folder)
        list_addon(folder)
        tests = TestFile(folder / "test_readers.gd", "", folder)
        results = list(tests.run(self.session, folder))
        self.assertEqual([(r.name, r.problems) for r in results if r.problems], [])
        self.assertEqual(len(results), 2)


def still_running():
    """Return what still runs of an unattended demo, wherever it was put."""
    left = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--auto" in words:
            left.append(b" ".join(words).decode(errors="replace"))
    return left
