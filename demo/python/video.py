#!/usr/bin/env python3
"""Draws moving pictures for demo/video/, and saves the pictures that Godot hands out as PNG.

Needs numpy. --camera shows the first camera instead, and needs OpenCV (the package opencv-python).
"""

import contextlib
import os
import signal
import struct
import sys
import time
import zlib

import numpy
import segment

VIDEO_NAME = "SharedMemoryVideo"
SCREEN_NAME = "SharedMemoryScreen"
WIDTH, HEIGHT = 1280, 720
# The layout of demo/video/frames.gd: two numbers, then slots with a size and a picture each.
COUNT, SEEN = 0, 1
HEADER = 64
SLOTS = 4
SLOT_SIZE = HEADER + 4 * WIDTH * HEIGHT
SIZE = HEADER + SLOTS * SLOT_SIZE
RATE = 60
TIMEOUT = 40.0


class Frames:
    """Slots of pictures: the last picture is in one of them, and the next one is drawn in the next."""

    def __init__(self, memory):
        # One store for each number, so that the other side never sees half of it.
        self.numbers = numpy.frombuffer(memory.mapping, "<u4", SIZE // 4)
        self.bytes = numpy.frombuffer(memory.mapping, numpy.uint8, SIZE)

    def get(self, index):
        return int(self.numbers[index])

    def set(self, index, value):
        self.numbers[index] = value

    def pixels(self, number, width, height):
        """Returns the place of a picture as rows of columns of RGBA."""
        start = self._slot(number) + HEADER
        return self.bytes[start : start + width * height * 4].reshape(height, width, 4)

    def start(self, number, width, height):
        """Returns the place for a new picture of this size."""
        self.set(self._slot(number) // 4, width)
        self.set(self._slot(number) // 4 + 1, height)
        return self.pixels(number, width, height)

    def take(self):
        """Returns a copy of the last picture if it is new and whole, otherwise None."""
        count = self.get(COUNT)
        if count == self.get(SEEN):
            return None
        width, height = map(int, self.numbers[self._slot(count) // 4 :][:2])
        # The other program may have written any size.
        if not (0 < width <= WIDTH and 0 < height <= HEIGHT):
            return None
        picture = self.pixels(count, width, height).copy()
        # Counts wrap around.
        if (self.get(COUNT) - count) % 2**32 > SLOTS - 2:
            return None
        self.set(SEEN, count)
        return picture

    def _slot(self, number):
        return HEADER + number % SLOTS * SLOT_SIZE


class Waves:
    """Rings around three places, added up. A picture depends only on its number."""

    # Column and row, from 0 to 1; the length of a wave in pixels; its step from picture to picture.
    SOURCES = ((0.2, 0.75, 150, 3), (0.78, 0.8, 180, 4), (0.55, 0.12, 210, 5))
    COLORS = (0x121A2B, 0x1E3A5F, 0x2B6A9A, 0x6FB5E8, 0xFFD866, 0xF08060)

    def __init__(self):
        y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH].astype(numpy.float32)
        # Drawing must take less time than a frame, so it only looks up numbers in tables. They have
        # the place of each pixel on each wave (0 to 255), the wave's height there, and the colour of the sum.
        self.phases = [
            (numpy.hypot(x - column * WIDTH, y - row * HEIGHT) * (256 / length)).astype(
                numpy.intp
            )
            & 255
            for column, row, length, _speed in self.SOURCES
        ]
        angles = numpy.arange(256) * (2 * numpy.pi / 256)
        self.wave = (numpy.sin(angles) * 42.4 + 42.5).astype(numpy.uint8)
        self.palette = self._palette()
        self.heights = numpy.zeros((2, HEIGHT, WIDTH), numpy.uint8)

    def _palette(self):
        palette = numpy.full((256, 4), 255, numpy.uint8)
        stops = numpy.linspace(0, 255, len(self.COLORS))
        for channel in range(3):
            values = [color >> (16 - 8 * channel) & 255 for color in self.COLORS]
            palette[:, channel] = numpy.interp(numpy.arange(256), stops, values)
        return palette.view(numpy.uint32)[:, 0]

    def draw(self, into, number):
        total, one = self.heights
        total.fill(0)
        for phases, (_column, _row, _length, speed) in zip(self.phases, self.SOURCES):
            moved = numpy.roll(self.wave, number * speed % 256)
            numpy.take(moved, phases, out=one, mode="clip")
            numpy.add(total, one, out=total)
        pixels = into.view(numpy.uint32)[:, :, 0]
        numpy.take(self.palette, total, out=pixels, mode="clip")


class Camera:
    def __init__(self):
        try:
            import cv2
        except ImportError:
            sys.exit("video.py: --camera needs OpenCV: pip install opencv-python")
        self.cv2 = cv2
        self.camera = cv2.VideoCapture(0)
        if not self.camera.isOpened():
            sys.exit("video.py: no camera can be opened")

    def draw(self, into, _number):
        found, picture = self.camera.read()
        if found:
            picture = self.cv2.resize(picture, (WIDTH, HEIGHT))
            into[:] = self.cv2.cvtColor(picture, self.cv2.COLOR_BGR2RGBA)


def save_png(path, pixels):
    """Saves RGBA pixels (rows, columns, 4) as PNG: https://www.w3.org/TR/png/, filter 0 in each row."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width, _ = pixels.shape
    rows = numpy.zeros((height, 1 + width * 4), numpy.uint8)
    rows[:, 1:] = pixels.reshape(height, width * 4)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
        )
        file.write(chunk(b"IDAT", zlib.compress(rows.tobytes(), 1)))
        file.write(chunk(b"IEND", b""))


class Screen:
    """Saves the pictures that Godot hands out."""

    def __init__(self, path):
        self.path = path
        self.memory = None
        self.frames = None
        self.saved = 0

    def look(self):
        # Another Godot may have made another memory.
        if self.memory is not None and not self.memory.is_current():
            self.close()
        if self.memory is None:
            try:
                self.memory = segment.Segment.open(SCREEN_NAME, SIZE)
            except segment.SegmentError:
                return
            self.frames = Frames(self.memory)
        picture = self.frames.take()
        if picture is not None:
            save_png(self.path, picture)
            self.saved += 1
            height, width, _ = picture.shape
            print(f"Python saved {width} x {height} as {self.path}")

    def close(self):
        if self.memory is not None:
            self.frames = None
            self.memory.close()
            self.memory = None


class Stop:
    """Notes the signal that asks for the end.

    An exception in the middle of drawing would keep arrays over the memory alive, and it could not be closed.
    """

    def __init__(self):
        self.number = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.note)

    def note(self, number, _frame):
        self.number = number


def show(memory, source, screen, options):
    """Draws until it is time to end. Returns the exit code."""
    stop = Stop()
    limit = TIMEOUT if options.auto else options.wait
    frames = Frames(memory)
    start, drawn = time.monotonic(), 0
    while not (options.auto and screen.saved):
        if stop.number:
            return 128 + stop.number
        now = time.monotonic() - start
        if limit is not None and now > limit:
            return 1 if options.auto else 0
        # A program that was killed may have left a count.
        number = (frames.get(COUNT) + 1) % 2**32
        source.draw(frames.start(number, WIDTH, HEIGHT), number)
        frames.set(COUNT, number)
        drawn += 1
        screen.look()
        time.sleep(max(0.0, start + drawn / RATE - time.monotonic()))
    print(f"Python drew {drawn} pictures")
    return 0


def main():
    parser = segment.argument_parser(__doc__, "end after this time")
    parser.set_defaults(name=VIDEO_NAME, size=SIZE)
    parser.add_argument(
        "--auto", action="store_true", help="end once a picture was saved"
    )
    parser.add_argument("--camera", action="store_true", help="show the first camera")
    parser.add_argument(
        "--save", default="screen.png", metavar="PATH", help="the file (%(default)s)"
    )
    options = parser.parse_args()

    source = Camera() if options.camera else Waves()
    screen = Screen(os.path.abspath(options.save))
    memory = segment.Segment.open_or_create(options.name, options.size)
    with memory, contextlib.closing(screen):
        return show(memory, source, screen, options)


if __name__ == "__main__":
    segment.run(main)
