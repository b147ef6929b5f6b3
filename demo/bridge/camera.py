#!/usr/bin/env python3
"""The far program of the demo: draws pictures into a stream, and takes clicks out of a queue.

It knows nothing of the bridge. The names are those of its own machine: on one machine, the bridge adds "_far"
to the memory that it makes.
"""

import argparse
import signal
import sys
import time

import godot_shared_memory as gsm
import numpy

WIDTH, HEIGHT, RADIUS = 640, 360, 12


def draw(picture, at, color):
    """Draws a square into a picture of (height, width, 3)."""
    x, y = (
        max(0, min(limit - 1, int(part))) for part, limit in zip(at, (WIDTH, HEIGHT))
    )
    picture[max(0, y - RADIUS) : y + RADIUS, max(0, x - RADIUS) : x + RADIUS] = color


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=86400.0)
    options = parser.parse_args()
    # So that the memory is given back then, too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    stop = time.monotonic() + options.seconds
    background = numpy.zeros((HEIGHT, WIDTH, 3), numpy.uint8)
    background[:, :, 2] = numpy.linspace(30, 90, WIDTH, dtype=numpy.uint8)
    with (
        gsm.Stream.create("bridge_camera", background.nbytes) as camera,
        gsm.Queue.open("bridge_clicks_far") as clicks,
    ):
        print("Python draws into bridge_camera", flush=True)
        while time.monotonic() < stop:
            try:
                for click in clicks.dequeue_all():
                    draw(
                        background,
                        click["at"],
                        [int(255 * part) for part in click["color"][:3]],
                    )
                    print(
                        f"Python was clicked at {click['at'].x:.0f}, {click['at'].y:.0f}",
                        flush=True,
                    )
            except (gsm.UnavailableError, gsm.ConnectionError):
                # The bridge has not made the queue yet.
                pass
            picture = background.copy()
            draw(
                picture,
                (WIDTH * (time.monotonic() / 4 % 1), HEIGHT / 2),
                (255, 255, 255),
            )
            camera.write(picture)
            time.sleep(1 / 60)


if __name__ == "__main__":
    main()
