#!/usr/bin/env python3
"""A car on a round course: publishes what its instruments would show, 120 times a second.

Needs nothing but the standard library. demo/telemetry/ shows it; any other program can that knows FORMAT.
"""

import math
import struct
import time

import segment

NAME = "SharedMemoryTelemetry"
# As demo/telemetry/record.gd has it, with the struct in C: sequence, seen, time, speed, rpm, throttle, brake,
# steering, gear, x, y.
FORMAT = "@IId5fb2f"
RECORD = struct.Struct(FORMAT)
SEQUENCE = struct.Struct("@I")
SEEN_AT = 4

RATE = 120
RADIUS = 100.0
GEAR_KMH = 40.0
ENOUGH = 50
TIMEOUT = 20.0


class Car:
    """Brakes and goes again, so that there is something to see."""

    def __init__(self):
        self.speed = 60.0
        self.angle = 0.0

    def step(self, now, seconds):
        phase = now % 9.0
        throttle = 1.0 if phase < 5.5 else 0.0
        brake = min(1.0, (phase - 6.0) * 2.0) if 6.0 < phase < 8.0 else 0.0
        push = throttle * 45.0 - brake * 95.0 - self.speed * 0.12
        self.speed = max(15.0, self.speed + push * seconds)
        self.angle += self.speed / 3.6 / RADIUS * seconds
        gear = max(1, min(6, int(self.speed / GEAR_KMH) + 1))
        rpm = 1500.0 + 5500.0 * (self.speed - (gear - 1) * GEAR_KMH) / GEAR_KMH
        return (
            now,
            self.speed,
            min(rpm, 7600.0),
            throttle,
            brake,
            0.35 + 0.25 * math.sin(now * 1.7),
            gear,
            RADIUS * math.cos(self.angle),
            RADIUS * math.sin(self.angle),
        )


def publish(memory, sequence, values):
    """Writes a record so that nobody takes half of it for whole: the sequence is odd meanwhile."""
    memory.write(SEQUENCE.pack(sequence - 1))
    (seen,) = SEQUENCE.unpack(memory.read(4, SEEN_AT))
    # All but the two numbers at the start, of which the second is the reader's.
    memory.write(RECORD.pack(sequence - 1, seen, *values)[8:], 8)
    memory.write(SEQUENCE.pack(sequence))
    return seen


def main():
    parser = segment.argument_parser(__doc__, "end after so many seconds")
    parser.set_defaults(name=NAME, size=RECORD.size)
    parser.add_argument("--auto", action="store_true", help="end once it was seen")
    options = parser.parse_args()

    limit = TIMEOUT if options.auto else options.wait
    # One that was killed has left its memory, and others may have it open.
    with segment.Segment.open_or_create(options.name, options.size) as memory:
        print(f"{options.name}: {RATE} records a second of {RECORD.size} bytes")
        start = time.monotonic()
        car, sequence, first_seen = Car(), 0, None
        while True:
            now = time.monotonic() - start
            sequence += 2
            seen = publish(memory, sequence, car.step(now, 1 / RATE))
            if seen and first_seen is None:
                first_seen = seen
                print("Somebody has begun to read.")
            if options.auto and first_seen and (seen - first_seen) / 2 >= ENOUGH:
                print(f"Python was read, up to record {seen // 2}")
                # The reader wants a little more than we do.
                limit, options.auto = now + 2.0, False
            if limit is not None and now > limit:
                return 1 if options.auto else 0
            time.sleep(max(0.0, start + sequence / 2 / RATE - time.monotonic()))


if __name__ == "__main__":
    segment.run(main)
