"""build.sh test-arm64: tests of the segment crate and the Python package, on an arm64 that QEMU emulates."""

import os
import sys

import debian
import emulated
import needs
import rust
from common import LOGS, MACHINE, NOTHING_SELECTED, ROOT, Failure, must, parse, require_linux, run, say
from common import TARGET as TARGET_FOLDER

from . import wheel
from .cross import OLDEST_GLIBC, zigbuild

TARGET = "aarch64-unknown-linux-gnu"
# Ten emulated processes on two cores don't get to their turn within the 50 ms that a call goes on trying.
SKIPPED = ("all_of_ten_racing_processes_get_the_memory",)
PYTHON = TARGET_FOLDER / "arm64-python"
PLATFORMS = [f"{tag}_aarch64" for tag in ("manylinux2014", "manylinux_2_17", wheel.MANYLINUX)]
# The others have partners, or limits of time that an emulated processor doesn't keep.
EMULATED = [wheel.FOLDER / f"tests/test_{name}.py" for name in ("memory", "mutex", "values")]
TOO_SLOW = "not test_the_reckoned_memory_is_not_exceeded"
# For all of them.
PYTHON_SECONDS = 900

HELP = f"""\
Usage: ./build.sh test-arm64 [FILTER]

Builds the tests of the segment crate for arm64 and glibc {OLDEST_GLIBC}, and runs them on this machine,
through QEMU: the processor is emulated, the kernel is this machine's own. Then Debian's Python for arm64 runs
tests of the Python package, with the wheel of a release. With FILTER: only the tests whose name contains it.
On Linux 6.7 or newer with apt; QEMU, the C library and that Python come from Debian's packages, into
target/qemu and target/python_arm64. On a machine that is arm64 itself, ./build.sh test does more. The loops
over random moments run 20 times (SHM_SEGMENT_ROUNDS).

Not run: {" ".join(SKIPPED)}
(too slow under emulation). Of the Python package, only the tests of memory, locks and values are run.
"""


def main(arguments):
    name_filter, _ = parse("test-arm64", arguments, most=1)
    require_linux("test-arm64", "this runs on Linux only")
    if MACHINE == "arm64":
        raise Failure("test-arm64: this machine is arm64 itself: run ./build.sh test")
    needs.check(needs.VENV)
    folder = debian.fetch("qemu")
    if folder is None:
        raise Failure("test-arm64: QEMU could not be fetched; it comes from Debian's packages.")
    qemu = [folder / "root/usr/bin/qemu-aarch64-static", folder / "root/usr/aarch64-linux-gnu"]
    emulator = [sys.executable, ROOT / "tools/with_emulator.py", *qemu]
    cargo, env = zigbuild(rust.environment(TARGET))
    test = [*cargo, "test", "--locked", "-p", "shm-segment", "--target", f"{TARGET}.{OLDEST_GLIBC}"]
    env["SHM_SEGMENT_ROUNDS"] = os.environ.get("SHM_SEGMENT_ROUNDS", "20")
    say(f"not run: {' '.join(SKIPPED)}")
    say("building the tests for arm64")
    must([*test, "--no-run"], env=env)
    say("running them")
    log = LOGS / "arm64.log"
    log.unlink(missing_ok=True)
    skips = [word for name in SKIPPED for word in ("--skip", name)]
    passed = run([*emulator, *test, *name_filter, "--", *skips], env=env, limit=900, log=log) == 0
    passed = passed and python_tests(qemu[0], name_filter, log)
    if not (passed and rust.nothing_left()):
        raise Failure("test-arm64: tests failed")
    say(f"{rust.passed_in(log)} tests passed on arm64")


def python_tests(qemu, name_filter, log):
    """Runs tests of the Python package, and returns whether they passed."""
    root = emulated.python_arm64()
    packages, unpacked = PYTHON / "packages", PYTHON / "wheel"
    emulated.install(PLATFORMS, packages, emulated.REQUIREMENTS)
    emulated.unpack(wheel.build_for_linux(TARGET, PYTHON), unpacked)
    python = [sys.executable, ROOT / "tools/with_emulator.py", qemu, root, root / "usr/bin/python3.11"]
    choice = " and ".join([TOO_SLOW, *name_filter])
    command = [*python, "-m", "pytest", "-p", "no:cacheprovider", *EMULATED, "-k", choice]
    env = {"PYTHONPATH": f"{packages}{os.pathsep}{unpacked}"}
    say("running the tests of the Python package")
    code = run(command, env=env, limit=PYTHON_SECONDS, log=log, cwd=TARGET_FOLDER)
    return code == 0 or (bool(name_filter) and code == NOTHING_SELECTED)
