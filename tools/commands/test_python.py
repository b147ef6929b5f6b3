"""build.sh test-python: the tests of the Python package, against the installed wheel."""

import shutil
import sys

import again
import bench_rl
import find_godot
import needs
import pypi
import rust
from common import LOGS, ROOT, SYSTEM, TARGET, Failure, must, parse, say

from . import test_bridge, wheel

LOG = LOGS / "python.log"
# For all tests.
SECONDS = 600

HELP = """\
Usage: ./build.sh test-python [FILTER] [--again]

Builds the Python package (see ./build.sh wheel --help), installs the wheel in target/wheel-venv, and runs
partners/python/tests with it. Some tests talk to a real Godot (see ./build.sh godot --help for which), for
which this also builds the addon; others to a partner in C. With FILTER: only the tests whose name contains
it. If SHARED_MEMORY_WHEEL names a wheel, or a folder with wheels, that one is tested instead.
With --again: if at most three tests fail, they run once more by themselves (see ./build.sh test --help).
"""


def main(arguments):
    words, options = parse("test-python", arguments, options=(again.OPTION,), most=1)
    wheel.check_python()
    needs.check(needs.VENV)
    LOG.unlink(missing_ok=True)
    # It imports this package.
    import python_package

    found = python_package.given_wheel() if python_package.is_given() else [wheel.build()]
    python = pypi.programs("python", "wheel-venv") / "python"
    python_package.install(python, found)
    if not test_bridge.add_zenoh(python):
        say("no tests of the bridge: eclipse-zenoh can't be had here")
    # The folder of the package itself must not be found instead of the wheel.
    cache = f"cache_dir={TARGET / 'pytest-cache-python'}"
    command = [python, "-m", "pytest", "-o", cache, wheel.FOLDER / "tests"]
    command += ["-k", words[0]] if words else []
    is_again = again.OPTION in options
    passed = again.run_pytest(command, is_again, env=environment(), log=LOG, limit=SECONDS, cwd=TARGET)
    say(f"the Python package: {'passed' if passed else 'FAILED'}; {rust.passed_in(LOG)} tests passed")
    sys.exit(not passed)


def environment():
    """Returns the variables by which the tests find their partners. Tests without theirs are skipped."""
    import addon

    env = {}
    try:
        env["GODOT"] = find_godot.find()
        addon.build()
    except Failure as failure:
        say(f"no tests with Godot: {failure}")
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler:
        partner = TARGET / "test-python" / "partner"
        partner.parent.mkdir(parents=True, exist_ok=True)
        must([compiler, "-std=c11", "-O2", "-o", partner, ROOT / "partners/c/partner.c", "-lm"])
        env["GSM_PARTNER"] = partner
    if "GODOT" in env and SYSTEM == "Linux":
        try:
            env["GODOT_RL_PYTHON"] = bench_rl.godot_rl()
        except Failure as failure:
            say(f"no test of the bench beside godot_rl: {failure}")
    return env
