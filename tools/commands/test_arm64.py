"""build.sh test-arm64: the segment crate's tests, built for Linux on arm64 and run through QEMU."""

import os
import sys

import debian
import needs
import rust
from common import LOGS, MACHINE, ROOT, Failure, must, parse, require_linux, run, say

from .cross import OLDEST_GLIBC, zigbuild

TARGET = "aarch64-unknown-linux-gnu"
# Ten emulated processes on two cores don't get to their turn within the 50 ms that a call goes on trying.
SKIPPED = ("all_of_ten_racing_processes_get_the_memory",)

HELP = f"""\
Usage: ./build.sh test-arm64 [FILTER]

Builds the tests of the segment crate for arm64 and glibc {OLDEST_GLIBC}, and runs them on this machine,
through QEMU: the processor is emulated, the kernel is this machine's own. With FILTER: only the tests whose
name contains it. On Linux 6.7 or newer with apt; QEMU and the C library come from Debian's packages, into
target/qemu. On a machine that is arm64 itself, ./build.sh test does more. The loops over random moments run
20 times (SHM_SEGMENT_ROUNDS).

Not run: {" ".join(SKIPPED)}
(too slow under emulation).
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
    if not (passed and rust.nothing_left()):
        raise Failure("test-arm64: tests failed")
    say(f"{rust.passed_in(log)} tests passed on arm64")
