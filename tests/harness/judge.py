"""The judge of a log: the marks of the tests in it, and the errors that are printed between them.

The Godot side (test_case.gd, runner.gd, agent.gd) writes marks between the lines that Godot and the addon
print. All are on stderr, which keeps their order. A test fails

- if it has a `fail` mark: an assertion did not hold,
- if an error or warning is printed that the test does not expect at that point, or any panic,
- if an error that it expects is not printed before the next assertion,
- if it makes no assertion, or does not reach its end.
"""

import dataclasses
import json
import re
from typing import Optional

MARK = "##test## "

# The words before an error depend on Godot's version and on the error's kind. A Rust panic should come as one
# of these, but counts without them, too.
_ERROR_LINE = re.compile(
    r"\s*(USER |SCRIPT |USER SCRIPT |PARSE |SHADER )*(ERROR|WARNING): |.*panicked at "
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclasses.dataclass
class Result:
    """The outcome of a test, or of a whole process."""

    name: str
    problems: list = dataclasses.field(default_factory=list)
    log: list = dataclasses.field(default_factory=list)
    # Shown even if it passed: seeds, how much was done.
    notes: list = dataclasses.field(default_factory=list)
    skipped: Optional[str] = None
    seconds: float = 0.0


def plain(line):
    return _COLOUR.sub("", line.rstrip("\r\n"))


def is_error(line):
    return _ERROR_LINE.match(line) is not None


def mark_in(line):
    """Returns the mark in this line, or None. Text that was printed without a line end may precede it."""
    found = line.find(MARK)
    return None if found < 0 else json.loads(line[found + len(MARK) :])


class Printed:
    """Compares the errors that are printed with the expected ones, one to one, in order."""

    def __init__(self):
        self._expected = []
        self._allowed = []

    def expect(self, text):
        self._expected.append(text)

    def allow(self, text):
        """Accepts any number of errors with this text, where their number depends on timing."""
        self._allowed.append(text)

    def see(self, line):
        """Returns what is wrong with this line, or None."""
        if not is_error(line):
            return None
        if "panicked" in line:
            return f"a panic, which no test may expect: {line.strip()}"
        if self._expected and self._expected[0] in line:
            del self._expected[0]
            return None
        if any(text in line for text in self._allowed):
            return None
        return f"printed, and not expected here: {line.strip()}"

    def settle(self):
        """Returns the errors that should have been printed before."""
        missing = [f"expected, and not printed: {text}" for text in self._expected]
        self._expected.clear()
        self._allowed.clear()
        return missing


class Judge:
    """Reads the log of a test file's process, line by line, into one Result per test."""

    def __init__(self, label, tests):
        self.results = {test: Result(f"{label}:{test}") for test in tests}
        # For lines outside the tests: before the first, between two, after the last.
        self.whole = Result(f"{label} (the process)")
        self.current = None
        self.closed = None
        self._ended = {}
        self._printed = Printed()

    def read(self, line):
        line = plain(line)
        mark = mark_in(line)
        place = self.results[self.current] if self.current else self.whole
        if mark is None:
            place.log.append(line)
            self._add(place, self._printed.see(line))
            return
        event = mark.pop("event")
        place.log.append(f"-- {event} {' '.join(str(mark[key]) for key in mark)}")
        getattr(self, "_on_" + event)(place, **mark)

    def _add(self, result, *problems):
        result.problems += [problem for problem in problems if problem]

    def _on_begin(self, _place, test):
        self.current = test

    def _on_expect(self, _place, text):
        self._printed.expect(text)

    def _on_allow(self, _place, text):
        self._printed.allow(text)

    def _on_settle(self, place):
        self._add(place, *self._printed.settle())

    def _on_fail(self, place, message, where):
        self._add(place, f"{message} ({where})" if where else message)

    def _on_skip(self, place, why):
        place.skipped = why

    def _on_note(self, place, text):
        place.notes.append(text)

    def _on_end(self, place, test, assertions, seconds):
        self._add(place, *self._printed.settle())
        place.seconds = seconds
        self._ended[test] = assertions
        if assertions == 0 and place.skipped is None:
            self._add(place, "it asserted nothing")
        self.current = None

    def _on_done(self, _place, tests, assertions):
        self.closed = (tests, assertions)

    def close(self, exit_code, hung_after=None):
        """Judges what is missing, after the process has ended or was killed."""
        for test, result in self.results.items():
            if test in self._ended:
                continue
            if test != self.current:
                self._add(result, "it never ran")
            elif hung_after is not None:
                self._add(result, f"it did not end within {hung_after:g} s: killed")
            else:
                self._add(result, "the process ended in the middle of it")

        if hung_after is not None:
            self._add(self.whole, f"no end within {hung_after:g} s: killed")
        elif exit_code != 0:
            self._add(self.whole, f"the exit code was {exit_code}")
        promised = (len(self.results), sum(self._ended.values()))
        if self.closed is None:
            self._add(self.whole, "the closing line is missing")
        elif self.closed != promised:
            self._add(
                self.whole,
                f"the closing line counts {self.closed[0]} tests and {self.closed[1]} assertions,"
                f" not {promised[0]} and {promised[1]}",
            )

    def failures(self):
        """Returns the problems by name. The process can fail even if each of its tests passes."""
        results = [*self.results.values(), self.whole]
        return {result.name: result.problems for result in results if result.problems}
