"""A Godot process that obeys a scenario, call by call."""

import json
import queue
import subprocess
import threading

from .judge import Printed, mark_in, plain
from .session import AGENT, PROJECT, kill

# Scenarios fail where they call the agent, not in here.
__tracebackhide__ = True

TIME_LIMIT = 30
# The characters of a line.
SHOWN = 500
# As in agent.gd: Godot reads long lines in parts, and doesn't tell where a line ended.
END_OF_ORDER = "\x1e\n"


class Agent:
    """Starts agent.gd; every answer and every line that Godot prints comes through one pipe."""

    def __init__(self, session, command=None, script=AGENT, allowed=(), **options):
        self._printed = Printed()
        for text in allowed:
            self._printed.allow(text)
        self.is_over = False
        self._lines = queue.Queue()
        command = command or [session.godot, "--headless", "--path", PROJECT]
        self.process = session.start(
            [*command, "-s", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            **options,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.pid = self._answer("ready")["pid"]

    def memory(self):
        """Makes a SharedMemory in that process; its methods are called as if it were here."""
        return Memory(self, self._order("new", "SharedMemory"))

    def run(self, source, *arguments):
        """Compiles a GDScript and returns what its function `run` returns."""
        return self._order("run", source, list(arguments))

    @staticmethod
    def run_in_all(agents, source, *arguments):
        """Runs it in several processes at once; returns what each returns."""
        for agent in agents:
            agent.send("run", source, list(arguments))
        return [agent.receive() for agent in agents]

    def send(self, *order):
        """Gives an order without waiting for the answer: agent.gd lists the orders."""
        tell(f"-- {order}")
        self.process.stdin.write(literal(list(order)) + END_OF_ORDER)
        self.process.stdin.flush()

    def receive(self):
        """Waits for the answer to the oldest order."""
        value = self._answer("answer")["value"]
        missing = self._printed.settle()
        assert not missing, missing
        return decoded(value)

    def expect_error(self, text):
        """Announces that the next call prints this error."""
        self._printed.expect(text)

    def allow_errors(self, text):
        """Announces that the next call may print any number of errors with this text."""
        self._printed.allow(text)

    def kill(self, children=True):
        """Ends it as the editor's Stop button does: without a warning."""
        self.is_over = True
        if children:
            kill(self.process)
        else:
            self.process.kill()
            self.process.wait(TIME_LIMIT)
        self.process.stdin.close()

    def end_if_alive(self):
        """Asks it to quit, unless it was killed; fails unless it exits with 0."""
        if self.is_over:
            return
        self.is_over = True
        self.process.stdin.close()
        try:
            self._answer("done")
            self._drain()
        finally:
            # Even after an error: a process that is about to end is no leftover.
            code = self.process.wait(TIME_LIMIT)
        assert code == 0, f"the agent's exit code is {code}"

    def _order(self, *order):
        self.send(*order)
        return self.receive()

    def _answer(self, event):
        while True:
            try:
                line = self._lines.get(timeout=TIME_LIMIT)
            except queue.Empty:
                kill(self.process)
                raise AssertionError(f"no answer within {TIME_LIMIT} s") from None
            assert line is not None, f"the agent ended with {self.process.wait()}"
            mark = self._see(line)
            if mark and mark["event"] == event:
                return mark

    def _drain(self):
        while True:
            line = self._lines.get(timeout=TIME_LIMIT)
            if line is None:
                return
            self._see(line)

    def _see(self, line):
        line = plain(line)
        tell(line)
        mark = mark_in(line)
        problem = None if mark else self._printed.see(line)
        assert not problem, problem
        return mark

    def _read(self):
        with self.process.stdout:
            for line in self.process.stdout:
                self._lines.put(line)
        self._lines.put(None)


class Memory:
    """A SharedMemory in an agent: any method by its name, called as `callv` does."""

    def __init__(self, agent, number):
        self._agent = agent
        self._number = number

    def __getattr__(self, method):
        return lambda *arguments: self._agent._order(
            "call", self._number, method, list(arguments)
        )

    def free(self):
        self._agent._order("free", self._number)


def tell(line):
    """Prints a line, which pytest shows if the test fails."""
    print(line if len(line) <= SHOWN else f"{line[:SHOWN]}… ({len(line)} characters)")


def literal(value):
    """Returns the Godot text of a value. JSON alone would make each number a float."""
    if isinstance(value, (bytes, bytearray)):
        return f"PackedByteArray({', '.join(map(str, value))})"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(literal, value))}]"
    return json.dumps(value)


def decoded(value):
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    if isinstance(value, list):
        return [decoded(item) for item in value]
    return value
