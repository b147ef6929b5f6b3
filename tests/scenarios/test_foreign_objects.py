"""What other programs can make of memory and of files, beside what is planted under a name."""

import contextlib
import ctypes
import fcntl
import os
import signal
import struct
import sys
import time
import unittest

from harness.scenario import (
    ACCESS_READ_ONLY,
    ERR_ALREADY_EXISTS,
    ERR_BUSY,
    ERR_CANT_OPEN,
    LOCAL_SCOPE,
    OK,
    Scenario,
)
from harness.session import SHARED

BACKEND_NATIVE, BACKEND_FILE, BACKEND_SYSV, BACKEND_MEMFD = range(4)
LEFTOVER = 0o1600
# The system ends a lease after 45 seconds (/proc/sys/fs/lease-break-time).
AT_ONCE = 10
# linux/shm.h
SHM_HUGETLB, SHM_NORESERVE = 0o4000, 0o10000
IPC_CREAT, IPC_EXCL, IPC_RMID = 0o1000, 0o2000, 0

# Calls every way in that a name has, with a text that no UTF-8 is. `around` has its parts.
ESCAPE = """
func run(around: Array, backend: int) -> Array:
	var name: String = "&#x110000;".xml_unescape().join(around)
	var memory := SharedMemory.new()
	memory.backend = backend
	var codes := [memory.open(name), memory.open_or_create(name, 64), memory.create(name, 64)]
	codes.append(memory.write("PWNED".to_utf8_buffer()))
	codes.append(SharedMemory.remove(name, 0, backend))
	codes.append(int(SharedMemory.exists(name, 0, backend)))
	var untyped: Variant = SharedMemory.new()
	untyped.backend = backend
	codes.append(untyped.open(StringName(name)))
	return codes
"""
ERR_UNCONFIGURED, ERR_INVALID_PARAMETER = 3, 31


@unittest.skipUnless(sys.platform == "linux", "what the test makes, only Linux has")
class ForeignObjects(Scenario):
    def runtime_folder(self):
        """Return a folder for meta files, and the environment that names it."""
        folder = self.session.folder / self.name("run")
        folder.mkdir()
        return folder, {**self.session.environment(), "XDG_RUNTIME_DIR": str(folder)}

    def test_a_name_that_is_not_unicode_leads_nowhere(self):
        # How the engine writes U+110000, were it a character.
        folder = os.path.join(os.fsencode(SHARED), b"\xf4\x90\x80\x80")
        os.mkdir(folder)
        self.addCleanup(os.rmdir, folder)
        _runtime, environment = self.runtime_folder()
        agent = self.agent(env=environment)
        for backend in range(4):
            victim = self.session.folder / self.name("victim")
            victim.write_bytes(b"precious")
            absent = self.session.folder / self.name("absent")
            for path in (victim, absent):
                agent.allow_errors("not valid Unicode")
                codes = agent.run(ESCAPE, ["", f"/../../..{path}"], backend)
                refused = [ERR_INVALID_PARAMETER] * 3
                self.assertEqual(
                    codes,
                    [
                        *refused,
                        ERR_UNCONFIGURED,
                        ERR_INVALID_PARAMETER,
                        0,
                        *refused[:1],
                    ],
                )
            self.assertEqual(victim.read_bytes(), b"precious")
            self.assertFalse(absent.exists())

    @contextlib.contextmanager
    def lease(self, path, kind=fcntl.F_WRLCK, mode="r+b"):
        """Hold a lease on a file."""
        # The system asks for it back by a signal that would end this process.
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
        try:
            with open(path, mode) as file:
                try:
                    fcntl.fcntl(file, fcntl.F_SETLEASE, kind)
                except OSError as error:
                    self.skipTest(f"no leases here: {error}")
                yield
        finally:
            signal.signal(signal.SIGIO, before)

    def check_busy(self, memory, name):
        began = time.monotonic()
        for code in (
            memory.open(name),
            memory.open(name, 0, ACCESS_READ_ONLY),
            memory.open_or_create(name, 64),
        ):
            self.assertEqual(code, ERR_BUSY)
            self.assertIn("lease", memory.get_last_error_message())
        self.assertLess(time.monotonic() - began, AT_ONCE, "without blocking")

    def test_a_lease_on_a_segment(self):
        name = self.name()
        memory = self.agent().memory()
        self.foreign(name, bytes(64))
        with self.lease(self.file(name)):
            self.check_busy(memory, name)
        self.assertEqual(memory.open(name), OK)

    def test_a_lease_on_a_dead_owners_segment(self):
        name = self.name()
        memory = self.agent().memory()
        self.foreign(name, bytes(64)).chmod(LEFTOVER)
        with self.lease(self.file(name)):
            self.assertEqual(memory.create(name, 64), ERR_BUSY)
            self.check_busy(memory, name)
        self.assertEqual(memory.create(name, 64), OK)

    def test_a_lease_on_a_file(self):
        path = self.session.folder / self.name()
        path.write_bytes(bytes(64))
        memory = self.agent().memory()
        memory.set_backend(BACKEND_FILE)
        with self.lease(path):
            self.check_busy(memory, str(path))
        self.assertEqual(memory.open(str(path)), OK)

    def test_a_lease_on_memory_without_a_name(self):
        name = self.name()
        folder, environment = self.runtime_folder()
        memory = self.agent(env=environment).memory()
        memory.set_backend(BACKEND_MEMFD)
        made = os.memfd_create(name)
        os.ftruncate(made, 64)
        # A lease takes a file that no process has open for writing.
        leased = os.open(f"/proc/self/fd/{made}", os.O_RDONLY)
        self.addCleanup(os.close, leased)
        os.close(made)
        meta = folder / f".memfd_{name}.meta"
        meta.write_bytes(struct.pack("<qqii", 64, 0, os.getpid(), leased))
        with self.lease(f"/proc/self/fd/{leased}", fcntl.F_RDLCK, "rb"):
            began = time.monotonic()
            self.assertEqual(memory.open(name), ERR_BUSY)
            self.assertEqual(memory.open_or_create(name, 64), ERR_BUSY)
            self.assertEqual(memory.create(name, 64), ERR_ALREADY_EXISTS)
            self.assertLess(time.monotonic() - began, AT_ONCE, "without blocking")
        self.assertEqual(memory.open(name), OK)

    def test_a_lease_on_a_meta_file(self):
        name = self.name()
        folder, environment = self.runtime_folder()
        agent = self.agent(env=environment)
        owner, memory = agent.memory(), agent.memory()
        owner.set_backend(BACKEND_MEMFD)
        memory.set_backend(BACKEND_MEMFD)
        self.assertEqual(owner.create(name, 64, LOCAL_SCOPE), OK)
        with self.lease(folder / f".memfd_{name}.meta"):
            self.check_busy(memory, name)
        self.assertEqual(memory.open(name), OK)

    def test_system_v_memory_of_huge_pages(self):
        name = self.name()
        memory = self.agent().memory()
        memory.set_backend(BACKEND_SYSV)
        self.assertEqual(memory.create(name, 64), OK)
        key = int(memory.get_native_name(), 16)
        memory.close()
        libc = ctypes.CDLL(None, use_errno=True)
        libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
        flags = IPC_CREAT | IPC_EXCL | 0o600 | SHM_HUGETLB | SHM_NORESERVE
        made = libc.shmget(ctypes.c_int(key).value, 4 << 20, flags)
        if made < 0:
            self.skipTest(f"no huge pages: {os.strerror(ctypes.get_errno())}")
        self.addCleanup(libc.shmctl, made, IPC_RMID, None)
        for access in (0, ACCESS_READ_ONLY):
            self.assertEqual(memory.open(name, 0, access), ERR_CANT_OPEN)
            self.assertIn("huge pages", memory.get_last_error_message())
        self.assertEqual(memory.open_or_create(name, 64), ERR_CANT_OPEN)
        self.assertEqual(memory.create(name, 64), ERR_ALREADY_EXISTS)
