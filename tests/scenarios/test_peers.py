"""Godot and Python, and Godot and Godot, each way."""

import mmap
import os
import subprocess
import sys
import unittest

from harness.scenario import (
    ACCESS_READ_ONLY,
    ERR_BUSY,
    ERR_UNAUTHORIZED,
    OK,
    STATUS_CREATED,
    STATUS_OPEN,
    Scenario,
)
from harness.session import SHARED

# Python's own SharedMemory, in a process of its own: it starts another one, the resource tracker, which
# before Python 3.13 would remove at its end what this process only opened.
WITH_MULTIPROCESSING = """
import sys
from multiprocessing import resource_tracker, shared_memory

action, name = sys.argv[1:]
segment = shared_memory.SharedMemory(name, create=action == "create", size=64)
if action == "open":
    print(segment.size, bytes(segment.buf[:5]).decode(), flush=True)
    segment.buf[:6] = b"Python"
    if sys.version_info < (3, 13) and sys.platform != "win32":
        resource_tracker.unregister("/" + name, "shared_memory")
else:
    segment.buf[:6] = b"Python"
    print("made", flush=True)
    input()
    print(bytes(segment.buf[:5]).decode(), flush=True)
segment.close()
if action == "create":
    segment.unlink()
"""


def mapped(path):
    """Return the bytes of a segment as any program sees them that knows nothing of this addon."""
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), 0)


class Peers(Scenario):
    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_godot_makes_python_maps(self):
        name = self.name()
        memory = self.agent().memory()
        self.assertEqual(memory.create(name, 5000), OK)
        self.assertEqual(memory.write(b"Godot"), OK)
        with mapped(self.file(name)) as view:
            self.assertEqual(len(view), 5000)
            self.assertEqual(view[:5], b"Godot")
            self.assertEqual(view[5:], bytes(4995))
            view[4990:] = b"Python was"
            self.assertEqual(memory.read(10, 4990), b"Python was")
            # Who has it open keeps it.
            memory.close()
            self.assertFalse(self.file(name).exists())
            self.assertEqual(view[:5], b"Godot")

    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_python_makes_godot_opens(self):
        name = self.name()
        path = self.foreign(name, b"Python".ljust(5000, b"."))
        memory = self.agent().memory()
        with mapped(path) as view:
            self.assertEqual(memory.open(name), OK)
            self.assertEqual(memory.get_size(), 5000)
            self.assertEqual(memory.get_status(), STATUS_OPEN)
            self.assertEqual(memory.read(6), b"Python")
            self.assertEqual(memory.write(b"Godot", 4995), OK)
            self.assertEqual(view[4995:], b"Godot")
            memory.close()
            self.assertTrue(path.exists(), "an opener's close removes nothing")

    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_opened_for_reading_only(self):
        name = self.name()
        path = self.foreign(name, b"Python")
        path.chmod(0o400)
        memory = self.agent().memory()
        self.assertEqual(memory.open(name, 0, ACCESS_READ_ONLY), OK)
        self.assertEqual(memory.read(), b"Python")
        self.assertEqual(memory.write(b"x"), ERR_UNAUTHORIZED)
        self.assertEqual(path.read_bytes(), b"Python")

    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_made_by_python_but_not_yet_sized(self):
        name = self.name()
        path = self.foreign(name, b"")
        memory = self.agent().memory()
        self.assertEqual(memory.open(name), ERR_BUSY)
        path.write_bytes(b"now")
        self.assertEqual(memory.open(name), OK)
        self.assertEqual(memory.read(), b"now")

    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_names_that_only_others_make(self):
        memory = self.agent().memory()
        for label in ("back\\slash", "\\", " ", "\n", "ünï", "🙂"):
            with self.subTest(label):
                name = self.name(label)
                self.foreign(name, b"Python")
                self.assertEqual(memory.open("///" + name), OK)
                self.assertEqual(memory.get_name(), name)
                self.assertEqual(memory.read(), b"Python")
                self.assertTrue(memory.exists(name))
                self.assertIn(name, memory.list_names())
                memory.close()
                self.assertEqual(memory.remove(name), OK)
                self.assertFalse(self.file(name).exists())

    @unittest.skipUnless(sys.platform == "linux", "other systems refuse such names")
    def test_names_that_are_no_text(self):
        name = self.name()
        path = os.fsencode(self.file(name)) + b"\xff"
        with open(path, "wb") as file:
            file.write(b"Python")
        self.addCleanup(os.unlink, path)
        names = self.agent().memory().list_names()
        self.assertEqual([found for found in names if found.startswith(name)], [])

    def test_godot_makes_multiprocessing_opens(self):
        name = self.name()
        memory = self.agent().memory()
        self.assertEqual(memory.create(name, 64), OK)
        memory.write(b"Godot")
        code, lines = self.session.run(
            [sys.executable, "-c", WITH_MULTIPROCESSING, "open", name], 20
        )
        self.assertEqual((code, lines), (0, ["64 Godot"]))
        self.assertEqual(memory.read(6), b"Python")
        self.assertTrue(memory.is_current(), "Python's exit removes nothing")

    def test_multiprocessing_makes_godot_opens(self):
        name = self.name()
        python = self.session.start(
            [sys.executable, "-c", WITH_MULTIPROCESSING, "create", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(python.stdout.close)
        self.assertEqual(python.stdout.readline(), "made\n")
        memory = self.agent().memory()
        self.assertEqual(memory.open(name), OK)
        # Some systems round it up to pages.
        self.assertGreaterEqual(memory.get_size(), 64)
        self.assertEqual(memory.read(6), b"Python")
        self.assertEqual(memory.write(b"Godot"), OK)
        told, _errors = python.communicate("\n", 20)
        self.assertEqual((python.returncode, told), (0, "Godot\n"))
        self.assertFalse(memory.is_current(), "Python has removed the name")
        self.assertEqual(memory.read(5), b"Godot", "but not the memory")

    def test_two_godots(self):
        name = self.name()
        first, second = self.agent().memory(), self.agent().memory()
        self.assertEqual(first.create(name, 100), OK)
        self.assertEqual(second.open(name), OK)
        self.assertEqual(first.write(b"to the second", 3), OK)
        self.assertEqual(second.read(13, 3), b"to the second")
        self.assertEqual(second.write(b"to the first", 80), OK)
        self.assertEqual(first.read(12, 80), b"to the first")
        first.close()
        self.assertFalse(second.is_current())
        self.assertEqual(second.read(13, 3), b"to the second")
        # They change places.
        self.assertEqual(first.create(name, 50), OK)
        self.assertFalse(second.is_current(), "it still has the old one")
        second.close()
        self.assertEqual(second.open(name), OK)
        self.assertEqual(second.get_size(), 50)
        self.assertTrue(second.is_current())

    def test_open_or_create_in_both_orders(self):
        agents = [self.agent(), self.agent()]
        for first, second in (agents, agents[::-1]):
            name = self.name()
            one, other = first.memory(), second.memory()
            self.assertEqual(one.open_or_create(name, 64), OK)
            self.assertEqual(other.open_or_create(name, 64), OK)
            self.assertEqual(one.get_status(), STATUS_CREATED)
            self.assertEqual(other.get_status(), STATUS_OPEN)
            one.write(b"shared")
            self.assertEqual(other.read(6), b"shared")
            # Whoever comes next while the opener still has the old one makes it anew.
            one.close()
            self.assertEqual(one.open_or_create(name, 64), OK)
            self.assertEqual(one.get_status(), STATUS_CREATED)
            self.assertFalse(other.is_current())

    def test_a_long_order_reaches_the_agent(self):
        """Of the harness: Godot reads its input in parts of 1,023 bytes."""
        agent = self.agent()
        memory = agent.memory()
        memory.create(self.name(), 3000)
        for size in range(960, 1040):
            data = bytes([7]) * size
            memory.write(data)
            self.assertEqual(memory.read(size), data)
