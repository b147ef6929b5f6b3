"""A system that gives no more: files, address space, room."""

import os
import pathlib
import unittest

from harness.scenario import (
    ERR_CANT_CREATE,
    ERR_CANT_OPEN,
    ERR_OUT_OF_MEMORY,
    OK,
    STATUS_CREATED,
    STATUS_ERROR,
    STATUS_OPEN,
    Scenario,
)
from harness.session import SHARED

FILES = "Too many open files"

try:
    import resource
except ImportError:
    resource = None


@unittest.skipUnless(SHARED.is_dir() and hasattr(resource, "prlimit"), "needs Linux")
class Limits(Scenario):
    def limit(self, agent, what, value):
        """Set a limit of the process, as if it had been started with it."""
        before, hard = resource.prlimit(agent.pid, what)
        resource.prlimit(agent.pid, what, (value, hard))
        return before

    def test_pages_are_reserved(self):
        name, size = self.name(), 16 << 20
        memory = self.agent().memory()
        self.assertEqual(memory.create(name, size), OK)
        # In units of 512 bytes, whatever the block size.
        self.assertGreaterEqual(self.file(name).stat().st_blocks * 512, size)

    def check_refused(self, memory, code, method, *arguments, why=""):
        self.assertEqual(memory.call(method, *arguments), code, method)
        self.assertEqual(memory.get_last_error(), code)
        self.assertIn(why, memory.get_last_error_message())
        self.assertEqual(memory.get_status(), STATUS_ERROR)

    def check_works(self, agent, held):
        """What is open can be used under any limit."""
        self.assertEqual(held.write(b"still there"), OK)
        self.assertEqual(held.fill(7, 11), OK)
        self.assertEqual(held.read(12), b"still there\x07")
        self.assertTrue(held.is_current())

    def test_no_more_open_files(self):
        absent, there = self.name(), self.name()
        self.foreign(there, b"Python")
        agent = self.agent()
        memory, held = agent.memory(), agent.memory()
        self.assertEqual(held.create(self.name(), 64), OK)
        numbers = {int(p.name) for p in pathlib.Path(f"/proc/{agent.pid}/fd").iterdir()}
        free = min(set(range(len(numbers) + 1)) - numbers)
        before = self.limit(agent, resource.RLIMIT_NOFILE, free)

        for method in ("create", "open_or_create"):
            self.check_refused(memory, ERR_CANT_CREATE, method, absent, 64, why=FILES)
            self.assertFalse(self.file(absent).exists())
        self.check_refused(memory, ERR_CANT_OPEN, "open", there, why=FILES)
        self.check_refused(
            memory, ERR_CANT_CREATE, "open_or_create", there, 6, why=FILES
        )
        self.assertTrue(memory.exists(there), "asking needs no file")
        self.check_works(agent, held)
        held.close()

        self.limit(agent, resource.RLIMIT_NOFILE, before)
        self.assertEqual(memory.open(there), OK)
        self.assertEqual(memory.get_status(), STATUS_OPEN)

    def leave_address_space(self, agent, size):
        """Let the process have this many bytes more than it has; return the limit before."""
        status = pathlib.Path(f"/proc/{agent.pid}/status").read_text(encoding="utf-8")
        lines = [line.split() for line in status.splitlines()]
        used = next(int(line[1]) * 1024 for line in lines if line[0] == "VmSize:")
        return self.limit(agent, resource.RLIMIT_AS, used + size)

    def test_no_more_address_space(self):
        name, there = self.name(), self.name()
        large = 256 << 20
        os.truncate(self.foreign(there, b""), large)
        agent = self.agent()
        memory, held = agent.memory(), agent.memory()
        self.assertEqual(held.create(self.name(), 64), OK)
        before = self.leave_address_space(agent, 64 << 20)
        for method in ("create", "open_or_create"):
            self.check_refused(memory, ERR_OUT_OF_MEMORY, method, name, large)
            self.assertFalse(self.file(name).exists(), "nothing is left")
        self.check_refused(memory, ERR_CANT_OPEN, "open", there, why="mmap")
        self.check_refused(memory, ERR_CANT_CREATE, "open_or_create", there, large)
        self.assertEqual(memory.open(there, 4096), OK, "a part of it")
        memory.close()
        self.check_works(agent, held)
        self.limit(agent, resource.RLIMIT_AS, before)
        self.assertEqual(memory.create(name, 64 << 20), OK)

    def test_no_room_for_a_copy(self):
        agent = self.agent()
        memory = agent.memory()
        self.assertEqual(memory.create(self.name(), 256 << 20), OK)
        before = self.leave_address_space(agent, 64 << 20)
        # The engine's own, about an array that can't grow.
        agent.allow_errors('Parameter "mem')
        self.assertEqual(memory.read(), b"")
        self.assertEqual(memory.get_last_error(), ERR_OUT_OF_MEMORY)
        self.limit(agent, resource.RLIMIT_AS, before)
        self.assertEqual(memory.read(3), bytes(3))
        self.assertEqual(memory.get_status(), STATUS_CREATED)

    def test_no_larger_files(self):
        """The system would tell of this limit with a signal that ends the process."""
        name, there = self.name(), self.name()
        self.foreign(there, b"Python".ljust(2 << 20))
        agent = self.agent()
        memory, held = agent.memory(), agent.memory()
        self.assertEqual(held.create(self.name(), 64), OK)
        before = self.limit(agent, resource.RLIMIT_FSIZE, 1 << 20)
        for method in ("create", "open_or_create"):
            self.check_refused(memory, ERR_OUT_OF_MEMORY, method, name, 2 << 20)
            self.assertFalse(self.file(name).exists(), "nothing is left")
        # It is about making files larger, not about using large ones.
        for method in ("open", "open_or_create"):
            self.assertEqual(memory.call(method, there, 2 << 20), OK)
            self.assertEqual(memory.write(b"Godot", (2 << 20) - 5), OK)
            memory.close()
        self.check_works(agent, held)
        self.limit(agent, resource.RLIMIT_FSIZE, before)
        self.assertEqual(memory.create(name, 2 << 20), OK)
