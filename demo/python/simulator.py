#!/usr/bin/env python3
"""Publishes what the instruments of a car on a round course show, 120 times per second. Ctrl+C ends.

Needs the package of partners/python/. demo/telemetry/ shows the values, and any program can open the stream.
"""

import array
import math
import sys
import time

import godot_shared_memory as gsm

NAME = "SharedMemoryTelemetry"
RATE = 120
RADIUS = 100.0
GEAR_KMH = 40.0


class Car:
    """A car that accelerates and brakes in turns. Its values depend only on the number of its steps."""

    def __init__(self):
        self.speed = 60.0
        self.angle = self.throttle = self.brake = 0.0

    def step(self, now, seconds):
        """Returns the numbers of `Field` in demo/telemetry/telemetry.gd, which has their units."""
        phase = now % 9.0
        self.throttle = toward(self.throttle, float(phase < 5.5), 2.5 * seconds)
        self.brake = toward(self.brake, 0.9 * (5.8 < phase < 8.0), 3.0 * seconds)
        push = self.throttle * 45.0 - self.brake * 95.0 - self.speed * 0.12
        self.speed = max(15.0, self.speed + push * seconds)
        self.angle += self.speed / 3.6 / RADIUS * seconds
        gear = max(1, min(6, int(self.speed / GEAR_KMH) + 1))
        rpm = 1500.0 + 5500.0 * (self.speed - (gear - 1) * GEAR_KMH) / GEAR_KMH
        return (
            now,
            self.speed,
            min(rpm, 7600.0),
            self.throttle,
            self.brake,
            0.2 + 0.3 * math.sin(now * 1.3),
            gear,
            RADIUS * math.cos(self.angle),
            RADIUS * math.sin(self.angle),
        )


def toward(value, goal, step):
    return value + max(-step, min(step, goal - value))


def main():
    car, start, steps = Car(), time.monotonic(), 0
    with gsm.Stream.create(NAME, 1024) as stream:
        print(f"{NAME}: {RATE} records per second")
        while True:
            steps += 1
            # In the car's own time: it does not jump after a moment in which this program did not run.
            stream.write(array.array("f", car.step(steps / RATE, 1 / RATE)))
            time.sleep(max(0.0, start + steps / RATE - time.monotonic()))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()
    except gsm.Error as error:
        sys.exit(f"simulator.py: {error}")
