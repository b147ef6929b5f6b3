"""No room left where segments live: a file system of one MiB, with a Godot of its own on it."""

import contextlib
import os
import pathlib
import subprocess

import pytest
from harness.constants import (
    ERR_ALREADY_EXISTS,
    ERR_FILE_CORRUPT,
    ERR_OUT_OF_MEMORY,
    OK,
    STATUS_CREATED,
    STATUS_ERROR,
    STATUS_OPEN,
)
from harness.marks import linux_only
from harness.session import PROJECT

pytestmark = linux_only

SIZE = 1 << 20
PAGE = 4096
# Gives a process another /dev/shm. A user without rights becomes root in a namespace.
WAYS = (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"])
MOUNT = 'mount -t tmpfs -o "$0" tmpfs /dev/shm && exec "$@"'

# Returns the codes of the calls. The array must outlive the call that fills it.
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


def start(session, start_agent, options=f"size={SIZE}"):
    """Starts a Godot; returns it, and the path of its segments from outside."""
    told = []
    for way in WAYS:
        command = [*way, "sh", "-c", MOUNT, options]
        tried = subprocess.run([*command, "true"], capture_output=True, text=True)
        if tried.returncode == 0:
            break
        told.append(tried.stderr.strip())
    else:
        pytest.skip(f"no file system of its own can be had: {'; '.join(told)}")
    command += [session.godot, "--headless", "--path", PROJECT]
    agent = start_agent(command=command)
    return agent, pathlib.Path(f"/proc/{agent.pid}/root/dev/shm")


def used(room):
    found = os.statvfs(room)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def fill(room):
    """Takes all the room, as any other program may."""
    with open(room / "greedy", "wb", buffering=0) as file:
        for size in (PAGE, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    assert used(room) == SIZE, "no page is left"


def check_refused(memory, room, method, size, before):
    assert memory.call(method, "large", size) == ERR_OUT_OF_MEMORY
    assert memory.get_last_error() == ERR_OUT_OF_MEMORY
    assert "large" in memory.get_last_error_message()
    assert memory.get_status() == STATUS_ERROR
    assert not memory.exists("large")
    assert used(room) == before, "nothing is left"


def test_create_refuses_more_than_the_file_system_has(session, start_agent):
    agent, room = start(session, start_agent)
    memory = agent.memory()
    for method in ("create", "open_or_create"):
        edges = [size + step for size in (1 << 31, 1 << 32) for step in (-1, 0, 1)]
        for size in (SIZE + 1, 2 * SIZE, *edges, 1 << 40):
            check_refused(memory, room, method, size, 0)
    assert memory.list_names() == []
    for method in ("create", "open_or_create"):
        assert memory.call(method, "fits", SIZE) == OK
        assert memory.get_status() == STATUS_CREATED
        assert memory.fill(7) == OK
        assert used(room) == SIZE
        memory.close()
        assert used(room) == 0


def test_create_fails_and_open_segments_work_when_full(session, start_agent):
    agent, room = start(session, start_agent)
    held, memory = agent.memory(), agent.memory()
    assert held.create("held", PAGE) == OK
    fill(room)
    for method in ("create", "open_or_create"):
        for size in (1, PAGE):
            check_refused(memory, room, method, size, SIZE)
    assert memory.create("held", 1) == ERR_ALREADY_EXISTS

    assert held.write(b"still there") == OK
    assert held.fill(7, 11) == OK
    assert held.read(12) == b"still there\x07"
    assert held.is_current()
    for method, arguments in (("open", ()), ("open_or_create", (PAGE,))):
        assert memory.call(method, "held", *arguments) == OK
        assert memory.get_status() == STATUS_OPEN
        assert memory.read(5) == b"still"
        memory.close()
    assert agent.run(READ_INTO, "held") == [OK, OK, STATUS_OPEN]

    (room / "greedy").unlink()
    assert memory.create("large", SIZE - PAGE) == OK
    assert memory.list_names() == ["held", "large"]


def test_access_to_pages_that_the_system_lacks_fails(session, start_agent):
    # Segments of other programs get their pages when one is touched: here, there are none left.
    agent, room = start(session, start_agent)
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
    fill(room)
    for method, arguments, result in calls:
        assert memory.open("sparse") == OK
        assert memory.call(method, *arguments) == result, method
        assert memory.get_last_error() == ERR_FILE_CORRUPT
        assert "could not supply" in memory.get_last_error_message()
        assert memory.get_status() == STATUS_ERROR
        assert not memory.is_open()
    assert agent.run(READ_INTO, "sparse") == [OK, ERR_FILE_CORRUPT, STATUS_ERROR]
    assert used(room) == SIZE

    (room / "greedy").unlink()
    assert memory.open_or_create("sparse", 16 * PAGE) == OK
    assert memory.fill(7) == OK
    assert memory.read() == b"\x07" * 16 * PAGE
    assert (room / "sparse").read_bytes() == b"\x07" * 16 * PAGE


def test_create_fails_without_inodes(session, start_agent):
    # The folder itself takes an inode.
    agent, room = start(session, start_agent, f"size={SIZE},nr_inodes=3")
    held, memory = agent.memory(), agent.memory()
    assert held.create("held", PAGE) == OK
    (room / "greedy").touch()
    for method in ("create", "open_or_create"):
        check_refused(memory, room, method, 1, PAGE)
    assert memory.list_names() == ["greedy", "held"]
    assert memory.open("held") == OK
    memory.close()
    (room / "greedy").unlink()
    assert memory.create("large", 1) == OK
