#!/usr/bin/env python3
"""Shows moving pictures in demo/video/, and saves the pictures that Godot hands out. Ctrl+C ends.

Needs the package of partners/python/, and numpy. --camera also needs OpenCV (pip install opencv-python).
"""

import argparse
import itertools
import os
import sys
import time

import godot_shared_memory as gsm
import numpy

VIDEO_NAME = "SharedMemoryVideo"
SCREEN_NAME = "SharedMemoryScreen"
# The bytes of the largest picture. Smaller ones of any size may follow each other.
LARGEST = 1920 * 1080 * 4
RATE = 60


class Waves:
    """Rings around three places, added up. A picture depends only on its number."""

    # Column and row, from 0 to 1; the length of a wave in pixels; its step from picture to picture.
    SOURCES = ((0.2, 0.75, 150, 3), (0.78, 0.8, 180, 4), (0.55, 0.12, 210, 5))
    COLORS = (0x121A2B, 0x1E3A5F, 0x2B6A9A, 0x6FB5E8, 0xFFD866, 0xF08060)

    def __init__(self, width=1280, height=720):
        y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float32)
        # Drawing must take less time than a frame, so it only looks up numbers in tables. They have
        # the place of each pixel on each wave (0 to 255), the wave's height there, and the colour of the sum.
        self.phases = [
            (numpy.hypot(x - column * width, y - row * height) * (256 / length)).astype(
                numpy.intp
            )
            & 255
            for column, row, length, _speed in self.SOURCES
        ]
        angles = numpy.arange(256) * (2 * numpy.pi / 256)
        self.wave = (numpy.sin(angles) * 42.4 + 42.5).astype(numpy.uint8)
        self.palette = self._palette()
        self.heights = numpy.zeros((2, height, width), numpy.uint8)

    def _palette(self):
        palette = numpy.full((256, 4), 255, numpy.uint8)
        stops = numpy.linspace(0, 255, len(self.COLORS))
        for channel in range(3):
            values = [color >> (16 - 8 * channel) & 255 for color in self.COLORS]
            palette[:, channel] = numpy.interp(numpy.arange(256), stops, values)
        return palette

    def draw(self, number):
        """Returns a picture in RGBA."""
        total, one = self.heights
        total.fill(0)
        for phases, (_column, _row, _length, speed) in zip(self.phases, self.SOURCES):
            moved = numpy.roll(self.wave, number * speed % 256)
            numpy.take(moved, phases, out=one, mode="clip")
            numpy.add(total, one, out=total)
        # Four bytes at once.
        pixels = numpy.take(self.palette.view(numpy.uint32)[:, 0], total)
        return pixels.view(numpy.uint8).reshape(*total.shape, 4)


def waves():
    drawn = Waves()
    return map(drawn.draw, itertools.count())


def files(paths):
    """Yields the pictures of files that numpy.save has written, one per second, again and again."""
    # Without gsm.image, an array of two dimensions would be one of numbers, not a grey picture.
    pictures = [gsm.image(numpy.load(path)) for path in paths]
    for picture in itertools.cycle(pictures):
        for _ in range(RATE):
            yield picture


def camera(source):
    """Yields the pictures of a camera, by its number, or of a recorded file, again and again."""
    try:
        import cv2
    except ImportError:
        sys.exit("video.py: --camera needs OpenCV: pip install opencv-python")
    device = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if not device.isOpened():
        sys.exit(f"video.py: OpenCV can't open the camera or file {source}")
    while True:
        found, picture = device.read()
        if found:
            yield gsm.image(picture, "BGR8" if picture.ndim == 3 else "L8")
        elif not device.set(cv2.CAP_PROP_POS_FRAMES, 0) or not device.read()[0]:
            sys.exit(f"video.py: {source} has no more pictures")


def is_rgba(value):
    is_picture = isinstance(value, numpy.ndarray) and value.dtype == numpy.uint8
    return is_picture and value.ndim == 3 and value.shape[2] == 4


def save(picture, path):
    """Saves a picture in RGBA as PPM, which needs no library."""
    height, width, _ = picture.shape
    with open(path, "wb") as file:
        file.write(b"P6 %d %d 255\n" % (width, height))
        file.write(picture[:, :, :3].tobytes())
    print(f"Python saved {width} x {height} as {os.path.abspath(path)}")


def show(pictures, path, auto):
    """Shows pictures, of any size and number of channels, and saves those that Godot hands out."""
    start = time.monotonic()
    screen = gsm.Stream.open(SCREEN_NAME)
    with gsm.Stream.create(VIDEO_NAME, LARGEST) as stream:
        for count, picture in enumerate(pictures):
            stream.write(picture)
            # There is no memory until Godot has handed out a picture.
            if screen.is_attached() and screen.has_new_data():
                handed_out = screen.read()
                # Another program may hand out anything.
                if is_rgba(handed_out):
                    save(handed_out, path)
                    if auto:
                        break
            time.sleep(max(0.0, start + count / RATE - time.monotonic()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="show files of numpy.save: uint8, (height, width) or (height, width, 1 to 4)",
    )
    parser.add_argument(
        "--camera",
        nargs="?",
        const="0",
        metavar="SOURCE",
        help="show a camera, by its number, or a recorded file (0)",
    )
    parser.add_argument(
        "--save", default="screen.ppm", metavar="PATH", help="the file (%(default)s)"
    )
    parser.add_argument(
        "--auto", action="store_true", help="end once a picture was saved"
    )
    options = parser.parse_args()

    pictures = waves()
    if options.camera:
        pictures = camera(options.camera)
    elif options.files:
        pictures = files(options.files)
    show(pictures, options.save, options.auto)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()
    except gsm.Error as error:
        sys.exit(f"video.py: {error}")
