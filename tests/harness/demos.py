"""The demos, run as ./build.sh demo runs them, or one side at a time."""

import sys

from . import projects
from .judge import plain
from .session import REPOSITORY

DEMO = REPOSITORY / "demo"
PARTNERS = DEMO / "python"


def runner(session, name, *options):
    """Returns the command that runs both sides of a demo."""
    tool = REPOSITORY / "tools/run_demo.py"
    return [sys.executable, "-u", tool, "--godot", session.godot, *options, name]


def run_demo(session, name, *options, **environment):
    """Runs both sides in both orders; returns what they said, without their names."""
    command = runner(session, name, *options)
    environment = {**session.environment(), **environment}
    code, lines = session.run(command, 110, cwd=session.folder, env=environment)
    told = "\n".join(lines)
    assert code == 0, told
    said = [plain(line).partition("] ")[2] for line in lines]
    assert projects.errors_in(said) == [], told
    return said


def scene(session, name):
    """Returns the command for one side: the scene."""
    path = f"res://{name}/{name}.tscn"
    return [session.godot, "--headless", "--path", DEMO, path, "--", "--auto"]


def partner(script, *options, python=sys.executable):
    """Returns the command for the other side."""
    return [python, "-u", PARTNERS / script, *options]


def after(lines, beginning):
    """Returns the rest of each line that has this beginning."""
    return [line[len(beginning) :] for line in lines if line.startswith(beginning)]
