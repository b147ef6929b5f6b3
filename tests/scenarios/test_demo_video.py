"""The demo video: pictures from numpy, and one back as PNG."""

import os
import signal
import struct
import subprocess
import zlib

import pytest
from harness.demos import PARTNERS, after, partner, run_demo
from harness.session import file_of, wait_until

NUMPY = os.environ.get("SHM_TEST_NUMPY")
WIDTH, HEIGHT = 1280, 720

# Draws one picture again, which depends on its number alone.
DRAW = """
import sys

sys.path.insert(0, sys.argv[1])
import numpy
import video


picture = numpy.zeros((video.HEIGHT, video.WIDTH, 4), numpy.uint8)
video.Waves().draw(picture, int(sys.argv[2]))
sys.stdout.buffer.write(picture.tobytes())
"""


pytestmark = pytest.mark.skipif(
    not NUMPY, reason="no numpy: ./build.sh test installs it, from PyPI"
)


@pytest.fixture(autouse=True)
def no_name_left(cleanup):
    for name in ("SharedMemoryVideo", "SharedMemoryScreen"):
        cleanup.callback(file_of(name).unlink, missing_ok=True)


def test_demo_video(session):
    said = run_demo(session, "video", "--python", NUMPY)
    handed_out = after(said, "Godot hands out number ")
    assert len(handed_out) == 2, "once in each order"
    # The second run has replaced the picture of the first.
    number = handed_out[1].removesuffix(", upside down")
    drawn = rows(draw(number))
    assert len(set(struct.iter_unpack("4s", drawn[0]))) > 20
    assert drawn[0] != drawn[-1], "top and bottom differ"
    size, saved = png(session.folder / "screen.png")
    assert size == (WIDTH, HEIGHT)
    # To the last byte: what Python drew went to Godot, and upside down from there to Python.
    assert saved == drawn[::-1], f"not the picture {number}"


def draw(number):
    done = subprocess.run(
        [NUMPY, "-c", DRAW, PARTNERS, number],
        stdout=subprocess.PIPE,
        timeout=30,
        check=True,
    )
    return done.stdout


def test_demo_video_ends_on_sigterm(session):
    memory = file_of("SharedMemoryVideo")
    for turn in range(5):
        video = session.start(
            partner("video.py", python=NUMPY), stdout=subprocess.PIPE, text=True
        )
        # It draws for a quarter of the time, and has arrays over the memory then.
        wait_until(lambda turn=turn: memory.exists() and count_in(memory) > 5 + turn)
        video.send_signal(signal.SIGTERM)
        told, _ = video.communicate(timeout=20)
        assert (video.returncode, told) == (128 + signal.SIGTERM, ""), told
        assert not memory.exists()


def count_in(memory):
    content = memory.open("rb").read(4)
    return struct.unpack("<I", content)[0] if len(content) == 4 else 0


def rows(pixels):
    stride = 4 * WIDTH
    return [pixels[at : at + stride] for at in range(0, len(pixels), stride)]


def png(path):
    """Returns size and rows (RGBA) of a PNG such as the demo saves it: filter 0 in each row."""
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
