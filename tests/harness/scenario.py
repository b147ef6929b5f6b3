"""Scenarios in Python: unittest's cases, with a Godot at hand."""

import contextlib
import importlib.util
import io
import signal
import time
import unittest

from .agent import Agent
from .report import Result
from .session import SHARED

TIME_LIMIT = 120

# Godot's, from @GlobalScope. What the class returns is compared with these.
OK = 0
ERR_UNAVAILABLE = 2
ERR_UNCONFIGURED = 3
ERR_UNAUTHORIZED = 4
ERR_OUT_OF_MEMORY = 6
ERR_FILE_CORRUPT = 16
ERR_CANT_OPEN = 19
ERR_CANT_CREATE = 20
ERR_ALREADY_IN_USE = 22
ERR_TIMEOUT = 24
ERR_INVALID_DATA = 30
ERR_INVALID_PARAMETER = 31
ERR_ALREADY_EXISTS = 32
ERR_DOES_NOT_EXIST = 33
ERR_BUSY = 44

LOCAL_SCOPE = 0
GLOBAL_SCOPE = 1
STATUS_UNINITIALIZED = 0
STATUS_CREATED = 1
STATUS_OPEN = 2
STATUS_ERROR = 3
ACCESS_READ_WRITE = 0
ACCESS_READ_ONLY = 1


class Scenario(unittest.TestCase):
    """What every scenario extends."""

    session = None
    time_limit = TIME_LIMIT
    longMessage = True

    def name(self, label=""):
        return self.session.name(label)

    def note(self, text):
        """Have the runner tell something beside the result, such as a seed."""
        self.notes.append(text)

    def agent(self, **options):
        """Start a Godot that does what it is told. At the end of the test it must end well, or be dead."""
        agent = Agent(self.session, **options)
        self.addCleanup(self._end, agent)
        return agent

    def file(self, name):
        """Return the file that a segment is, on Linux."""
        return SHARED / name

    def foreign(self, name, content):
        """Make a segment as any other program would, for the length of the test."""
        path = self.file(name)
        path.write_bytes(content)
        self.addCleanup(path.unlink, missing_ok=True)
        return path

    @staticmethod
    def _end(agent):
        if not agent.is_over:
            agent.end()


def discover(folder, wanted):
    """Return a group for every file with scenarios whose name contains `wanted`."""
    files = [ScenarioFile(path, wanted) for path in sorted(folder.glob("test_*.py"))]
    return [file for file in files if file.tests]


class ScenarioFile:
    def __init__(self, path, wanted):
        self.label = path.name
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        suite = unittest.defaultTestLoader.loadTestsFromModule(module)
        cases = [case for suite_of_class in suite for case in suite_of_class]
        self.tests = [case for case in cases if wanted in self._full(case)]

    def _full(self, case):
        return f"{self.label}:{case._testMethodName}"

    def names(self):
        return [self._full(case) for case in self.tests]

    def run(self, session):
        for case in self.tests:
            case.session = session
            case.notes = []
            yield self._run(case)

    def _run(self, case):
        result = Result(self._full(case))
        outcome = _Outcome(result)
        began = time.monotonic()
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), _limited(case.time_limit):
            case.run(outcome)
        result.seconds = time.monotonic() - began
        result.log = printed.getvalue().splitlines()
        result.notes = case.notes
        return result


class _Outcome(unittest.TestResult):
    """Turns what unittest finds into a Result."""

    def __init__(self, result):
        super().__init__()
        self._result = result

    def addFailure(self, test, err):
        super().addFailure(test, err)
        # Its text has no frames of unittest's own.
        self._result.problems.append(self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._result.problems.append(self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.addFailure(subtest, err)
            self._result.problems[-1] = f"{subtest}\n{self._result.problems[-1]}"

    def addSkip(self, test, reason):
        self._result.skipped = reason


@contextlib.contextmanager
def _limited(seconds):
    """Stop a scenario that hangs, where the system can."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(_number, _frame):
        raise AssertionError(f"no end within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
