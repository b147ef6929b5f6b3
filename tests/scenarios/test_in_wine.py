"""tools/in_wine.py runs tests once more if Wine could not start a process, and only then."""

import pathlib
import subprocess
import sys

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
COMMON = TOOLS.parent / "rust/segment/tests/it/common/mod.rs"
# Prints what a program of tests prints, and fails; succeeds when it is called for single tests.
WINE = """#!/usr/bin/env python3
import sys
if "--exact" in sys.argv:
    sys.exit(print("again:", *sys.argv[2:]))
print({printed!r})
sys.exit(101)
"""
PRINTED = """
test other ... ok
test one ... FAILED
test two ... FAILED

failures:

---- one stdout ----

thread 'one' (71) panicked at rust/segment/tests/it/common/mod.rs:{line}:91:
{one}
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

thread 'one' (71) panicked at somewhere/else.rs:1:1:
the peer has ended

---- two stdout ----

thread 'two' (72) panicked at rust/segment/tests/it/common/mod.rs:{line}:91:
{two}

failures:
    one
    two

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
"""
ERROR = (
    "called `Result::unwrap()` on an `Err` value: "
    'Os { code: %d, kind: Uncategorized, message: "Internal error." }'
)


def run(folder, one, two, line):
    wine = folder / "wine"
    wine.write_text(WINE.format(printed=PRINTED.format(one=one, two=two, line=line)))
    wine.chmod(0o755)
    command = [
        sys.executable,
        TOOLS / "in_wine.py",
        wine,
        "tests.exe",
        "--skip",
        "three",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def line_that_starts_a_process():
    lines = COMMON.read_text(encoding="utf-8").splitlines()
    return 1 + next(number for number, line in enumerate(lines) if ".spawn()" in line)


def test_tests_that_wine_failed_run_once_more(tmp_path):
    done = run(tmp_path, ERROR % 1359, ERROR % 1359, line_that_starts_a_process())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "run once more: one two (Wine could not start a process)" in done.stdout
    assert done.stdout.endswith("again: --exact one two\n")


def test_another_failure_beside_it_stays_a_failure(tmp_path):
    done = run(tmp_path, ERROR % 1359, "two is wrong", line_that_starts_a_process())
    assert (done.returncode, "again" in done.stdout) == (101, False)


def test_another_error_stays_a_failure(tmp_path):
    done = run(tmp_path, ERROR % 1359, ERROR % 5, line_that_starts_a_process())
    assert (done.returncode, "again" in done.stdout) == (101, False)


def test_the_same_error_of_another_call_stays_a_failure(tmp_path):
    done = run(tmp_path, ERROR % 1359, ERROR % 1359, 1)
    assert (done.returncode, "again" in done.stdout) == (101, False)
