"""build.sh miri: the part of the crates that the interpreter Miri can run."""

import subprocess

from common import Failure, must, parse, say

HELP = """\
Usage: ./build.sh miri

Runs those tests of the crates that need no shared memory of the system (which Miri hasn't got) in
Miri, which finds undefined behaviour: the module that touches the mapped bytes, on anonymous memory; values
that threads share without a lock; the rules for names, and for structs; the steps of the native layouts,
whose copies must not race. Needs a nightly Rust with Miri:
rustup toolchain install nightly --component miri,rust-src
"""

TEST = ["cargo", "+nightly", "miri", "test", "--locked", "-p"]
# Crates and test programs with their arguments, and variables.
RUNS = (
    (["shm-segment", "--lib", "--", "memory::", "name::", "values::structs::"], {}),
    # Miri itself fails where it emulates weak memory for bytes that are now a word, and then a copy.
    (
        ["shm-segment", "--lib", "--", "layout::native::"],
        {"MIRIFLAGS": "-Zmiri-disable-weak-memory-emulation"},
    ),
    # It reads how much to do from a variable of the environment.
    (["hazard", "--test", "threads"], {"MIRIFLAGS": "-Zmiri-disable-isolation"}),
)


def main(arguments):
    parse("miri", arguments)
    version = ["cargo", "+nightly", "miri", "--version"]
    if subprocess.run(version, capture_output=True).returncode != 0:
        raise Failure(
            "Miri is missing; get it with: rustup toolchain install nightly --component miri,rust-src"
        )
    for tests, env in RUNS:
        say(" ".join([*TEST, *tests]))
        must([*TEST, *tests], env=env)
