"""No room left where segments live: a file system of one MiB, with a Godot of its own on it."""

import os
import pathlib
import subprocess
import sys
import unittest

from harness.agent import Agent
from harness.scenario import (
    ERR_ALREADY_EXISTS,
    ERR_FILE_CORRUPT,
    ERR_OUT_OF_MEMORY,
    OK,
    STATUS_CREATED,
    STATUS_ERROR,
    STATUS_OPEN,
    Scenario,
)
from harness.session import PROJECT

SIZE = 1 << 20
PAGE = 4096
# Gives a process another /dev/shm; one without rights becomes root in a world of its own.
WAYS = (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"])
MOUNT = 'mount -t tmpfs -o "$0" tmpfs /dev/shm && exec "$@"'

# The call, and what it says; the array must outlive the call that fills it.
READ_INTO = """
func run(name):
	var memory = SharedMemory.new()
	var codes = [memory.open(name)]
	var buffer = PackedByteArray()
	buffer.resize(4096)
	codes.append(memory.read_into(buffer))
	codes.append(memory.get_status())
	return codes
"""


@unittest.skipUnless(sys.platform == "linux", "needs namespaces of mounts")
class Full(Scenario):
    def start(self, options=f"size={SIZE}"):
        """Start a Godot; return it, and the way to its segments from outside."""
        told = []
        for way in WAYS:
            command = [*way, "sh", "-c", MOUNT, options]
            tried = subprocess.run([*command, "true"], capture_output=True, text=True)
            if tried.returncode == 0:
                break
            told.append(tried.stderr.strip())
        else:
            self.skipTest(f"no file system of its own can be had: {'; '.join(told)}")
        command += [self.session.godot, "--headless", "--path", PROJECT]
        agent = Agent(self.session, command)
        self.addCleanup(self._end, agent)
        return agent, pathlib.Path(f"/proc/{agent.pid}/root/dev/shm")

    def used(self, room):
        found = os.statvfs(room)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def fill(self, room):
        """Do what any other program may: take all there is."""
        with open(room / "greedy", "wb", buffering=0) as file:
            for size in (PAGE, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass
        self.assertEqual(self.used(room), SIZE, "no page is left")

    def check_refused(self, memory, room, method, size, before):
        self.assertEqual(memory.call(method, "large", size), ERR_OUT_OF_MEMORY)
        self.assertEqual(memory.get_last_error(), ERR_OUT_OF_MEMORY)
        self.assertIn("large", memory.get_last_error_message())
        self.assertEqual(memory.get_status(), STATUS_ERROR)
        self.assertFalse(memory.exists("large"))
        self.assertEqual(self.used(room), before, "nothing is left")

    def test_larger_than_the_room(self):
        agent, room = self.start()
        memory = agent.memory()
        two_32 = 1 << 32
        for method in ("create", "open_or_create"):
            for size in (
                SIZE + 1,
                2 * SIZE,
                (1 << 31) - 1,
                1 << 31,
                two_32 - 1,
                two_32,
                two_32 + 1,
                1 << 40,
            ):
                with self.subTest(method, size=size):
                    self.check_refused(memory, room, method, size, 0)
        self.assertEqual(memory.list_names(), [])
        for method in ("create", "open_or_create"):
            self.assertEqual(memory.call(method, "fits", SIZE), OK)
            self.assertEqual(memory.get_status(), STATUS_CREATED)
            self.assertEqual(memory.fill(7), OK)
            self.assertEqual(self.used(room), SIZE)
            memory.close()
            self.assertEqual(self.used(room), 0)

    def test_filled_by_another_program(self):
        agent, room = self.start()
        held, memory = agent.memory(), agent.memory()
        self.assertEqual(held.create("held", PAGE), OK)
        self.fill(room)
        for method in ("create", "open_or_create"):
            for size in (1, PAGE):
                self.check_refused(memory, room, method, size, SIZE)
        self.assertEqual(memory.create("held", 1), ERR_ALREADY_EXISTS)

        self.assertEqual(held.write(b"still there"), OK)
        self.assertEqual(held.fill(7, 11), OK)
        self.assertEqual(held.read(12), b"still there\x07")
        self.assertTrue(held.is_current())
        for method, arguments in (("open", ()), ("open_or_create", (PAGE,))):
            self.assertEqual(memory.call(method, "held", *arguments), OK)
            self.assertEqual(memory.get_status(), STATUS_OPEN)
            self.assertEqual(memory.read(5), b"still")
            memory.close()
        self.assertEqual(agent.run(READ_INTO, "held"), [OK, OK, STATUS_OPEN])

        (room / "greedy").unlink()
        self.assertEqual(memory.create("large", SIZE - PAGE), OK)
        self.assertEqual(memory.list_names(), ["held", "large"])

    def test_pages_that_nobody_has_reserved(self):
        """What other programs make has no pages until somebody touches them: here, there is none to have."""
        agent, room = self.start()
        memory = agent.memory()
        calls = [
            ("read", (), b""),
            ("read", (1, 10 * PAGE), b""),
            ("write", (b"x",), ERR_FILE_CORRUPT),
            ("write", (b"x" * 5 * PAGE, PAGE), ERR_FILE_CORRUPT),
            ("fill", (7,), ERR_FILE_CORRUPT),
            ("decode_u32", (0,), 0),
            ("encode_u32", (PAGE - 2, 7), ERR_FILE_CORRUPT),
        ]
        with open(room / "sparse", "wb") as file:
            file.truncate(16 * PAGE)
        self.fill(room)
        for method, arguments, result in calls:
            with self.subTest(method, arguments=str(arguments)[:20]):
                self.assertEqual(memory.open("sparse"), OK)
                self.assertEqual(memory.call(method, *arguments), result)
                self.assertEqual(memory.get_last_error(), ERR_FILE_CORRUPT)
                self.assertIn("could not supply", memory.get_last_error_message())
                self.assertEqual(memory.get_status(), STATUS_ERROR)
                self.assertFalse(memory.is_open())
        self.assertEqual(
            agent.run(READ_INTO, "sparse"), [OK, ERR_FILE_CORRUPT, STATUS_ERROR]
        )
        self.assertEqual(self.used(room), SIZE)

        (room / "greedy").unlink()
        self.assertEqual(memory.open_or_create("sparse", 16 * PAGE), OK)
        self.assertEqual(memory.fill(7), OK)
        self.assertEqual(memory.read(), b"\x07" * 16 * PAGE)
        self.assertEqual((room / "sparse").read_bytes(), b"\x07" * 16 * PAGE)

    def test_no_more_inodes(self):
        # One is the folder itself.
        agent, room = self.start(f"size={SIZE},nr_inodes=3")
        held, memory = agent.memory(), agent.memory()
        self.assertEqual(held.create("held", PAGE), OK)
        (room / "greedy").touch()
        for method in ("create", "open_or_create"):
            self.check_refused(memory, room, method, 1, PAGE)
        self.assertEqual(memory.list_names(), ["greedy", "held"])
        self.assertEqual(memory.open("held"), OK)
        memory.close()
        (room / "greedy").unlink()
        self.assertEqual(memory.create("large", 1), OK)
