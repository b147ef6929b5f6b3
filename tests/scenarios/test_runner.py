"""The tests' own runner reports each failure, and nothing else. tests/fixtures has tests that fail."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree

import pytest
from harness.marks import linux_only, same_for_every_user
from harness.session import PROJECT, Process, Session, kill, wait_until

pytestmark = same_for_every_user

# Each test that fails, and a pattern that its report must match.
FAIL = {
    "test_crashes.gd:test_crash": "the process ended in the middle of it",
    "test_does_not_load.gd:test_of_a_script_with_a_mistake": "it never ran",
    "test_fails.gd:test_error_announced_for_another_call": (
        r"expected, and not printed: announced\n.*not expected here: .*announced"
    ),
    "test_fails.gd:test_error_printed_twice": "not expected here: .*announced",
    "test_fails.gd:test_failing_assertion": r"one: 1, should be 2\b",
    "test_fails.gd:test_failing_assertion_after_await": r'text: "1", should be 1\b',
    "test_fails.gd:test_missing_error": "expected, and not printed: announced",
    "test_fails.gd:test_missing_error_at_the_end": (
        "expected, and not printed: announced"
    ),
    "test_fails.gd:test_other_error_than_announced": (
        r"not expected here: .*surprise\n.*expected, and not printed: announced"
    ),
    "test_fails.gd:test_panic": "a panic, which no test may expect",
    "test_fails.gd:test_script_error": "SCRIPT ERROR: .*no_such_method",
    "test_fails.gd:test_script_error_after_await": "SCRIPT ERROR: .*no_such_method",
    "test_fails.gd:test_unexpected_error": "not expected here: .*surprise",
    "test_fails.gd:test_unexpected_warning": "not expected here: .*surprise",
    "test_fails.gd:test_without_assertion": "it asserted nothing",
    "test_hangs.gd:test_hang": "it did not end within 4 s: killed",
    "test_loops.gd:test_loop": "it did not end within 4 s: killed",
    "test_quits.gd:test_quit": "the process ended in the middle of it",
    "test_scenarios.py:test_scenario_crash": "not expected here: ERROR: on purpose",
    "test_scenarios.py:test_scenario_failing": r"assert \[1\] == \[2\]",
    "test_scenarios.py:test_scenario_hang": "Timeout .>8.0s. from pytest-timeout",
    "test_scenarios.py:test_scenario_missing_error": "announced",
    "test_scenarios.py:test_scenario_unexpected_error": "not expected here: .*surprise",
}
# Patterns of the errors at the end of a file, or of a scenario.
ERRORS = [
    r"test_crashes\.gd \(the process\)\nthe exit code was -\d+",
    r"test_does_not_load\.gd \(the process\)\n.*SCRIPT ERROR: Parse Error: .*String",
    r"test_exit_code\.gd \(the process\)\nthe exit code was -\d+",
    r"test_hangs\.gd \(the process\)\nno end within 4 s: killed",
    r"test_leaves\.gd \(what it left\)\n/dev/shm/.* is left",
    r"test_loops\.gd \(the process\)\nno end within 4 s: killed",
    r"test_quits\.gd \(the process\)\nthe closing line is missing",
    # The agent that has printed something too late, and the one that has crashed.
    "not expected here: ERROR: late",
    "the agent ended with -",
    r"test_scenarios\.py \(what it left\)\na process is left of sleep 1000",
]


@pytest.fixture
def run_fixtures(session, tmp_path):
    """Runs tests of tests/fixtures; returns the exit code, the lines, failures and errors."""

    def run(*arguments, test="fixtures"):
        report = tmp_path / "report.xml"
        command = [sys.executable, "-u", "-m", "pytest", PROJECT / test]
        command += ["--godot", session.godot, "--junitxml", report, *arguments]
        # Another cache than that of the run that this test belongs to.
        code, lines = session.run([*command, "-o", f"cache_dir={tmp_path}"], 100)
        print(*(f"| {line}" for line in lines), sep="\n")
        assert code is not None, "the runner hangs"
        return code, lines, results_in(report)

    return run


def results_in(report):
    """Returns the failures and errors of a JUnit report: lists of (name, text)."""
    results = {"failure": [], "error": []}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{pathlib.Path(case.get('file')).name}:{case.get('name')}"
        for outcome, found in results.items():
            found += [(name, part.text) for part in case.findall(outcome)]
    return results


def order_of(lines):
    return re.findall(r"^\S+::(\w+) (?:PASSED|FAILED|SKIPPED)", "\n".join(lines), re.M)


def test_passing_fixtures_pass(run_fixtures):
    code, lines, _results = run_fixtures("--seed", "7", "--filter", "test_passes.gd")
    assert code == 0, lines
    assert "seed 7 (--seed repeats it)" in lines
    assert re.search("= 3 passed, 1 skipped, .* deselected in ", lines[-1])
    assert [
        line
        for line in lines
        if line.endswith("::test_that_skips - Skipped: not today")
    ]


def test_notes_and_times_are_shown(run_fixtures):
    _code, lines, _results = run_fixtures("-k", "that_passes or scenario_failing")
    told = "\n".join(lines)
    assert re.search(r"scenario_that_passes PASSED \(\d\.\d\d s\)\n    a note\n", told)
    assert re.search(r"gd::test_that_passes PASSED \(\d\.\d\d s\)\n", told)
    assert re.search(r"test_scenario_failing _(.*\n)+-+ notes -+\nof a failure\n", told)


@linux_only
def test_failing_fixtures_are_reported(run_fixtures):
    code, lines, results = run_fixtures()
    assert code == 1
    assert sorted(name for name, _told in results["failure"]) == sorted(FAIL)
    for name, told in results["failure"]:
        assert re.search(FAIL[name], told), f"{name}: {told}"
    errors = [told for _name, told in results["error"]]
    for pattern in ERRORS:
        assert [told for told in errors if re.search(pattern, told)], pattern
    for told in errors:
        assert [pattern for pattern in ERRORS if re.search(pattern, told)], told
    counts = f"{len(FAIL)} failed, 9 passed, 2 skipped, {len(errors)} errors"
    assert f"= {counts} in " in lines[-1]
    told = "\n".join(lines)
    for name in FAIL:
        assert re.search(rf"^FAILED .*{name.replace(':', '::')}\b", told, re.M), name
    # The log of a test, of a process, and of an agent.
    for line in (
        "-- fail one: 1, should be 2 fixtures/test_fails.gd:5",
        "          at: GDScript::reload (res://fixtures/test_does_not_load.gd:5)",
        """-- ('run', "func run():\\n\\tpush_error('surprise')", [])""",
    ):
        assert line in lines


def test_two_workers_report_what_one_process_does(run_fixtures):
    arguments = ["--seed", "5", "--filter", "_passes"]
    _code, lines, _results = run_fixtures(*arguments, "-n", "2")
    told = "\n".join(lines)
    assert "seed 5 (--seed repeats it)" in lines
    assert re.search("= 5 passed, 1 skipped in ", lines[-1]), told
    assert re.search(r"\] PASSED \(\d\.\d\d s\) .*::test_that_passes", told)
    assert re.search(r"scenario_that_passes *\n    a note", told)
    code, lines, results = run_fixtures("--filter", "test_fails.gd", "-n", "2")
    failed = {name for name in FAIL if name.startswith("test_fails.gd")}
    assert (code, {name for name, _told in results["failure"]}) == (1, failed)


@linux_only
def test_interrupted_workers_leave_nothing(session, tmp_path):
    command = [sys.executable, "-u", "-m", "pytest", PROJECT / "fixtures", "-n", "2"]
    command += ["--godot", session.godot, "--filter", "test_hangs.gd"]
    command += ["-o", f"cache_dir={tmp_path}"]
    run = session.start(command, stdout=subprocess.DEVNULL)

    def started():
        return [line for line in command_lines() if b"test_hangs.gd" in line]

    wait_until(lambda: any(b"--file=" in line for line in started()))
    os.killpg(run.pid, signal.SIGINT)
    run.wait(30)
    wait_until(lambda: not started())


@linux_only
def test_process_that_starts_during_a_signal_is_ended(session, monkeypatch):
    class Interrupted(Process):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("harness.session.Process", Interrupted)
    own = Session(session.godot, session.template, session.seed)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            own.start([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        assert [left for left in own.leftovers() if "input()" in left]
    finally:
        signal.signal(signal.SIGINT, before)
        own.close()


def command_lines():
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes()


def test_no_selected_test_is_an_error(run_fixtures):
    code, lines, _results = run_fixtures("--filter", "no such test")
    assert (code, "deselected in" in lines[-1]) == (5, True)


@pytest.mark.parametrize(
    ("test", "arguments"),
    [
        ("fixtures", ["-k", "announces_its"]),
        ("fixtures", ["--filter", "test_passes.gd:test_that_ann"]),
        ("fixtures/test_passes.gd::test_that_announces_its_error", []),
    ],
    ids=["k", "filter", "node"],
)
def test_only_selected_tests_run(run_fixtures, test, arguments):
    _code, lines, _results = run_fixtures(*arguments, test=test)
    assert order_of(lines) == ["test_that_announces_its_error"]
    assert "= 1 passed" in lines[-1]


def test_failure_names_its_line(run_fixtures, agent):
    if not agent.run("func run(): return get_stack().size()"):
        pytest.skip("this Godot keeps no call stack without a debugger")
    _code, _lines, results = run_fixtures("-k", "test_failing_assertion")
    told = dict(results["failure"])
    for test, line in (("", 5), ("_after_await", 10)):
        name = f"test_fails.gd:test_failing_assertion{test}"
        assert f"(fixtures/test_fails.gd:{line})" in told[name]


def test_seed_repeats_the_order(run_fixtures):
    arguments = ["--filter", "test_fails.gd", "--seed"]
    order = order_of(run_fixtures(*arguments, "3")[1])
    assert len(order) == 14
    assert order_of(run_fixtures(*arguments, "3")[1]) == order
    assert order_of(run_fixtures(*arguments, "4")[1]) != order


def test_long_order_reaches_the_agent(agent, unique_name):
    # Godot reads its input in parts of 1,023 bytes.
    memory = agent.memory()
    memory.create(unique_name(), 3000)
    for size in range(960, 1040):
        data = bytes([7]) * size
        memory.write(data)
        assert memory.read(size) == data


@linux_only
def test_recycled_pid_is_not_killed(session):
    # The system gives the PID of a process that has ended to another one.
    last = pathlib.Path("/proc/sys/kernel/ns_last_pid")
    with contextlib.closing(Session(session.godot, None, 0)) as other_session:
        ended = other_session.start(["true"])
        ended.wait()
        for _attempt in range(100):
            try:
                last.write_text(str(ended.pid - 1))
            except OSError as error:
                pytest.skip(f"PIDs can't be chosen here (run as root): {error}")
            other = subprocess.Popen(["sleep", "30"], start_new_session=True)
            if other.pid == ended.pid:
                break
            other.kill()
            other.wait()
        else:
            pytest.skip("other processes took the PID each time")
        try:
            assert other_session.leftovers() == []
            kill(ended)
            time.sleep(0.1)
            assert other.poll() is None, "another program was killed"
        finally:
            other.kill()
            other.wait()
