#!/usr/bin/env python3
"""Computes the water of demo/water/. The game sends the place of a ball, and gets heights. Ctrl+C ends.

Needs the package of partners/python/, and numpy.
"""

import contextlib

import godot_shared_memory as gsm
import numpy as np


def wave(now, before):
    """Returns the heights after a step, and those before it: each place follows those around it."""
    p = np.pad(now, 1, "edge")
    around = p[:-2, 1:-1] + p[2:, 1:-1]
    around += p[1:-1, :-2] + p[1:-1, 2:]
    return 0.99 * (around / 2 - before), now


def main():
    now = before = np.zeros((96, 96), np.float32)
    with gsm.Peer("SharedMemoryWater") as game:
        for count, (x, y) in enumerate(game):
            # The ball presses the water down.
            now[y - 2 : y + 3, x - 2 : x + 3] -= 0.12
            now, before = wave(*wave(now, before))
            game.send(now)
            if count % 10 == 0:
                print(f"step {count}: the ball is at {x}, {y}")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        # One game after the other. One that is killed may not take the last heights.
        while True:
            with contextlib.suppress(gsm.ConnectionError, gsm.UnavailableError):
                main()
