"""How much the randomised tests do: a little in a run of all tests, as much as one likes by hand."""

import os

SECONDS = "SHM_TEST_SECONDS"
ROUNDS = "SHM_TEST_ROUNDS"


def rounds(usual):
    """Return how often to do it: what SHM_TEST_ROUNDS says, or else `usual`."""
    return int(os.environ.get(ROUNDS) or usual)


def seconds_more():
    """Return how much longer than usual a test may take that goes on for SHM_TEST_SECONDS."""
    return int(float(os.environ.get(SECONDS) or 0))
