"""build.sh test-bridge: the bridge to other machines, between two networks of this one."""

import sys

import needs
import python_package
from common import LOGS, ROOT, Failure, parse, require_linux, run, say

from . import wheel

LOG = LOGS / "bridge.log"
# For all tests.
SECONDS = 900
# The filter that selects the measurement alone.
FIGURES = "figures"
ZENOH = ROOT / "tools/requirements-bridge.txt"

HELP = """\
Usage: ./build.sh test-bridge [FILTER]

Builds the Python package, and runs demo/bridge/bridge.py between two networks of this machine, in some six
minutes: a link that is far, slow, lossy and cut, and kills of each program in every order. Then measures the
bridge beside plain Zenoh. Needs root, iproute2 and /dev/net/tun; a system that refuses networks skips the
tests. With FILTER: only the tests whose name contains it; with "figures", only the measurement.
./build.sh test-python has the short tests.
"""


def main(arguments):
    words, _ = parse("test-bridge", arguments, most=1)
    require_linux("test-bridge", "networks of a program's own are Linux's")
    wheel.check_python()
    needs.check(needs.VENV, builds=not python_package.is_given())
    LOG.unlink(missing_ok=True)
    program, tests = python(), ROOT / "partners/python/tests"
    passed = True
    if words != [FIGURES]:
        passed = run([program, tests / "bridge_network.py", *words], log=LOG, limit=SECONDS) == 0
    if words in ([], [FIGURES]):
        passed &= run([program, tests / "bridge_bench.py"], log=LOG, limit=SECONDS) == 0
    say(f"the bridge: {'passed' if passed else 'FAILED'}")
    sys.exit(not passed)


def python():
    """Returns a Python that has the package and Zenoh."""
    program = python_package.python()
    if not add_zenoh(program):
        raise Failure(f"eclipse-zenoh could not be installed; it comes from PyPI, as {ZENOH.name} says.")
    return program


def add_zenoh(program):
    """Installs Zenoh where it can be had, and returns whether it can."""
    pip = [
        program,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
    ]
    return run([*pip, "--requirement", ZENOH], stdout=sys.stderr) == 0
