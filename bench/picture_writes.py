"""Writes a picture into a stream in each way, and copies it into memory of the same size, in turns.

picture_writes.py NAME ROUNDS

Prints the nanoseconds of a round: of a copy of numpy, of `Stream.write`, and of the same copy in
`Stream.begin`. The copies go through as many places as the stream has.
"""

import sys
import time

import godot_shared_memory as gsm
import numpy

PICTURE = (1080, 1920, 4)
PAGE = 4096
READERS = 2
# The first ones touch the pages.
WARM_UP = 8


class Bare:
    """Memory with the places of a stream, one behind the other."""

    def __init__(self, memory, picture, places):
        self.picture = picture
        step = (picture.nbytes + PAGE - 1) // PAGE * PAGE
        bytes = numpy.frombuffer(memory, numpy.uint8)
        starts = (place * step for place in range(places))
        self.places = [
            bytes[start : start + picture.nbytes].reshape(PICTURE) for start in starts
        ]
        self.next = 0

    def copy(self):
        numpy.copyto(self.places[self.next], self.picture)
        self.next = (self.next + 1) % len(self.places)


def timed(work):
    start = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - start


def main():
    name, rounds = sys.argv[1], int(sys.argv[2])
    picture = numpy.full(PICTURE, 7, numpy.uint8)
    with gsm.Stream.create(name, picture.nbytes, READERS) as stream:
        size = len(stream.get_memory())
        drawn = gsm.Stream.create(name + "-drawn", picture.nbytes, READERS)
        memory = gsm.SharedMemory.create(name + "-bare", size)
        with drawn, memory:
            bare = Bare(memory, picture, size // picture.nbytes)

            def draw():
                with drawn.begin(PICTURE) as pixels:
                    numpy.copyto(pixels, picture)

            for round in range(-WARM_UP, rounds):
                times = [
                    timed(work)
                    for work in (bare.copy, lambda: stream.write(picture), draw)
                ]
                if round >= 0:
                    print(*times)


if __name__ == "__main__":
    main()
