#!/usr/bin/env python3
"""Runs a program of Rust tests in Wine, as cargo's runner: in_wine.py WINE PROGRAM ARGUMENTS...

Under load, Wine sometimes fails to start a process: CreateProcess returns ERROR_INTERNAL_ERROR. Tests that
failed for that reason alone are run once more.
"""

import pathlib
import re
import sys
import tempfile

from common import ROOT, run

# For each program: cargo has no limit of its own for a test that hangs.
SECONDS = 900
# The report of a test that this happened to.
INTERNAL_ERROR = re.compile(
    r"[^\n]*panicked at ([^\n]+?):(\d+):\d+:\n[^\n]*\bErr\b[^\n]*: Os \{ code: 1359, "
)


def main():
    program = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "log"
        code = run(program, limit=SECONDS, log=log)
        names = failed_by_wine(log.read_text(encoding="utf-8", errors="replace"))
        if code == 0 or not names:
            return code
    print(f"run once more: {' '.join(names)} (Wine could not start a process)", flush=True)
    return run([*program[:2], "--exact", *names], limit=SECONDS)


def failed_by_wine(text):
    """Returns the names of the tests that failed; nothing if one of them failed for another reason."""
    failed = re.findall(r"^test (\S+) \.\.\. FAILED", text, re.MULTILINE)
    reports = dict(re.findall(r"^---- (\S+) stdout ----\n(.*?)(?=^----|^failures:|\Z)", text, re.M | re.S))
    return failed if all(could_not_start(reports.get(name, "")) for name in failed) else []


def could_not_start(report):
    """Returns whether the first panic of a test is that error, from a line that starts a process."""
    panic = INTERNAL_ERROR.match(report[report.find("\nthread ") + 1 :])
    if not panic:
        return False
    lines = (ROOT / panic[1].replace("\\", "/")).read_text(encoding="utf-8").splitlines()
    # A chain of calls may have it on the line before.
    return ".spawn()" in "".join(lines[max(0, int(panic[2]) - 2) : int(panic[2])])


if __name__ == "__main__":
    sys.exit(main())
