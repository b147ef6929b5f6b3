"""Memory and files as other programs can make them; test_planted.py has what they put under a name."""

import contextlib
import ctypes
import os
import signal
import struct
import time

import pytest
from harness.constants import (
    ACCESS_READ_ONLY,
    BACKEND_FILE,
    BACKEND_MEMFD,
    BACKEND_NATIVE,
    BACKEND_SYSV,
    ERR_ALREADY_EXISTS,
    ERR_BUSY,
    ERR_CANT_OPEN,
    LOCAL_SCOPE,
    OK,
)
from harness.marks import linux_only
from harness.session import SHARED, file_of

fcntl = pytest.importorskip("fcntl")
pytestmark = linux_only

BACKENDS = (BACKEND_NATIVE, BACKEND_FILE, BACKEND_SYSV, BACKEND_MEMFD)
LEFTOVER = 0o1600
# The system ends a lease after 45 seconds (/proc/sys/fs/lease-break-time).
AT_ONCE = 10
# linux/shm.h
SHM_HUGETLB, SHM_NORESERVE = 0o4000, 0o10000
IPC_CREAT, IPC_EXCL, IPC_RMID = 0o1000, 0o2000, 0

# Calls every way in that a name has, with a text that has no UTF-8 form. `around` has its parts.
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


@pytest.fixture
def runtime_folder(session):
    """Returns a folder for meta files, and the environment that names it."""
    folder = session.folder / session.name("run")
    folder.mkdir()
    return folder, {**session.environment(), "XDG_RUNTIME_DIR": str(folder)}


def test_name_that_is_not_unicode_is_refused(
    cleanup, session, unique_name, start_agent, runtime_folder
):
    # The bytes of U+110000 in UTF-8, if it were a character.
    folder = os.path.join(os.fsencode(SHARED), b"\xf4\x90\x80\x80")
    os.mkdir(folder)
    cleanup.callback(os.rmdir, folder)
    _runtime, environment = runtime_folder
    agent = start_agent(env=environment)
    for backend in BACKENDS:
        victim = session.folder / unique_name("victim")
        victim.write_bytes(b"precious")
        absent = session.folder / unique_name("absent")
        for path in (victim, absent):
            agent.allow_errors("not valid Unicode")
            codes = agent.run(ESCAPE, ["", f"/../../..{path}"], backend)
            refused = [ERR_INVALID_PARAMETER] * 3
            assert codes == [
                *refused,
                ERR_UNCONFIGURED,
                ERR_INVALID_PARAMETER,
                0,
                *refused[:1],
            ]
        assert victim.read_bytes() == b"precious"
        assert not absent.exists()


@contextlib.contextmanager
def lease(path, kind=fcntl.F_WRLCK, mode="r+b"):
    """Holds a lease on a file."""
    # The system asks for it with a signal that would end this process.
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with open(path, mode) as file:
            try:
                fcntl.fcntl(file, fcntl.F_SETLEASE, kind)
            except OSError as error:
                pytest.skip(f"no leases here: {error}")
            yield
    finally:
        signal.signal(signal.SIGIO, before)


def check_busy(memory, name):
    began = time.monotonic()
    for code in (
        memory.open(name),
        memory.open(name, 0, ACCESS_READ_ONLY),
        memory.open_or_create(name, 64),
    ):
        assert code == ERR_BUSY
        assert "lease" in memory.get_last_error_message()
    assert time.monotonic() - began < AT_ONCE, "without blocking"


def test_lease_on_segment_makes_it_busy(name, make_foreign, memory):
    make_foreign(name, bytes(64))
    with lease(file_of(name)):
        check_busy(memory, name)
    assert memory.open(name) == OK


def test_lease_on_leftover_makes_it_busy(name, memory, make_foreign):
    make_foreign(name, bytes(64)).chmod(LEFTOVER)
    with lease(file_of(name)):
        assert memory.create(name, 64) == ERR_BUSY
        check_busy(memory, name)
    assert memory.create(name, 64) == OK


def test_lease_on_file_makes_it_busy(session, unique_name, memory):
    path = session.folder / unique_name()
    path.write_bytes(bytes(64))
    memory.set_backend(BACKEND_FILE)
    with lease(path):
        check_busy(memory, str(path))
    assert memory.open(str(path)) == OK


def test_lease_on_memory_without_name_makes_it_busy(
    name, cleanup, start_agent, runtime_folder
):
    folder, environment = runtime_folder
    memory = start_agent(env=environment).memory()
    memory.set_backend(BACKEND_MEMFD)
    made = os.memfd_create(name)
    os.ftruncate(made, 64)
    # A lease takes a file that no process has open for writing.
    leased = os.open(f"/proc/self/fd/{made}", os.O_RDONLY)
    cleanup.callback(os.close, leased)
    os.close(made)
    meta = folder / f".memfd_{name}.meta"
    meta.write_bytes(struct.pack("<qqii", 64, 0, os.getpid(), leased))
    with lease(f"/proc/self/fd/{leased}", fcntl.F_RDLCK, "rb"):
        began = time.monotonic()
        assert memory.open(name) == ERR_BUSY
        assert memory.open_or_create(name, 64) == ERR_BUSY
        assert memory.create(name, 64) == ERR_ALREADY_EXISTS
        assert time.monotonic() - began < AT_ONCE, "without blocking"
    assert memory.open(name) == OK


def test_lease_on_meta_file_makes_segment_busy(name, start_agent, runtime_folder):
    folder, environment = runtime_folder
    agent = start_agent(env=environment)
    owner, memory = agent.memory(), agent.memory()
    owner.set_backend(BACKEND_MEMFD)
    memory.set_backend(BACKEND_MEMFD)
    assert owner.create(name, 64, LOCAL_SCOPE) == OK
    with lease(folder / f".memfd_{name}.meta"):
        check_busy(memory, name)
    assert memory.open(name) == OK


def test_system_v_memory_of_huge_pages_is_refused(name, cleanup, memory):
    memory.set_backend(BACKEND_SYSV)
    assert memory.create(name, 64) == OK
    key = int(memory.get_native_name(), 16)
    memory.close()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
    flags = IPC_CREAT | IPC_EXCL | 0o600 | SHM_HUGETLB | SHM_NORESERVE
    made = libc.shmget(ctypes.c_int(key).value, 4 << 20, flags)
    if made < 0:
        pytest.skip(f"no huge pages: {os.strerror(ctypes.get_errno())}")
    cleanup.callback(libc.shmctl, made, IPC_RMID, None)
    for access in (0, ACCESS_READ_ONLY):
        assert memory.open(name, 0, access) == ERR_CANT_OPEN
        assert "huge pages" in memory.get_last_error_message()
    assert memory.open_or_create(name, 64) == ERR_CANT_OPEN
    assert memory.create(name, 64) == ERR_ALREADY_EXISTS
