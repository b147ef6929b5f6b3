"""A second run of tests that failed: with the option --again, each by itself.

Some tests leave little to chance and still fail once in a thousand runs, on a machine that is busy. Such a
test is told apart from one that fails each time: it is named as unstable, here and in a log.
"""

import re

import rust
from common import LOGS, run, say

OPTION = "--again"
LOG = LOGS / "unstable.log"
# More failures at once have a cause that a second run doesn't remove.
MOST = 3
# The exit codes of pytest and of cargo that mean: all tests ran, and some failed.
PYTEST_FAILED, CARGO_FAILED = 1, 101


def run_pytest(command, is_again, *, log, **options):
    """Runs a command of pytest, whose cache it needs. Returns whether all tests passed."""
    code = run(command, log=log, **options)
    if not is_again or code != PYTEST_FAILED:
        return code == 0
    text = log.read_text(encoding="utf-8", errors="replace")
    # `FAILED file::test - reason`, as the option -r prints it.
    failed = list(dict.fromkeys(re.findall(r"^(?:FAILED|ERROR) (\S+::\S+)", text, re.MULTILINE)))
    # With pytest-xdist, the last of two options -n counts.
    alone = ["-n", "0"] if "-n" in command else []
    return _passes_again([*command, "--last-failed", *alone], failed, log=log, **options)


def run_cargo(command, is_again, *, log, **options):
    """Runs `cargo test --no-fail-fast`. Returns whether all tests passed."""
    code = run(command, log=log, **options)
    if not is_again or code != CARGO_FAILED:
        return code == 0
    text = log.read_text(encoding="utf-8", errors="replace")
    failed = re.findall(r"^test (\S+) \.\.\. FAILED$", text, re.MULTILINE)
    counts = re.findall(r"^test result: FAILED\. .*; (\d+) failed", text, re.MULTILINE)
    targets = re.findall(r"^error: (\d+) targets? failed", text, re.MULTILINE)
    # Otherwise, an example of the documentation has failed, too, or a test program has crashed.
    if sum(map(int, counts)) != len(failed) or targets != [str(len(counts))]:
        return False
    options_of_cargo = command[: command.index("--")] if "--" in command else command
    return _passes_again([*options_of_cargo, "--", "--exact", *failed], failed, log=log, **options)


def _passes_again(command, failed, *, log, **options):
    if not 0 < len(failed) <= MOST:
        return False
    say(f"again, by themselves: {' '.join(failed)}")
    # Its output is kept apart, so that no test is counted twice.
    log = log.with_suffix(".again.log")
    log.unlink(missing_ok=True)
    if run(command, log=log, **options) != 0 or rust.passed_in(log) < len(failed):
        return False
    with open(LOG, "a", encoding="utf-8") as file:
        for name in failed:
            file.write(f"{name} failed in a run with others, and passed by itself\n")
            say(f"UNSTABLE: {name} failed in a run with others, and passed by itself")
    return True
