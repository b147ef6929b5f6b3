"""build.sh soak: the randomised tests of the segment crate, over and over, with many rounds each."""

import time

import needs
from common import Failure, must, parse, positive, require_linux, run, say

HELP = """\
Usage: ./build.sh soak [MINUTES]

Runs, until MINUTES (60) are over, again and again and with new seeds: processes killed at any moment of any
operation (1,000 rounds each), truncations at any moment of a copy (10,000), and processes that race for a
dead owner's name (1,000). Ends at the first failure. Linux only.
"""

# Rounds, and filter.
TESTS = (
    (1000, "killed::a_kill_at_any_moment"),
    (10000, "truncation::truncation_at_any_moment"),
    (1000, "of_ten"),
)
CARGO = ["cargo", "test", "--quiet", "--locked", "-p", "shm-segment"]


def main(arguments):
    words, _ = parse("soak", arguments, most=1)
    minutes = positive("soak", words[0] if words else "60", "minutes")
    require_linux("soak", "these tests look into /dev/shm and /proc, which only Linux has")
    needs.check()
    say("building the tests")
    must([*CARGO, "--no-run"])
    end = time.monotonic() + minutes * 60
    loop = 0
    while time.monotonic() < end:
        loop += 1
        for test in TESTS:
            if time.monotonic() < end:
                soak(loop, end, *test)
    say(f"soak: nothing found, {loop} times everything")


def soak(loop, end, rounds, name_filter):
    left = int(end - time.monotonic() + 59) // 60
    say(f"soak {loop}: {rounds} rounds of {name_filter}, {left} minutes left")
    command = [*CARGO, "--test", "it", "--", "--nocapture", name_filter]
    if run(command, env={"SHM_SEGMENT_ROUNDS": rounds}, limit=3600) != 0:
        raise Failure(
            f"soak: {name_filter} failed; its seed is above "
            "(SHM_SEGMENT_SEED and SHM_SEGMENT_ROUNDS repeat it)"
        )
