"""Test files in GDScript: found by their text, run in one Godot process each."""

import re

from .effort import seconds_more
from .judge import Judge
from .session import PROJECT, RUNNER

TIME_LIMIT = 60

_TEST = re.compile(r"^func (test_\w+)\(", re.MULTILINE)
# A file that needs longer says so in a comment.
_TIME_LIMIT = re.compile(r"^# time limit: (\d+) s$", re.MULTILINE)


def discover(folder, wanted):
    """Return a group for every file with tests whose name contains `wanted`.

    Godot does not have a say in what tests there are: a file that it can't even load must fail.
    """
    files = [TestFile(path, wanted) for path in sorted(folder.glob("test_*.gd"))]
    return [file for file in files if file.tests]


class TestFile:
    def __init__(self, path, wanted, project=PROJECT):
        text = path.read_text(encoding="utf-8")
        limit = _TIME_LIMIT.search(text)
        self.label = path.name
        self.time_limit = int(limit.group(1)) if limit else TIME_LIMIT
        self.time_limit += seconds_more()
        self.tests = [t for t in _TEST.findall(text) if wanted in self._full(t)]
        self._resource = "res://" + path.relative_to(project).as_posix()

    # `test_case.gd` is the base class, and has none.
    def _full(self, test):
        return f"{self.label}:{test}"

    def names(self):
        return [self._full(test) for test in self.tests]

    def run(self, session, project=PROJECT, game=None):
        """Run them in a project, or in an exported game, whose main scene has to be in_game.tscn."""
        editor = [session.godot, "--headless", "--path", project, "-s", RUNNER]
        command = [
            *([game, "--headless"] if game else editor),
            "--",
            f"--file={self._resource}",
            f"--tests={','.join(self.tests)}",
            f"--seed={session.seed}",
            f"--prefix={session.name()}_",
        ]
        code, lines = session.run(command, self.time_limit)
        judge = Judge(self.label, dict(zip(self.tests, self.names())))
        for line in lines:
            judge.read(line)
        return judge.close(code, None if code is not None else self.time_limit)
