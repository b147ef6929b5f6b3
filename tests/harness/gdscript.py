"""Test files in GDScript: found by their text, run in one Godot process each."""

import re

import pytest

from .effort import seconds_more
from .judge import Judge
from .marks import same_for_every_user
from .session import PROJECT, RUNNER, SESSION

# For a file that hangs. A busy machine takes several times as long as a quiet one.
TIME_LIMIT = 180
LOG_LINES_SHOWN = 60

_TEST = re.compile(r"^func (test_\w+)\(", re.MULTILINE)
# A file that needs longer says so in a comment.
_TIME_LIMIT = re.compile(r"^# time limit: (\d+) s$", re.MULTILINE)
_SAME_FOR_EVERY_USER = re.compile(r"^# same for every user$", re.MULTILINE)


class TestFile:
    """A test file. Godot does not list the tests, because a file that it can't load must fail."""

    __test__ = False

    def __init__(self, path, project=PROJECT):
        text = path.read_text(encoding="utf-8")
        limit = _TIME_LIMIT.search(text)
        self.label = path.name
        self.is_same_for_every_user = bool(_SAME_FOR_EVERY_USER.search(text))
        self.time_limit = (int(limit[1]) if limit else TIME_LIMIT) + seconds_more()
        # Each test with its line, counted from 0.
        self.tests = {
            found[1]: text.count("\n", 0, found.start())
            for found in _TEST.finditer(text)
        }
        self._resource = "res://" + path.relative_to(project).as_posix()

    def run(self, session, tests=None, project=PROJECT, game=None, environment=None):
        """Runs tests in a project, or in an exported game, whose main scene has to be in_game.tscn."""
        tests = list(self.tests) if tests is None else tests
        editor = [session.godot, "--headless", "--path", project, "-s", RUNNER]
        command = [
            *([game, "--headless"] if game else editor),
            "--",
            f"--file={self._resource}",
            f"--tests={','.join(tests)}",
            f"--seed={session.seed}",
            f"--prefix={session.name()}_",
        ]
        options = {"env": environment} if environment else {}
        code, lines = session.run(command, self.time_limit, **options)
        judge = Judge(self.label, tests)
        for line in lines:
            judge.read(line)
        judge.close(code, None if code is not None else self.time_limit)
        return judge


class Collector(pytest.File):
    """A test file for pytest. Its setup runs the selected tests; each item then reports its result."""

    def collect(self):
        self.file = TestFile(self.path)
        for test, line in self.file.tests.items():
            item = Item.from_parent(self, name=test, line=line)
            if self.file.is_same_for_every_user:
                item.add_marker(same_for_every_user)
            yield item

    def setup(self):
        selected = [item.name for item in self.session.items if item.parent is self]
        self.judge = self.file.run(self.config.stash[SESSION], selected)

    def teardown(self):
        whole = self.judge.whole
        if whole.problems:
            told = [whole.name, *whole.problems, "its log:", *shown(whole.log)]
            pytest.fail("\n".join(told), pytrace=False)


class Item(pytest.Item):
    def __init__(self, *, line, **options):
        super().__init__(**options)
        self._line = line
        # The process of the file has a time limit instead.
        self.add_marker(pytest.mark.timeout(0))

    def runtest(self):
        result = self.result()
        self.user_properties += [("note", note) for note in result.notes]
        self.add_report_section("call", "log", "\n".join(shown(result.log)))
        if result.problems:
            pytest.fail("\n".join(result.problems), pytrace=False)
        if result.skipped is not None:
            pytest.skip(result.skipped)

    def result(self):
        return self.parent.judge.results[self.name]

    def reportinfo(self):
        return self.path, self._line, f"{self.path.name}:{self.name}"


def shown(log):
    """Returns the end of a log."""
    left_out = len(log) - LOG_LINES_SHOWN
    return [f"({left_out} lines more)"] * (left_out > 0) + log[-LOG_LINES_SHOWN:]
