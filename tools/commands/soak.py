"""build.sh soak: the randomised tests of the segment crate, over and over, with many rounds each."""

import time

import needs
import rust
from common import Failure, must, parse, positive, require_linux, run, say

HELP = """\
Usage: ./build.sh soak [MINUTES]

Runs, until MINUTES (60) are over, again and again and with new seeds: processes killed at any moment of any
operation (1,000 rounds each), truncations at any moment of a copy (10,000), and processes that race for a
dead owner's name (1,000). Of the native layouts: all operations in single steps, with and without
optimisation, processes killed in each operation (200), and two minutes of random histories. Before that, runs
the models of the native layouts once, with larger bounds. Ends at the first failure. Linux only.
"""

# Rounds, filter, and the options of cargo. In optimised code, the stores may be in another order.
TESTS = (
    (1000, "killed::a_kill_at_any_moment", ()),
    (10000, "truncation::truncation_at_any_moment", ()),
    (1000, "of_ten", ()),
    (2, "single_steps::", ()),
    (2, "single_steps::", ("--release",)),
    (200, "native_killed::", ()),
    (120, "histories::", ()),
    (5, "named::table::every", ()),
    (300, "named::table::random", ()),
    (60, "native_ends::", ()),
)
# Optimised, as they visit millions of states.
MODELS = ["cargo", "test", "--locked", "--release", "-p", "shm-segment", "--test", "it", "models::"]
LOOM = ["cargo", "test", "--locked", "--release", "-p", "shm-segment", "--test", "loom_native"]
CARGO = ["cargo", "test", "--quiet", "--locked", "-p", "shm-segment"]


def main(arguments):
    words, _ = parse("soak", arguments, most=1)
    minutes = positive("soak", words[0] if words else "60", "minutes")
    require_linux("soak", "these tests look into /dev/shm and /proc, which only Linux has")
    needs.check()
    say("the models of the native layouts, with larger bounds")
    must(MODELS, "soak: a model failed", env={"SHM_SEGMENT_MODEL": 1})
    must(LOOM, "soak: a model of loom failed", env={**rust.loom_env(), "SHM_SEGMENT_PREEMPTIONS": 1})
    say("building the tests")
    for options in sorted({options for _, _, options in TESTS}):
        must([*CARGO, *options, "--no-run"])
    end = time.monotonic() + minutes * 60
    loop = 0
    while time.monotonic() < end:
        loop += 1
        for test in TESTS:
            if time.monotonic() < end:
                soak(loop, end, *test)
    say(f"soak: nothing found, {loop} times everything")


def soak(loop, end, rounds, name_filter, options):
    left = int(end - time.monotonic() + 59) // 60
    say(f"soak {loop}: {rounds} rounds of {name_filter}, {left} minutes left")
    command = [*CARGO, *options, "--test", "it", "--", "--nocapture", name_filter]
    if run(command, env={"SHM_SEGMENT_ROUNDS": rounds}, limit=3600) != 0:
        raise Failure(
            f"soak: {name_filter} failed; its seed is above "
            "(SHM_SEGMENT_SEED and SHM_SEGMENT_ROUNDS repeat it)"
        )
