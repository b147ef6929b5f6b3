"""build.sh miri: the part of the segment crate that the interpreter Miri can run."""

import subprocess

from common import Failure, must, parse, say

HELP = """\
Usage: ./build.sh miri

Runs those tests of the segment crate that need no shared memory of the system (which Miri hasn't got) in
Miri, which finds undefined behaviour: the module that touches the mapped bytes, on anonymous memory; values
that threads share without a lock; the rules for names, and for structs. Needs a nightly Rust with Miri:
rustup toolchain install nightly --component miri,rust-src
"""

TEST = ["cargo", "+nightly", "miri", "test", "--locked", "-p", "shm-segment"]
# Test programs with their arguments, and variables.
RUNS = (
    (["--lib", "--", "memory::", "name::", "layout::structs::"], {}),
    # It reads how much to do from a variable of the environment.
    (["--test", "held"], {"MIRIFLAGS": "-Zmiri-disable-isolation"}),
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
