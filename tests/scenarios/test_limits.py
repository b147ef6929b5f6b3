"""A process at a limit of the system: open files, address space, size of files."""

import os
import pathlib

from harness.constants import (
    ERR_CANT_CREATE,
    ERR_CANT_OPEN,
    ERR_OUT_OF_MEMORY,
    OK,
    STATUS_CREATED,
    STATUS_ERROR,
    STATUS_OPEN,
)
from harness.limits import leave_address_space, limit, needs_limits, resource
from harness.marks import segments_are_files
from harness.session import file_of

FILES = "too many files are open (RLIMIT_NOFILE is "

pytestmark = [segments_are_files, needs_limits]


def test_create_reserves_pages(name, memory):
    size = 16 << 20
    assert memory.create(name, size) == OK
    # In units of 512 bytes, at any block size.
    assert file_of(name).stat().st_blocks * 512 >= size


def check_refused(memory, code, method, *arguments, why=""):
    assert memory.call(method, *arguments) == code, method
    assert memory.get_last_error() == code
    assert why in memory.get_last_error_message()
    assert memory.get_status() == STATUS_ERROR


def check_works(agent, held):
    """Checks that an open segment can be used under any limit."""
    assert held.write(b"still there") == OK
    assert held.fill(7, 11) == OK
    assert held.read(12) == b"still there\x07"
    assert held.is_current()


def test_create_and_open_fail_without_file_descriptors(
    make_foreign, agent, unique_name
):
    absent, there = unique_name(), unique_name()
    make_foreign(there, b"Python")
    memory, held = agent.memory(), agent.memory()
    assert held.create(unique_name(), 64) == OK
    numbers = {int(p.name) for p in pathlib.Path(f"/proc/{agent.pid}/fd").iterdir()}
    free = min(set(range(len(numbers) + 1)) - numbers)
    before = limit(agent, resource.RLIMIT_NOFILE, free)

    for method in ("create", "open_or_create"):
        check_refused(memory, ERR_CANT_CREATE, method, absent, 64, why=FILES)
        assert not file_of(absent).exists()
    check_refused(memory, ERR_CANT_OPEN, "open", there, why=FILES)
    check_refused(memory, ERR_CANT_CREATE, "open_or_create", there, 6, why=FILES)
    assert memory.exists(there), "asking needs no file"
    check_works(agent, held)
    held.close()

    limit(agent, resource.RLIMIT_NOFILE, before)
    assert memory.open(there) == OK
    assert memory.get_status() == STATUS_OPEN


def test_create_and_open_fail_without_address_space(agent, unique_name, make_foreign):
    name, there = unique_name(), unique_name()
    large = 256 << 20
    os.truncate(make_foreign(there, b""), large)
    memory, held = agent.memory(), agent.memory()
    assert held.create(unique_name(), 64) == OK
    before = leave_address_space(agent, 64 << 20)
    for method in ("create", "open_or_create"):
        check_refused(memory, ERR_OUT_OF_MEMORY, method, name, large)
        assert not file_of(name).exists(), "nothing is left"
    check_refused(memory, ERR_CANT_OPEN, "open", there, why="mmap")
    check_refused(memory, ERR_CANT_CREATE, "open_or_create", there, large)
    assert memory.open(there, 4096) == OK, "a part of it"
    memory.close()
    check_works(agent, held)
    limit(agent, resource.RLIMIT_AS, before)
    assert memory.create(name, 64 << 20) == OK


def test_read_fails_without_room_for_copy(agent, unique_name):
    memory = agent.memory()
    assert memory.create(unique_name(), 256 << 20) == OK
    before = leave_address_space(agent, 64 << 20)
    # The engine's own, about an array that can't grow.
    agent.allow_errors('Parameter "mem')
    assert memory.read() == b""
    assert memory.get_last_error() == ERR_OUT_OF_MEMORY
    limit(agent, resource.RLIMIT_AS, before)
    assert memory.read(3) == bytes(3)
    assert memory.get_status() == STATUS_CREATED


def test_create_fails_at_file_size_limit(make_foreign, agent, unique_name):
    # At this limit the system sends a signal that ends the process, unless it is ignored.
    name, there = unique_name(), unique_name()
    make_foreign(there, b"Python".ljust(2 << 20))
    memory, held = agent.memory(), agent.memory()
    assert held.create(unique_name(), 64) == OK
    before = limit(agent, resource.RLIMIT_FSIZE, 1 << 20)
    for method in ("create", "open_or_create"):
        check_refused(memory, ERR_OUT_OF_MEMORY, method, name, 2 << 20)
        assert not file_of(name).exists(), "nothing is left"
    # It is about making files larger, not about using large ones.
    for method in ("open", "open_or_create"):
        assert memory.call(method, there, 2 << 20) == OK
        assert memory.write(b"Godot", (2 << 20) - 5) == OK
        memory.close()
    check_works(agent, held)
    limit(agent, resource.RLIMIT_FSIZE, before)
    assert memory.create(name, 2 << 20) == OK
