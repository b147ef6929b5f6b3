#!/usr/bin/env python3
"""Draws moving pictures for demo/video/, and saves those that Godot hands out as PNG.

Takes numpy; with --camera also OpenCV (the package opencv-python), and then shows the first camera.
"""

import os
import struct
import sys
import time
import zlib

import numpy
import segment

VIDEO_NAME = "SharedMemoryVideo"
SCREEN_NAME = "SharedMemoryScreen"
WIDTH, HEIGHT = 1280, 720
# As demo/video/frames.gd has it: count, ready, width, height, seen; then two pictures.
HEADER = 64
SIZE = HEADER + 2 * 4 * WIDTH * HEIGHT
FIELDS = ("count", "ready", "width", "height", "seen")
RATE = 60
TIMEOUT = 30.0


class Frames:
    """Two pictures in memory, of which one is ready while the other is drawn."""

    def __init__(self, memory):
        self.fields = numpy.frombuffer(memory.mapping, dtype="<u4", count=len(FIELDS))
        self.memory = memory

    def __getattr__(self, name):
        return int(self.fields[FIELDS.index(name)])

    def set(self, name, value):
        self.fields[FIELDS.index(name)] = value

    def pixels(self, number):
        # Whoever wrote the size may not have meant well.
        width, height = self.width, self.height
        place = HEADER + number * width * height * 4
        if not width or not height or place + width * height * 4 > self.memory.size:
            return None
        pixels = numpy.frombuffer(
            self.memory.mapping, numpy.uint8, width * height * 4, place
        )
        return pixels.reshape(height, width, 4)

    def close(self):
        # numpy holds on to the mapping, which could not be closed otherwise.
        self.fields = None


class Waves:
    """Something that moves, and that no compression would make easy."""

    def __init__(self):
        y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH].astype(numpy.float32)
        # A table of sines, and where to look in it: drawing must take less time than a frame has.
        angles = numpy.linspace(0, 2 * numpy.pi, 1024)
        self.sines = (numpy.sin(angles) * 127 + 128).astype(numpy.uint8)
        rings = numpy.hypot(x - WIDTH / 2, y - HEIGHT / 2)
        parts = (5.0 * rings, 1.6 * x, 1.6 * x + 2.1 * y)
        self.parts = [part.astype(numpy.int32) for part in parts]

    def draw(self, into, now):
        for channel, (part, speed) in enumerate(
            zip(self.parts, (-700.0, 400.0, -550.0))
        ):
            numpy.take(
                self.sines, part + int(now * speed) & 1023, out=into[:, :, channel]
            )
        into[:, :, 3] = 255
        # By this, the test knows top from bottom.
        into[:32, :32] = (255, 0, 0, 255)


class Camera:
    def __init__(self):
        import cv2

        self.cv2 = cv2
        self.camera = cv2.VideoCapture(0)
        if not self.camera.isOpened():
            sys.exit("video.py: there is no camera, or it can't be opened")

    def draw(self, into, _now):
        found, picture = self.camera.read()
        if found:
            picture = self.cv2.resize(picture, (WIDTH, HEIGHT))
            into[:] = self.cv2.cvtColor(picture, self.cv2.COLOR_BGR2RGBA)


def save_png(path, pixels):
    """Save RGBA pixels (rows, columns, 4) as PNG: https://www.w3.org/TR/png/, filter 0 in each row."""

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
    """What Godot hands out, if it does."""

    def __init__(self, path):
        self.path = path
        self.memory = None
        self.frames = None
        self.saved = 0

    def look(self):
        if self.memory is None:
            try:
                self.memory = segment.Segment.open(SCREEN_NAME, SIZE)
            except segment.SegmentError:
                return
            self.frames = Frames(self.memory)
        count = self.frames.count
        if count != self.frames.seen:
            pixels = self.frames.pixels(self.frames.ready % 2)
            if pixels is not None:
                save_png(self.path, pixels)
                self.saved += 1
                width, height = self.frames.width, self.frames.height
                print(f"Python saved {width} x {height} as {self.path}")
            self.frames.set("seen", count)

    def close(self):
        if self.memory is not None:
            self.frames.close()
            self.memory.close()


def main():
    parser = segment.argument_parser(__doc__, "end after so many seconds")
    parser.set_defaults(name=VIDEO_NAME, size=SIZE)
    parser.add_argument("--auto", action="store_true", help="end once one was saved")
    parser.add_argument("--camera", action="store_true", help="show what it sees")
    parser.add_argument(
        "--save", default="screen.png", metavar="PATH", help="(%(default)s)"
    )
    options = parser.parse_args()

    source = Camera() if options.camera else Waves()
    screen = Screen(os.path.abspath(options.save))
    limit = TIMEOUT if options.auto else options.wait
    with segment.Segment.open_or_create(options.name, options.size) as memory:
        frames = Frames(memory)
        try:
            frames.set("width", WIDTH)
            frames.set("height", HEIGHT)
            start, drawn = time.monotonic(), 0
            while not (options.auto and screen.saved):
                now = time.monotonic() - start
                if limit is not None and now > limit:
                    return 1 if options.auto else 0
                other = (frames.ready + 1) % 2
                source.draw(frames.pixels(other), now)
                frames.set("ready", other)
                frames.set("count", (frames.count + 1) & 0xFFFFFFFF)
                drawn += 1
                screen.look()
                time.sleep(max(0.0, start + drawn / RATE - time.monotonic()))
            print(f"Python drew {drawn} pictures")
            # The reader looks once more.
            time.sleep(0.5)
            return 0
        finally:
            screen.close()
            frames.close()


if __name__ == "__main__":
    segment.run(main)
