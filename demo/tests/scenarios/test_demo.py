"""The demos: Godot and Python understand each other, whichever starts first."""

import os
import pathlib
import signal
import struct
import subprocess
import sys
import time
import unittest
import zlib

from harness import projects
from harness.judge import plain
from harness.scenario import Scenario
from harness.session import REPOSITORY, SHARED

DEMO = REPOSITORY / "tools/demo.py"
NUMPY = os.environ.get("SHM_TEST_NUMPY")
GREETING = "Hello world from {} Shared Memory!"


class Demo(Scenario):
    def test_hello(self):
        if not DEMO.exists():
            self.skipTest("run from the repository only")
        command = [sys.executable, "-u", DEMO, "--godot", self.session.godot, "hello"]
        code, lines = self.session.run(command, 100)
        told = "\n".join(lines)
        self.assertEqual(code, 0, told)
        said = [plain(line).partition("] ")[2] for line in lines]
        self.assertEqual(projects.errors_in(said), [], told)
        for listener, speaker in (("Python", "Godot"), ("Godot", "Python")):
            heard = f"{listener} received: {GREETING.format(speaker)}"
            self.assertEqual(said.count(heard), 2, f"once for each order\n{told}")

    def run_demo(self, name, *options):
        if not DEMO.exists():
            self.skipTest("run from the repository only")
        command = [sys.executable, "-u", DEMO, "--godot", self.session.godot]
        code, lines = self.session.run(
            [*command, *options, name], 100, cwd=self.session.folder
        )
        told = "\n".join(lines)
        self.assertEqual(code, 0, told)
        said = [plain(line).partition("] ")[2] for line in lines]
        self.assertEqual(projects.errors_in(said), [], told)
        return said

    def test_telemetry(self):
        said = self.run_demo("telemetry")
        # In each order: with a car that is where it says it is.
        self.assertEqual(sum("Godot read 60 records" in line for line in said), 2)
        self.assertEqual(sum("Python was read" in line for line in said), 2)

    @unittest.skipUnless(NUMPY, "no numpy: ./build.sh test installs it")
    def test_video(self):
        self.run_demo("video", "--python", NUMPY)
        size, rows = png(self.session.folder / "screen.png")
        self.assertEqual(size, (1280, 720))
        # Python draws a red mark at the top left; Godot has handed the picture out upside down.
        self.assertEqual(rows[719][:4], bytes([255, 0, 0, 255]))
        self.assertNotEqual(rows[0][:4], rows[719][:4])
        self.assertGreater(len(set(rows[300][::4])), 50, "there is a picture")

    def test_nothing_outlives_it(self):
        if not DEMO.exists() or not pathlib.Path("/proc/self/stat").exists():
            self.skipTest("run from the repository, where /proc tells of processes")
        command = [sys.executable, "-u", DEMO, "--godot", self.session.godot, "hello"]
        # A Godot that is ended by a signal leaves the name of its memory, as any killed program does.
        self.addCleanup((SHARED / "SharedMemoryExample").unlink, missing_ok=True)
        demo = self.session.start(command, stdout=subprocess.PIPE, text=True)
        with demo.stdout:
            # From here on, a Godot is running; its partner comes a moment later.
            self.assertIn("starts first", demo.stdout.readline())
            time.sleep(0.3)
            demo.send_signal(signal.SIGTERM)
            self.assertEqual(demo.wait(20), 128 + signal.SIGTERM)
        self.assertEqual(still_running(), [])


def still_running():
    """Return what still runs of an unattended demo, wherever it was put."""
    left = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--auto" in words:
            left.append(b" ".join(words).decode(errors="replace"))
    return left


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
