"""The demos, run as ./build.sh demo runs them, or one side at a time."""

import sys

from . import projects
from .judge import plain
from .scenario import Scenario
from .session import REPOSITORY, SHARED

RUNNER = REPOSITORY / "tools/demo.py"
DEMO = REPOSITORY / "demo"
PARTNERS = DEMO / "python"


class Demo(Scenario):
    """What the scenarios of the demos extend. `names`: of the memory, which a kill may leave behind."""

    names = ()

    def setUp(self):
        if not RUNNER.exists():
            self.skipTest("run from the repository only")
        for name in self.names:
            self.addCleanup((SHARED / name).unlink, missing_ok=True)

    def runner(self, name, *options):
        return [
            sys.executable,
            "-u",
            RUNNER,
            "--godot",
            self.session.godot,
            *options,
            name,
        ]

    def run_demo(self, name, *options):
        """Run both sides in both orders; return what they said, without saying who."""
        command = self.runner(name, *options)
        code, lines = self.session.run(command, 110, cwd=self.session.folder)
        told = "\n".join(lines)
        self.assertEqual(code, 0, told)
        said = [plain(line).partition("] ")[2] for line in lines]
        self.assertEqual(projects.errors_in(said), [], told)
        return said

    def scene(self, name):
        """The command for one side: the scene, by itself."""
        scene = f"res://{name}/{name}.tscn"
        return [
            self.session.godot,
            "--headless",
            "--path",
            DEMO,
            scene,
            "--",
            "--auto",
        ]

    def partner(self, script, *options, python=sys.executable):
        """The command for the other side."""
        return [python, "-u", PARTNERS / script, *options]


def after(lines, beginning):
    """What follows `beginning` in each line that has it."""
    return [line[len(beginning) :] for line in lines if line.startswith(beginning)]
