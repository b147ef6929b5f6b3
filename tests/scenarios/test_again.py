"""With --again, a test that fails only now and then is named as unstable, and fails nothing."""

import subprocess
import sys

import pytest
from harness.session import REPOSITORY

# Fails as often as `failures` says, counted in a file; prints lines as cargo does.
CARGO = """
import pathlib, sys
count = pathlib.Path("count")
runs = int(count.read_text()) if count.exists() else 0
count.write_text(str(runs + 1))
names = sys.argv[sys.argv.index("--exact") + 1:] if "--exact" in sys.argv else ["a::one", "a::two"]
is_failed = runs < {failures}
for name in names:
    print(f"test {{name}} ... {{'FAILED' if is_failed and name == 'a::two' else 'ok'}}")
if is_failed:
    print("test result: FAILED. 1 passed; {failed} failed; 0 ignored")
    print("error: {targets} target failed:")
else:
    print(f"test result: ok. {{len(names) if {is_found} else 0}} passed; 0 failed; 0 ignored")
sys.exit({code} if is_failed else 0)
"""
TESTS = """
import pathlib

count = pathlib.Path("count")

def test_stable():
    with open("ran", "a") as file:
        file.write("stable ")

def test_unstable():
    runs = int(count.read_text()) if count.exists() else 0
    count.write_text(str(runs + 1))
    assert runs >= {failures}
"""
PROGRAM = """
import pathlib, sys
import again

again.LOG = pathlib.Path("unstable.log")
run = getattr(again, sys.argv[1])
options = {"log": pathlib.Path("log"), "cwd": pathlib.Path.cwd()}
print("passed" if run(sys.argv[3:], sys.argv[2] == "again", **options) else "failed")
"""


@pytest.fixture
def judge(tmp_path):
    """Runs a command through tools/again.py; returns its verdict and the unstable tests."""

    def run(kind, command, wish="again"):
        called = [sys.executable, "-c", PROGRAM, kind, wish, *command]
        environment = {"PYTHONPATH": str(REPOSITORY / "tools"), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            called,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        log = tmp_path / "unstable.log"
        unstable = log.read_text(encoding="utf-8") if log.exists() else ""
        return done.stdout.splitlines()[-1], unstable

    return run


def pytest_command(tmp_path, failures):
    (tmp_path / "test_it.py").write_text(
        TESTS.format(failures=failures), encoding="utf-8"
    )
    return [sys.executable, "-m", "pytest", "-rf", "-n", "2", "test_it.py"]


def cargo_command(tmp_path, failures, **facts):
    facts = {"code": 101, "failed": 1, "targets": 1, "is_found": True, **facts}
    script = tmp_path / "cargo.py"
    script.write_text(CARGO.format(failures=failures, **facts), encoding="utf-8")
    return [sys.executable, str(script), "test"]


def test_unstable_test_of_pytest_is_named(judge, tmp_path):
    verdict, unstable = judge("run_pytest", pytest_command(tmp_path, failures=1))
    assert verdict == "passed"
    assert unstable.startswith("test_it.py::test_unstable failed in a run")
    assert (tmp_path / "ran").read_text() == "stable ", (
        "only the one that failed ran again"
    )


def test_unstable_test_of_cargo_is_named(judge, tmp_path):
    verdict, unstable = judge("run_cargo", cargo_command(tmp_path, failures=1))
    assert (verdict, unstable.split()[0]) == ("passed", "a::two")


@pytest.mark.parametrize(
    ("kind", "make"), [("run_pytest", pytest_command), ("run_cargo", cargo_command)]
)
def test_test_that_fails_twice_fails(judge, tmp_path, kind, make):
    assert judge(kind, make(tmp_path, failures=2)) == ("failed", "")


@pytest.mark.parametrize(
    ("kind", "make"), [("run_pytest", pytest_command), ("run_cargo", cargo_command)]
)
def test_nothing_runs_again_without_the_option(judge, tmp_path, kind, make):
    assert judge(kind, make(tmp_path, failures=1), wish="once") == ("failed", "")
    assert (tmp_path / "count").read_text() == "1"


def test_run_that_ends_early_is_not_repeated(judge, tmp_path):
    command = cargo_command(tmp_path, failures=1, code=124)
    assert judge("run_cargo", command) == ("failed", "")
    assert (tmp_path / "count").read_text() == "1"


@pytest.mark.parametrize(
    "facts", [{"failed": 2}, {"targets": 2}], ids=["example", "crash"]
)
def test_failure_without_a_name_to_repeat_fails(judge, tmp_path, facts):
    command = cargo_command(tmp_path, failures=1, **facts)
    assert judge("run_cargo", command) == ("failed", "")


def test_second_run_that_finds_no_test_fails(judge, tmp_path):
    command = cargo_command(tmp_path, failures=1, is_found=False)
    assert judge("run_cargo", command) == ("failed", "")
