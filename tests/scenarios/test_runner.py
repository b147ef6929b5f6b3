"""The runner itself: it must report what goes wrong in a test, and nothing else."""

import os
import pathlib
import re
import subprocess
import sys
import time

from harness.scenario import Scenario
from harness.session import PROJECT, Session, kill


class Runner(Scenario):
    def run_fixtures(self, *arguments):
        command = [sys.executable, "-u", PROJECT / "run.py"]
        command += ["--godot", self.session.godot, "--folder", PROJECT / "fixtures"]
        code, lines = self.session.run([*command, *arguments], 100)
        self.assertIsNotNone(code, "the runner hangs")
        return code, lines

    def test_fixtures_that_pass(self):
        code, lines = self.run_fixtures("--seed", "7", "test_passes.gd")
        self.assertEqual(code, 0, lines)
        self.assertEqual(lines[0], "seed 7")
        self.assertEqual(lines[-1], "3 passed, 0 failed")
        self.assertIn("skipped test_passes.gd:test_that_skips: not today", lines)

    def test_a_number_that_others_have_by_now(self):
        """The system gives the number of a process that has ended to another one."""
        last = pathlib.Path("/proc/sys/kernel/ns_last_pid")
        if not (last.exists() and os.access(last, os.W_OK)):
            self.skipTest("numbers can't be chosen: run as root, on Linux")
        with Session(self.session.godot, None, 0) as session:
            ended = session.start(["true"])
            ended.wait()
            for _attempt in range(100):
                last.write_text(str(ended.pid - 1))
                other = subprocess.Popen(["sleep", "30"], start_new_session=True)
                if other.pid == ended.pid:
                    break
                other.kill()
                other.wait()
            else:
                self.skipTest("others took the number each time")
            try:
                self.assertEqual(session.leftovers("test").problems, [])
                kill(ended)
                time.sleep(0.1)
                self.assertIsNone(other.poll(), "another program was killed")
            finally:
                other.kill()
                other.wait()

    def test_nothing_to_run_is_a_failure(self):
        code, lines = self.run_fixtures("no such test")
        self.assertEqual((code, lines[-1]), (1, "0 passed, 0 failed"))

    def test_failure_names_its_line(self):
        if not self.agent().run("func run(): return get_stack().size()"):
            self.skipTest("this Godot keeps no call stack without a debugger")
        _code, lines = self.run_fixtures("test_failing_assertion")
        told = told_by_test(lines)
        for test, line in (("", 5), ("_after_await", 10)):
            name = inside("test_fails", "test_failing_assertion" + test)
            self.assertIn(f"(fixtures/test_fails.gd:{line})", told[name])

    def test_seed_repeats_the_order(self):
        def order():
            _code, lines = self.run_fixtures("--seed", "3", "test_fails.gd")
            return re.findall(r"test_fails\.gd:\w+", "\n".join(lines))

        self.assertEqual(order(), order())

    def test_fixtures_that_fail(self):
        code, lines = self.run_fixtures()
        self.assertEqual(code, 1)
        told = told_by_test(lines)
        for name, problem in FAILURES.items():
            with self.subTest(name):
                self.assertIn(name, told, "it is not reported")
                self.assertRegex(told[name], problem)
        others = set(told) - set(FAILURES)
        self.assertEqual(others, set(), "reported without reason")
        self.assertRegex(lines[-1], rf"^8 passed, {len(FAILURES)} failed$")


def told_by_test(lines):
    """Return what the runner told of each test that failed, its log left out."""
    told, name = {}, None
    for line in lines:
        if line.startswith("FAILED  "):
            name = line[len("FAILED  ") :]
            told[name] = ""
        elif not line.startswith("    "):
            name = None
        elif name and not line.startswith("      | "):
            told[name] += line + "\n"
    return told


def inside(file, test):
    return f"{file}.gd:{test}"


def process(file):
    return f"{file}.gd (the process)"


FAILURES = {
    inside("test_fails", "test_failing_assertion"): (r"one: 1, should be 2\b"),
    inside("test_fails", "test_failing_assertion_after_await"): (
        r'text: "1", should be 1\b'
    ),
    inside("test_fails", "test_script_error"): "SCRIPT ERROR: .*no_such_method",
    inside(
        "test_fails", "test_script_error_after_await"
    ): "SCRIPT ERROR: .*no_such_method",
    inside("test_fails", "test_unexpected_error"): "not expected here: .*surprise",
    inside("test_fails", "test_unexpected_warning"): "not expected here: .*surprise",
    inside("test_fails", "test_error_announced_for_another_call"): (
        r"expected, and not printed: announced\n.*not expected here: .*announced"
    ),
    inside("test_fails", "test_error_printed_twice"): "not expected here: .*announced",
    inside("test_fails", "test_other_error_than_announced"): (
        r"not expected here: .*surprise\n.*expected, and not printed: announced"
    ),
    inside("test_fails", "test_panic"): "a panic, whatever was expected",
    inside("test_fails", "test_missing_error"): "expected, and not printed: announced",
    inside(
        "test_fails", "test_missing_error_at_the_end"
    ): "expected, and not printed: announced",
    inside("test_fails", "test_without_assertion"): "it asserted nothing",
    inside("test_hangs", "test_hang"): "it did not end within 4 s: killed",
    process("test_hangs"): "no end within 4 s: killed",
    inside("test_loops", "test_loop"): "it did not end within 4 s: killed",
    process("test_loops"): "no end within 4 s: killed",
    inside("test_crashes", "test_crash"): "the process ended in the middle of it",
    process("test_crashes"): r"the exit code was -\d+",
    inside("test_quits", "test_quit"): "the process ended in the middle of it",
    process("test_quits"): "the closing line is missing",
    inside("test_does_not_load", "test_of_a_script_with_a_mistake"): "it never ran",
    process("test_does_not_load"): "SCRIPT ERROR: Parse Error: .*String",
    "test_leaves.gd (what it left)": "/dev/shm/.* is left",
    process("test_exit_code"): r"the exit code was -\d+",
    "test_scenarios.py:test_scenario_failing": "1 != 2",
    "test_scenarios.py:test_scenario_unexpected_error": "not expected here: .*surprise",
    "test_scenarios.py:test_scenario_missing_error": "announced",
    "test_scenarios.py:test_scenario_crash": "printed, and not expected here: ERROR: on purpose",
    "test_scenarios.py:test_scenario_bad_end": "not expected here: .*late",
    "test_scenarios.py:test_scenario_hang": "no end within 8 s",
    "test_scenarios.py (what it left)": "a process is left of sleep 1000",
}
