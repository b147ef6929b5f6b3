"""build.sh test: the tests of the Rust crates and of the header for C, then those in a real Godot."""

import os
import shutil
import subprocess
import sys

import addon
import again
import find_godot
import needs
import peers
import pypi
import rust
from common import LOGS, NOTHING_SELECTED, ROOT, SYSTEM, TARGET, Failure, must, parse, run, say

from . import test_c

HELP = """\
Usage: ./build.sh test [FILTER] [--godot] [--rights] [--again]

Runs the tests of the Rust crates with cargo, and those for loom with loom, which tries every order of the
threads' steps; runs the tests of the header for C (see ./build.sh test-c --help); builds the addon, then
runs tests/ in a real Godot (see ./build.sh godot --help for which). Some tests exchange memory with numpy,
with a package for Node.js and with the Python package. The first two come from PyPI and npm into target/, and
the last is built, see ./build.sh demo --help. Where they can't be had, these tests are skipped. Two files
of tests/ run at a time. With FILTER: only the tests, of any kind, whose name contains it, one at a time;
names of tests/ are FILE:TEST. target/tests-venv has their pytest, for runs by hand:
target/tests-venv/bin/python -m pytest tests --godot "$(./build.sh godot)".

  --godot   only the tests in Godot
  --rights  leaves out the long ones of these that show the same whichever user runs them
  --again   if at most three tests of a kind fail, run these once more by themselves. A test that passes then
            is named as unstable, and does not fail the command
"""

# Tests of time fail if many programs share the processors.
WORKERS = 2
RUST_LOG, LOOM_LOG, GODOT_LOG = LOGS / "rust.log", LOGS / "loom.log", LOGS / "godot.log"
ALL_LOGS = [RUST_LOG, LOOM_LOG, test_c.LOG, GODOT_LOG]


def main(arguments):
    words, options = parse("test", arguments, options=("--godot", "--rights", again.OPTION), most=1)
    name_filter = words[0] if words else ""
    is_again = again.OPTION in options
    needs.check(needs.VENV)
    # Before minutes of building.
    partner = build_partner()
    godot = find_godot.find()
    template = find_godot.template_or_none(godot, "no test of an exported game")
    for log in ALL_LOGS:
        log.unlink(missing_ok=True)

    passed = {}
    if "--godot" not in options:
        say("tests of the Rust crates")
        passed["Rust crates"] = rust_tests(name_filter, partner, is_again)
        say("the order of threads, tried by loom")
        passed["with loom"] = loom_tests(name_filter, is_again)
        say("the header for C")
        passed["header for C"] = test_c.run_all(name_filter)
    if not name_filter or has_godot_tests(godot, name_filter):
        addon.build()
        say(f"tests in {godot}")
        only_rights = "--rights" in options
        passed["in Godot"] = godot_tests(godot, template, name_filter, only_rights, is_again)
    for log in ALL_LOGS:
        # Again at the end, where they are found: the output of a whole run has thousands of lines.
        for line in rust.failures_in(log):
            say(line)
    ran = sum(map(rust.passed_in, ALL_LOGS))
    if all(passed.values()) and ran == 0:
        raise Failure(f"test: no test has '{name_filter}' in its name")
    told = "; ".join(f"{kind}: {'passed' if well else 'FAILED'}" for kind, well in passed.items())
    say(f"{told}; {ran} tests passed")
    sys.exit(not all(passed.values()))


def build_partner():
    """Returns the variables by which the tests of the segment crate find their partner in C, on Windows.

    Any compiler will do, also one that rustc does not link with.
    """
    if SYSTEM != "Windows" or "SHM_SEGMENT_PARTNER" in os.environ:
        return {}
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Failure(
            "gcc or clang is needed on Windows, for a program that the tests exchange memory with: "
            "put one of them on the PATH."
        )
    program = TARGET / "partner.exe"
    TARGET.mkdir(exist_ok=True)
    source = ROOT / "rust/segment/tests/partner/partner.c"
    must([compiler, "-std=c11", "-O2", "-o", program, source], f"{compiler} could not build {source}")
    return {"SHM_SEGMENT_PARTNER": program}


def rust_tests(name_filter, partner, is_again):
    command = ["cargo", "test", "--locked", "--no-fail-fast", "--workspace"]
    return limited_tests(command, name_filter, is_again, RUST_LOG, 600, partner) and rust.nothing_left()


def loom_tests(name_filter, is_again):
    # Optimised, as it tries every order.
    crates = ["-p", "hazard", "-p", "shm-segment"]
    command = ["cargo", "test", "--locked", "--no-fail-fast", "--release", *crates, "--test", "loom*"]
    return limited_tests(command, name_filter, is_again, LOOM_LOG, 300, rust.loom_env())


def limited_tests(command, name_filter, is_again, log, limit, env):
    """Builds tests without a limit and runs them with one: cargo has none for a test that hangs."""
    arguments = ["--", name_filter] if name_filter else []
    is_built = run([*command, "--no-run"], env=env, log=log) == 0
    return is_built and again.run_cargo([*command, *arguments], is_again, env=env, log=log, limit=limit)


def has_godot_tests(godot, name_filter):
    """Returns whether the filter is for a test in Godot. It may be for one in Rust."""
    command = [*pytest_command(godot, name_filter), "--collect-only", "--quiet"]
    return run(command, stdout=subprocess.DEVNULL) != NOTHING_SELECTED


def pytest_command(godot, name_filter):
    # The folder comes first: pytest learns of these options from it.
    python = pypi.programs("tests") / "python"
    command = [python, "-m", "pytest", ROOT / "tests", "--godot", godot, "--filter", name_filter]
    # Few tests are sooner done, and easier to follow, one after the other.
    in_parallel = not name_filter and (os.cpu_count() or 1) > 1
    return [*command, "-n", WORKERS] if in_parallel else command


def godot_tests(godot, template, name_filter, only_rights, is_again):
    """Runs tests/ in Godot, and returns whether they passed."""
    # The tests' user:// folders, and the settings that an export writes, are not the user's own.
    kinds = ("DATA", "CONFIG", "CACHE")
    folders = {f"XDG_{kind}_HOME": TARGET / "test-home" / kind.lower() for kind in kinds}
    command = pytest_command(godot, name_filter)
    command += ["--template", template] if template else []
    command += ["-m", "not same_for_every_user"] if only_rights else []
    env = {**folders, **peers.prepare(), "PYTHONUNBUFFERED": "1"}
    return again.run_pytest(command, is_again, env=env, log=GODOT_LOG)
