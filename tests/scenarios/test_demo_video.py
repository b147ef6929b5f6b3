"""The demo video: pictures from numpy and from a camera, and one back as a file."""

import os
import re
import signal
import subprocess

import pytest
from harness.demos import (
    PACKAGE,
    PARTNERS,
    Side,
    after,
    needs_package,
    partner,
    run_demo,
    scene,
)
from harness.marks import linux_only
from harness.projects import errors_in
from harness.session import LIVE_AGENT, file_of

pytestmark = [linux_only, needs_package]

WIDTH, HEIGHT = 1280, 720
HERE, GONE = "Godot says: Python is here", "Godot says: Python is gone"

# Returns which picture of the waves a file holds upside down. They repeat after 256 pictures.
FIND = """
import sys

sys.path.insert(0, sys.argv[1])
import numpy
import video

with open(sys.argv[2], "rb") as file:
    assert file.readline() == b"P6 1280 720 255\\n"
    saved = numpy.frombuffer(file.read(), numpy.uint8).reshape(720, 1280, 3)
waves = video.Waves()
print([n for n in range(256) if (waves.draw(n)[::-1, :, :3] == saved).all()])
"""
# Makes the files of a picture in colour and of a smaller grey one.
FILES = """
import numpy

numpy.save("colour.npy", numpy.arange(60, dtype="u1").reshape(4, 5, 3))
numpy.save("grey.npy", numpy.arange(6, dtype="u1").reshape(2, 3))
"""
# Stands in for OpenCV: a recorded file of two pictures in BGR, of different sizes.
CAMERA = """
import numpy

CAP_PROP_POS_FRAMES = 1


class VideoCapture:
    def __init__(self, source):
        self.source, self.at = source, 0

    def isOpened(self):
        return self.source == "recorded.avi"

    def set(self, property, value):
        self.at = value
        return property == CAP_PROP_POS_FRAMES

    def read(self):
        self.at += 1
        # Many of each, so that the other side sees both.
        size = 2 if self.at <= 30 else 3
        picture = numpy.full((size, size, 3), (10, 20, 30), numpy.uint8)
        return (self.at <= 60, picture)
"""
# Shows the demo's stream, and returns the pictures that it shows, by their sizes.
SHOW = """
func run(count):
	var texture = load("res://addons/shared_memory/shared_memory_texture.gd").new()
	texture.memory_name = "SharedMemoryVideo"
	var found = {}
	var end = Time.get_ticks_msec() + 20000
	while found.size() < count and Time.get_ticks_msec() < end:
		await Engine.get_main_loop().process_frame
		var picture = texture.get_picture()
		if picture != null:
			picture.convert(Image.FORMAT_RGB8)
			found["%dx%d" % [picture.get_width(), picture.get_height()]] = picture.get_data().hex_encode()
	return found
"""


@pytest.fixture(autouse=True)
def no_name_left(cleanup):
    for name in ("SharedMemoryVideo", "SharedMemoryScreen"):
        cleanup.callback(file_of(name).unlink, missing_ok=True)


def test_demo_video(session):
    said = run_demo(session, "video")
    assert said.count("Godot hands out the last picture, upside down") == 2
    # To the last byte: what Python drew went to Godot, and upside down from there to Python.
    find = [PACKAGE, "-c", FIND, PARTNERS, session.folder / "screen.ppm"]
    done = subprocess.run(find, capture_output=True, text=True, timeout=60, check=True)
    assert re.fullmatch(r"\[\d+\]\n", done.stdout), done.stdout


@pytest.mark.parametrize("number", ["SIGINT", "SIGKILL"])
def test_demo_video_finds_next_source(session, number):
    godot = Side(session, scene(session, "video"))
    first = start_video(session)
    godot.read_until(HERE)
    first.end(getattr(signal, number))
    godot.read_until(GONE)
    second = start_video(session, "--auto")
    godot.read_until("Godot has shown ")
    assert (godot.wait(), second.wait()) == (0, 0), godot.lines + second.lines
    assert errors_in(godot.lines) == []
    assert after(godot.lines, "Godot says: Python is ") == [
        "here",
        "gone",
        "here",
        "gone",
    ]


def test_next_godot_finds_the_same_source(session):
    video = start_video(session, "--auto")
    killed = Side(session, scene(session, "video"))
    killed.read_until(HERE)
    killed.end(signal.SIGKILL)
    godot = Side(session, scene(session, "video"))
    assert (godot.wait(60), video.wait()) == (0, 0), godot.lines + video.lines
    assert errors_in(godot.lines) == []
    assert after(video.lines, f"Python saved {WIDTH} x {HEIGHT}"), video.lines


def test_demo_video_ends_on_ctrl_c(session):
    video = start_video(session)
    memory = file_of("SharedMemoryVideo")
    godot = Side(session, scene(session, "video"))
    godot.read_until(HERE)
    assert video.end(signal.SIGINT) == 0, video.lines
    assert video.lines == [""]
    assert not memory.exists()
    godot.end(signal.SIGKILL)


def test_video_shows_files_of_any_size_and_format(session, start_agent):
    make = [PACKAGE, "-c", FILES]
    subprocess.run(make, cwd=session.folder, timeout=30, check=True)
    video = start_video(session, "colour.npy", "grey.npy")
    found = start_agent(script=LIVE_AGENT).run(SHOW, 2)
    assert set(found) == {"5x4", "3x2"}
    assert bytes.fromhex(found["5x4"]) == bytes(range(60))
    assert bytes.fromhex(found["3x2"]) == bytes(
        byte for grey in range(6) for byte in [grey] * 3
    )
    assert video.end(signal.SIGINT) == 0, video.lines


def test_video_shows_a_camera_in_blue_green_red(session, start_agent, tmp_path):
    (tmp_path / "cv2.py").write_text(CAMERA, encoding="utf-8")
    environment = {**session.environment(), "PYTHONPATH": str(tmp_path)}
    command = partner("video.py", "--camera", "recorded.avi", python=PACKAGE)
    video = Side(session, command, env=environment, cwd=session.folder)
    found = start_agent(script=LIVE_AGENT).run(SHOW, 2)
    assert {size: bytes.fromhex(pixels) for size, pixels in found.items()} == {
        "2x2": bytes([30, 20, 10] * 4),
        "3x3": bytes([30, 20, 10] * 9),
    }
    assert video.end(signal.SIGINT) == 0, video.lines
    command = partner("video.py", "--camera", "7", python=PACKAGE)
    code, lines = session.run(command, 30, env=environment)
    assert (code, lines) == (1, ["video.py: OpenCV can't open the camera or file 7"])


def test_video_without_opencv_says_so(session, tmp_path):
    (tmp_path / "cv2.py").write_text("raise ImportError", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = partner("video.py", "--camera", python=PACKAGE)
    code, lines = session.run(command, 30, env=environment)
    assert (code, lines) == (
        1,
        ["video.py: --camera needs OpenCV: pip install opencv-python"],
    )


def start_video(session, *options):
    command = partner("video.py", *options, python=PACKAGE)
    return Side(session, command, cwd=session.folder)
