"""The demo: Godot and Python greet each other, whichever starts first."""

import sys

from harness import projects
from harness.judge import plain
from harness.scenario import Scenario
from harness.session import REPOSITORY

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
