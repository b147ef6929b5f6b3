"""build.sh check-targets: compiles the code for systems that nothing can be run on here."""

import needs
import rust
from common import Failure, run, say

from . import wheel, windows

# With the crates' tests, which are to be run there.
LINTED = ("aarch64-apple-darwin", windows.TARGET)
# The segment crate alone: where it has nothing to offer, it must at least compile.
CHECKED = (
    "x86_64-unknown-freebsd",
    "aarch64-linux-android",
    "aarch64-apple-ios",
    "wasm32-unknown-emscripten",
)

HELP = f"""\
Usage: ./build.sh check-targets [TARGET...]

Compiles for other systems, as far as a compiler gets without their linkers, and runs clippy, to which every
warning is an error: all crates but the Python package, and their tests, for macOS (arm64) and Windows, the
segment crate for FreeBSD, Android, iOS and the Web. With TARGET ({" ".join(LINTED)} {" ".join(CHECKED)}):
only for these. Where rustup has no standard library for one, Debian's Rust is fetched into target/toolchain,
and compiles it from source.
"""


def main(arguments):
    targets = arguments or [*LINTED, *CHECKED]
    for target in targets:
        if target not in LINTED + CHECKED:
            raise Failure(f"check-targets: unknown target '{target}' (see ./build.sh check-targets --help)")
    needs.check()
    failed = []
    for target in targets:
        say(target)
        if not compiles(target):
            failed.append(target)
    if failed:
        raise Failure(f"check-targets: problems found for {', '.join(failed)}")
    say(f"check-targets: nothing found for {' '.join(targets)}")


def compiles(target):
    if target in LINTED:
        return lint(target) == 0
    env = {**rust.environment(target), "RUSTFLAGS": "-D warnings"}
    return run(["cargo", "check", "--locked", "-p", "shm-segment", "--target", target], env=env) == 0


def lint(target):
    """Runs clippy for a target and returns its exit code."""
    # For Windows, the compiler itself calls a tool that comes with mingw.
    env = windows.environment() if target == windows.TARGET else rust.environment(target)
    # The Python package is compiled where Python is.
    crates = ["--workspace", "--exclude", wheel.PACKAGE, "--all-targets"]
    arguments = ["--locked", *crates, "--target", target, "--", "-D", "warnings"]
    return run([*rust.clippy(env), *arguments], env=env)
