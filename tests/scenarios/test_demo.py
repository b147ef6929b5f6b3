"""The demos hello and chat: Godot and Python understand each other, whichever starts first."""

import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

from harness.demos import DEMO, Demo
from harness.gdscript import TestFile
from harness.projects import list_addon, make
from harness.session import PROJECT, REPOSITORY, SHARED

GREETING = "Hello world from {} Shared Memory!"


class Hello(Demo):
    names = ("hello_example",)

    @unittest.skipUnless(SHARED.is_dir(), "hello.py is for Linux")
    def test_demo_hello(self):
        said = self.run_demo("hello")
        for text in ("Hello from Python!", "Hello from Godot!"):
            self.assertEqual(said.count(text), 2, f"once for each order: {said}")

    @unittest.skipUnless(SHARED.is_dir(), "hello.py is for Linux")
    def test_hello_answers_the_next_godot_after_a_kill(self):
        memory = SHARED / self.names[0]
        killed = self.session.start(self.scene("hello"), stdout=subprocess.DEVNULL)
        self.wait_until(lambda: memory.exists() and memory.read_bytes()[0] != 0)
        killed.kill()
        killed.wait(20)
        partner = self.session.start(
            self.partner("hello.py"), stdout=subprocess.PIPE, text=True
        )
        self.wait_until(lambda: memory.read_bytes()[512:530] == b"Hello from Python!")
        code, lines = self.session.run(self.scene("hello"), 30)
        self.assertEqual(code, 0, lines)
        self.assertIn("Hello from Python!", lines)
        told, _ = partner.communicate(timeout=20)
        self.assertEqual((partner.returncode, told), (0, "Hello from Godot!\n"))

    def test_hello_has_the_code_of_the_readme(self):
        readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
        example = re.search(r"^```gdscript\n(.*?)^```", readme, re.M | re.S)[1]
        script = iter(
            (DEMO / "hello/hello.gd").read_text(encoding="utf-8").splitlines()
        )
        for line in example.splitlines():
            # The script is of a node that shows the texts, too.
            if not line.startswith("extends") and "#" not in line:
                self.assertIn(line, script, "the same lines in the same order")

    def wait_until(self, condition):
        end = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), end, "nothing happens")
            time.sleep(0.02)


class Chat(Demo):
    # A Godot that is ended by a signal leaves the name of its memory, as any killed program does.
    names = ("SharedMemoryChat",)

    def test_demo_chat(self):
        said = self.run_demo("chat")
        for listener, speaker in (("Python", "Godot"), ("Godot", "Python")):
            heard = f"{listener} received: {GREETING.format(speaker)}"
            self.assertEqual(said.count(heard), 2, f"once for each order: {said}")

    def test_nothing_outlives_it(self):
        if not pathlib.Path("/proc/self/stat").exists():
            self.skipTest("there is no /proc to tell of processes")
        demo = self.session.start(
            self.runner("chat"), stdout=subprocess.PIPE, text=True
        )
        with demo.stdout:
            # From here on, a Godot is running; its partner comes a moment later.
            self.assertIn("starts first", demo.stdout.readline())
            time.sleep(0.3)
            demo.send_signal(signal.SIGTERM)
            self.assertEqual(demo.wait(20), 128 + signal.SIGTERM)
        self.assertEqual(still_running(), [])


class Readers(Demo):
    def test_readers_of_the_demos(self):
        folder = make(self.session, "readers")
        for script in (DEMO / "telemetry/record.gd", DEMO / "video/frames.gd"):
            (folder / script.parent.name).mkdir()
            shutil.copy(script, folder / script.parent.name)
        for script in ("runner.gd", "test_case.gd"):
            shutil.copy(PROJECT / script, folder)
        list_addon(folder)
        tests = TestFile(folder / "test_readers.gd", "", folder)
        results = list(tests.run(self.session, folder))
        self.assertEqual([(r.name, r.problems) for r in results if r.problems], [])
        self.assertEqual(len(results), 2)


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
