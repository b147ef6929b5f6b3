"""build.sh test-windows: tests of the segment crate and of the header for C in Wine, and the library."""

import re
import subprocess
import sys

import needs
import rust
from common import LOGS, ROOT, Failure, parse, run, say

from . import test_c, windows

# They compare with a Python, and there is none for Windows.
SKIPPED = ("python_agrees", "python_agrees_on_every_edge", "texts_are_those_of_python")
LOG = LOGS / "windows.log"

HELP = f"""\
Usage: ./build.sh test-windows [FILTER]

Builds as ./build.sh windows does, and runs the results in Wine: the tests of the segment crate, with a
partner in C that makes and opens memory with the system calls that Python makes on Windows; the tests of the
header for C that run on Windows; then a program that loads the addon's library, looks for its entry, and
looks up everything that it imports. With FILTER: only the tests whose name contains it. A test that fails
because Wine could not start a process is run once more, and counted.

Not run: {" ".join(SKIPPED)}
(they compare with a Python, and there is none for Windows here).
"""


def main(arguments):
    words, _ = parse("test-windows", arguments, most=1)
    needs.check()
    env = windows.environment()
    library = windows.build_library(env)
    windows.build_tests(env)
    wine = windows.fetched_tools() / "wine"
    LOG.unlink(missing_ok=True)
    test_c.LOG.unlink(missing_ok=True)
    say(f"not run: {' '.join(SKIPPED)}")
    say("tests in Wine")
    try:
        start(wine)
        passed = run_tests(wine, words, env) and (words or load(wine, library))
        passed = passed and (words or test_c.in_wine(wine.with_name(windows.GCC), wine))
    finally:
        stop(wine)
    ran = rust.passed_in(LOG) + rust.passed_in(test_c.LOG)
    if passed and not ran:
        raise Failure(f"test-windows: no test has '{words[0]}' in its name")
    again = len(re.findall("^run once more: ", LOG.read_text(errors="replace"), re.MULTILINE))
    told = f"; {again} run once more, as Wine could not start a process" if again else ""
    say(f"in Wine: {'passed' if passed else 'FAILED'}; {ran} tests passed{told}")
    sys.exit(not passed)


def run_tests(wine, words, env):
    runner = [sys.executable, str(ROOT / "tools/in_wine.py"), str(wine)]
    skips = [word for name in SKIPPED for word in ("--skip", name)]
    command = [*windows.TEST, "--no-fail-fast", "--config", f"target.{windows.TARGET}.runner={runner}"]
    env = {**env, "SHM_SEGMENT_PARTNER": f"Z:{windows.FOLDER}/partner.exe"}
    return run([*command, "--", *words, *skips], env=env, log=LOG) == 0


def load(wine, library):
    program = [wine, windows.FOLDER / "load.exe", f"Z:{library}", "godot_shared_memory_init"]
    return run(program, limit=60, log=LOG) == 0


def start(wine):
    """Starts wineserver first, detached from our output: its reader would wait until wineserver exits."""
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    run([wine.with_name("wineserver"), "--persistent"], **quiet)
    if run([wine, "cmd", "/c", "exit"], limit=60, **quiet) != 0:
        raise Failure("Wine does not run: remove target/windows, and try again.")


def stop(wine):
    if run([wine.with_name("wineserver"), "--kill"], limit=20) != 0:
        say("Wine could not be stopped")
