"""The effort of the randomised tests: little in a run of all tests, more by variables of the environment."""

import os

SECONDS = "SHM_TEST_SECONDS"
ROUNDS = "SHM_TEST_ROUNDS"


def rounds(usual):
    """Returns the number of rounds: SHM_TEST_ROUNDS, or else `usual`."""
    return int(os.environ.get(ROUNDS) or usual)


def seconds_more():
    """Returns the seconds that a test with SHM_TEST_SECONDS may take beyond its usual time limit."""
    return int(float(os.environ.get(SECONDS) or 0))
