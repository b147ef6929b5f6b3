"""The demo: Godot and Python greet each other, whichever starts first."""

import pathlib
import signal
import subprocess
import sys
import time

from harness import projects
from harness.judge import plain
from harness.scenario import Scenario
from harness.session import REPOSITORY, SHARED

DEMO = REPOSITORY / "tools/demo.py"
GREETING = "Hello world from {} Shared Memory!"


class Demo(Scenario):
    def test_hello(self):
        if not DEMO.exists():
            self.skipTest("run from the repository only")
        command = [sys.executable, "-u", DEMO, "--godot", self.session.godot, "hello"]
        code, lines = self.session.run(command, 100)
        told = "\n".join(lines)
        self.assertEqual(code, 0, told)
        said = [plain(line).partition("] ")[2] for line in lines]
        self.assertEqual(projects.errors_in(said), [], told)
        for listener, speaker in (("Python", "Godot"), ("Godot", "Python")):
            heard = f"{listener} received: {GREETING.format(speaker)}"
            self.assertEqual(said.count(heard), 2, f"once for each order\n{told}")

    def test_nothing_outlives_it(self):
        if not DEMO.exists() or not pathlib.Path("/proc/self/stat").exists():
            self.skipTest("run from the repository, where /proc tells of processes")
        command = [sys.executable, "-u", DEMO, "--godot", self.session.godot, "hello"]
        # A Godot that is ended by a signal leaves the name of its memory, as any killed program does.
        self.addCleanup((SHARED / "SharedMemoryExample").unlink, missing_ok=True)
        demo = self.session.start(command, stdout=subprocess.PIPE, text=True)
        with demo.stdout:
            # From here on, a Godot is running; its partner comes a moment later.
            self.assertIn("starts first", demo.stdout.readline())
            time.sleep(0.3)
            demo.send_signal(signal.SIGTERM)
            self.assertEqual(demo.wait(20), 128 + signal.SIGTERM)
        self.assertEqual(still_running(), [])


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
