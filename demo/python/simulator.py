#!/usr/bin/env python3
"""Publishes what the instruments of a car on a round course show, 120 times per second.

Needs nothing but the standard library. demo/telemetry/ shows the values; any program that knows FORMAT can.
"""

import math
import struct
import time

import segment

NAME = "SharedMemoryTelemetry"
# The same as in demo/telemetry/record.gd, which has the struct in C: sequence, seen, time, speed, rpm,
# throttle, brake, steering, gear, x, y.
FORMAT = "@IId5fb2f"
RECORD = struct.Struct(FORMAT)
SEQUENCE = struct.Struct("@I")
SEEN_AT = 4
# The values follow the two numbers at the start. The reader writes the second one.
VALUES_AT = 8

RATE = 120
RADIUS = 100.0
GEAR_KMH = 40.0
# With --auto, it ends once ENOUGH records were read, and none within the last READER_ENDED seconds.
ENOUGH = 50
READER_ENDED = 1.0
TIMEOUT = 30.0
# The number of records that are kept, to find the values of the record that the reader has seen.
RECENT = 10 * RATE


class Car:
    """A car that accelerates and brakes in turns."""

    def __init__(self):
        self.speed = 60.0
        self.angle = self.throttle = self.brake = 0.0

    def step(self, now, seconds):
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


def begin(memory):
    """Marks the memory as being written: a killed simulator may have left a record."""
    memory.write(SEQUENCE.pack(1))
    memory.write(SEQUENCE.pack(0), SEEN_AT)


def publish(memory, sequence, values):
    """Writes a record so that a reader can tell whether it is whole. Returns the last sequence it has seen.

    This is a seqlock: the sequence is odd while the values change, and a new even number afterwards. x86
    keeps the order of these stores. Other processors may not, and Python can't ask them to.
    """
    record = RECORD.pack(sequence, 0, *values)
    memory.write(SEQUENCE.pack(sequence - 1))
    memory.write(record[VALUES_AT:], VALUES_AT)
    memory.write(SEQUENCE.pack(sequence))
    return SEQUENCE.unpack(memory.read(SEQUENCE.size, SEEN_AT))[0]


def describe(sequence, values):
    _time, speed, rpm, throttle, brake, _steering, gear, _x, _y = values
    return (
        f"record {sequence // 2}: {speed:.1f} km/h, {rpm:.0f} rpm, gear {gear}, "
        f"throttle {throttle:.2f}, brake {brake:.2f}"
    )


class Reader:
    """The record that the other side has read last, and when."""

    def __init__(self):
        self.recent = {}
        self.count, self.last, self.at = 0, None, 0.0

    def note(self, now, sequence, values, seen):
        self.recent[sequence] = values
        if len(self.recent) > RECENT:
            del self.recent[next(iter(self.recent))]
        # The other side may have written anything.
        if seen in self.recent and (self.last is None or self.last[0] != seen):
            if self.count == 0:
                print("Another program reads the records")
            self.count += 1
            self.last, self.at = (seen, self.recent[seen]), now

    def has_ended(self, now):
        return self.count >= ENOUGH and now - self.at > READER_ENDED


def main():
    parser = segment.argument_parser(__doc__, "end after this time")
    parser.set_defaults(name=NAME, size=RECORD.size)
    parser.add_argument(
        "--auto", action="store_true", help="end when a reader has ended"
    )
    options = parser.parse_args()

    limit = TIMEOUT if options.auto else options.wait
    # A simulator that was killed has left its memory, and others may have it open.
    with segment.Segment.open_or_create(options.name, options.size) as memory:
        begin(memory)
        print(f"{options.name}: {RATE} records of {RECORD.size} bytes per second")
        start, sequence = time.monotonic(), 0
        car, reader = Car(), Reader()
        while True:
            now = time.monotonic() - start
            sequence += 2
            # In the car's own time: it does not jump after a moment in which this program did not run.
            values = car.step(sequence / 2 / RATE, 1 / RATE)
            reader.note(now, sequence, values, publish(memory, sequence, values))
            if options.auto and reader.has_ended(now):
                print(f"Python was read up to {describe(*reader.last)}")
                return 0
            if limit is not None and now > limit:
                return 1 if options.auto else 0
            time.sleep(max(0.0, start + sequence / 2 / RATE - time.monotonic()))


if __name__ == "__main__":
    segment.run(main)
