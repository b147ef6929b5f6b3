"""build.sh sanitize: the tests of the segment crate under ThreadSanitizer or AddressSanitizer."""

import os
import pathlib
import re
import shutil

import needs
import rust
from common import ROOT, TARGET, Failure, output, parse, require_linux, run, say

HELP = """\
Usage: ./build.sh sanitize [thread|address] [FILTER]

Runs the tests of the segment crate, or those whose name contains FILTER, under a sanitizer of the compiler:
thread (if none is named) or address. SHM_SEGMENT_ROUNDS sets how often the randomised ones run (50). Linux
only. Needs a nightly Rust, for thread with the source of the standard library, which has to be built with the
sanitizer, too: rustup toolchain install nightly --component rust-src

Both need addr2line (Debian: binutils), for names in reports. The reports that ThreadSanitizer leaves out are
listed in tools/tsan.supp. The tests in which an atomic access faults are left out of its run, since it hangs
in them. The tests at limits on memory (limits.rs) are left out of both.
"""
NIGHTLY = ("rustc", "+nightly")
# Tests in which an atomic access faults.
FAULTING = ("partners::a_truncated_segment_is_an_error", "each_access_survives_a_page_that_has_just_gone")


def main(arguments):
    kind, *rest = arguments if arguments[:1] in (["thread"], ["address"]) else ["thread", *arguments]
    name_filter, _ = parse("sanitize", rest, most=1)
    require_linux("sanitize", "runs on Linux only")
    needs.check(needs.ADDR2LINE)
    if not rust.has_nightly() or kind == "thread" and not has_source():
        raise Failure("sanitize: this takes 'rustup toolchain install nightly --component rust-src'.")
    options, skipped = [], []
    if kind == "thread":
        options = ["-Zbuild-std"]
        # ThreadSanitizer makes an atomic access itself, under a lock of its own. If that faults, our
        # handler's atomics wait for that lock forever. (A copy faults outside of it.)
        for name in FAULTING:
            skipped += ["--skip", name]

    folder = TARGET / "sanitize"
    log = folder / f"{kind}.log"
    log.unlink(missing_ok=True)
    rounds = os.environ.get("SHM_SEGMENT_ROUNDS", "50")
    say(f"tests under the {kind} sanitizer, {rounds} rounds; the log is target/sanitize/{kind}.log")
    # A target is named so that build scripts and macros, which run in the compiler, are built without.
    test = ["cargo", "+nightly", "test", "--locked", "-p", "shm-segment", "--lib", "--tests", *options]
    test += ["--target", rust.compiler_info("host", *NIGHTLY), "--target-dir", folder / kind]
    env = {"RUSTFLAGS": f"-Zsanitizer={kind}", "SHM_SEGMENT_ROUNDS": rounds, **sanitizer_options()}
    code = run([*test, "--", *skipped, *name_filter], env=env, limit=3600, log=log)
    # A report of a process that a test has started need not make the test fail.
    report = re.search("WARNING: ThreadSanitizer|ERROR: AddressSanitizer", log.read_text(errors="replace"))
    if code != 0 or report:
        raise Failure("sanitize: something was found")
    say("sanitize: nothing found")


def sanitizer_options():
    """Returns the variables that the sanitizers and the tests read."""
    # Faults in shared memory are caught by the crate. Any other fault must end the process as it does
    # elsewhere.
    common = f"handle_sigbus=0 external_symbolizer_path={shutil.which('addr2line')}"
    suppressions = f"suppressions={ROOT}/tools/tsan.supp"
    return {
        "TSAN_OPTIONS": f"{common} {suppressions} {os.environ.get('TSAN_OPTIONS', '')}",
        "ASAN_OPTIONS": f"{common} {os.environ.get('ASAN_OPTIONS', '')}",
        # For the tests at limits on memory, which the sanitizer needs itself.
        "SHM_SEGMENT_SANITIZED": "1",
    }


def has_source():
    """Returns whether the nightly Rust has the source of its standard library."""
    sysroot = output(*NIGHTLY, "--print", "sysroot")
    return pathlib.Path(sysroot, "lib/rustlib/src/rust/library").is_dir()
