"""build.sh sanitize: the tests of the segment crate under ThreadSanitizer or AddressSanitizer."""

import os
import pathlib
import platform
import re
import shutil

import needs
import rust
from common import ROOT, TARGET, Failure, output, parse, require_linux, run, say

HELP = """\
Usage: ./build.sh sanitize [thread|address] [FILTER]

Runs the tests of the segment crate, or those whose name contains FILTER, under a sanitizer of the compiler:
thread (if none is named) or address. SHM_SEGMENT_ROUNDS sets how often the randomised ones run (50). Linux
only. Needs

  address: a nightly Rust: rustup toolchain install nightly
  thread:  its sources as well: rustup toolchain install nightly --component rust-src
           The standard library has to be built with the sanitizer too, which otherwise reports all that
           threads share through it. On Debian, RUSTC=/usr/bin/rustc takes the packages rustc-web and
           rust-web-src instead, with the libclang-rt-N-dev of the same LLVM (rustc -vV says which).

Both need addr2line (Debian: binutils), for names in reports. The reports that ThreadSanitizer leaves out are
listed in tools/tsan.supp. The tests that truncate wire formats are left out of its run: an atomic access that
faults can't be made under it. The tests at limits on memory (limits.rs) are left out of both.
"""


def main(arguments):
    kind, *rest = arguments if arguments[:1] in (["thread"], ["address"]) else ["thread", *arguments]
    name_filter, _ = parse("sanitize", rest, most=1)
    require_linux("sanitize", "runs on Linux only")
    needs.check(needs.ADDR2LINE)
    cargo, compiler, env = compilers()
    sysroot = pathlib.Path(output(*compiler, "--print", "sysroot"))
    flags = [f"-Zsanitizer={kind}"]
    if "RUSTC" in os.environ:
        flags += clang_runtime(kind, compiler, sysroot)
    options, skipped = [], []
    if kind == "thread":
        if not (sysroot / "lib/rustlib/src/rust/library").is_dir():
            raise Failure(
                "sanitize: the sources of Rust's standard library are needed: "
                "rustup component add --toolchain nightly rust-src"
            )
        options = ["-Zbuild-std"]
        # ThreadSanitizer makes an atomic access itself, under a lock of its own. If that faults, our
        # handler's atomics wait for that lock forever. (A copy faults outside of it.)
        skipped = ["--skip", "partners::a_truncated_segment_is_an_error"]
    env["RUSTFLAGS"] = " ".join(flags)
    env.update(sanitizer_options())

    folder = TARGET / "sanitize"
    log = folder / f"{kind}.log"
    log.unlink(missing_ok=True)
    say(
        f"tests of the segment crate under the {kind} sanitizer, {env['SHM_SEGMENT_ROUNDS']} rounds; "
        f"the log is target/sanitize/{kind}.log"
    )
    # A target is named so that build scripts and macros, which run in the compiler, are built without.
    test = [*cargo, "test", "--locked", "-p", "shm-segment", "--lib", "--tests", *options]
    test += ["--target", rust.about("host", *compiler), "--target-dir", folder / kind]
    code = run([*test, "--", *skipped, *name_filter], env=env, limit=3600, log=log)
    # A report of a process that a test has started need not make the test fail.
    report = re.search("WARNING: ThreadSanitizer|ERROR: AddressSanitizer", log.read_text(errors="replace"))
    if code != 0 or report:
        raise Failure("sanitize: something was found")
    say("sanitize: nothing found")


def compilers():
    """Returns how to call cargo and rustc, and the variables that this takes."""
    if "RUSTC" in os.environ:
        # Not a nightly, but asked to be one.
        return ["cargo"], [os.environ["RUSTC"]], {"RUSTC_BOOTSTRAP": "1"}
    if not rust.has_nightly():
        raise Failure(
            "sanitize: a nightly Rust is needed: rustup toolchain install nightly --component rust-src"
        )
    return ["cargo", "+nightly"], ["rustc", "+nightly"], {}


def sanitizer_options():
    """Returns the variables that the sanitizers and the tests read."""
    # Faults in shared memory are caught by the crate. Any other fault must end the process as it does
    # elsewhere.
    common = f"handle_sigbus=0 external_symbolizer_path={shutil.which('addr2line')}"
    suppressions = f"suppressions={ROOT}/tools/tsan.supp"
    return {
        "TSAN_OPTIONS": f"{common} {suppressions} {os.environ.get('TSAN_OPTIONS', '')}",
        "ASAN_OPTIONS": f"{common} {os.environ.get('ASAN_OPTIONS', '')}",
        "SHM_SEGMENT_ROUNDS": os.environ.get("SHM_SEGMENT_ROUNDS", "50"),
        # For the tests at limits on memory, which the sanitizer needs itself.
        "SHM_SEGMENT_SANITIZED": "1",
    }


def clang_runtime(kind, compiler, sysroot):
    """Returns how to link clang's runtime, for a compiler that comes without its own."""
    name = {"thread": "tsan", "address": "asan"}[kind]
    llvm = rust.about("LLVM version", *compiler).partition(".")[0]
    folder = sysroot / f"lib/llvm-{llvm}/lib/clang/{llvm}/lib/linux"
    library = folder / f"libclang_rt.{name}-{platform.machine()}.a"
    if not library.exists():
        raise Failure(f"sanitize: there is no {library} (Debian: apt install libclang-rt-{llvm}-dev)")
    arguments = f"-Wl,--whole-archive,{library},--no-whole-archive,--export-dynamic"
    return ["-Zexternal-clangrt", f"-Zpre-link-args={arguments}"]
