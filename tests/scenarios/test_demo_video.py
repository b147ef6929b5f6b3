"""The demo video: pictures from numpy, and one back as PNG."""

import os
import signal
import struct
import subprocess
import time
import unittest
import zlib

from harness.demos import PARTNERS, Demo, after
from harness.session import SHARED

NUMPY = os.environ.get("SHM_TEST_NUMPY")
WIDTH, HEIGHT = 1280, 720

# Draws one picture anew, as its number is all that it depends on.
DRAW = """
import sys

sys.path.insert(0, sys.argv[1])
import numpy
import video

picture = numpy.zeros((video.HEIGHT, video.WIDTH, 4), numpy.uint8)
video.Waves().draw(picture, int(sys.argv[2]))
sys.stdout.buffer.write(picture.tobytes())
"""


@unittest.skipUnless(NUMPY, "no numpy: ./build.sh test installs it, from PyPI")
class Video(Demo):
    names = ("SharedMemoryVideo", "SharedMemoryScreen")

    def test_demo_video(self):
        said = self.run_demo("video", "--python", NUMPY)
        handed_out = after(said, "Godot hands out number ")
        self.assertEqual(len(handed_out), 2, "once in each order")
        # The second run has replaced the picture of the first.
        number = handed_out[1].removesuffix(", upside down")
        drawn = rows(self.draw(number))
        self.assertGreater(len(set(struct.iter_unpack("4s", drawn[0]))), 20)
        self.assertNotEqual(drawn[0], drawn[-1], "top and bottom differ")
        size, saved = png(self.session.folder / "screen.png")
        self.assertEqual(size, (WIDTH, HEIGHT))
        # To the last byte: what Python drew went to Godot, and upside down from there to Python.
        self.assertTrue(saved == drawn[::-1], f"not the picture {number}")

    def draw(self, number):
        done = subprocess.run(
            [NUMPY, "-c", DRAW, PARTNERS, number],
            stdout=subprocess.PIPE,
            timeout=30,
            check=True,
        )
        return done.stdout

    def test_demo_video_ends_when_it_is_told_to(self):
        memory = SHARED / self.names[0]
        for turn in range(5):
            video = self.session.start(
                self.partner("video.py", python=NUMPY),
                stdout=subprocess.PIPE,
                text=True,
            )
            # It draws for a quarter of the time, and has arrays over the memory then.
            deadline = time.monotonic() + 20
            while not (memory.exists() and count_in(memory) > 5 + turn):
                self.assertLess(time.monotonic(), deadline, "there are no pictures")
                time.sleep(0.003)
            video.send_signal(signal.SIGTERM)
            told, _ = video.communicate(timeout=20)
            self.assertEqual((video.returncode, told), (128 + signal.SIGTERM, ""), told)
            self.assertFalse(memory.exists())


def count_in(memory):
    content = memory.open("rb").read(4)
    return struct.unpack("<I", content)[0] if len(content) == 4 else 0


def rows(pixels):
    stride = 4 * WIDTH
    return [pixels[at : at + stride] for at in range(0, len(pixels), stride)]


def png(path):
    """Return size and rows (RGBA) of a PNG such as the demo saves it: filter 0 in each row."""
    data, at, body = path.read_bytes(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height = struct.unpack(">II", content[:8])
        elif kind == b"IDAT":
            body += content
        at += 12 + length
    body = zlib.decompress(body)
    stride = 1 + 4 * width
    return (width, height), [
        body[row * stride + 1 : (row + 1) * stride] for row in range(height)
    ]
