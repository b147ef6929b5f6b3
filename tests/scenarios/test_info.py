"""The facts about a segment whose owner lives, stands still, has died, or is another user."""

import os
import signal
import struct

import pytest
from harness.constants import (
    BACKEND_FILE,
    ERR_ALREADY_EXISTS,
    ERR_DOES_NOT_EXIST,
    ERR_INVALID_PARAMETER,
    ERR_UNAUTHORIZED,
    GLOBAL_SCOPE,
    OK,
    OWNER_ALIVE,
    OWNER_DEAD,
    OWNER_UNKNOWN,
)
from harness.marks import root_only, segments_are_files
from harness.session import NOBODY, file_of

pytestmark = segments_are_files


@pytest.fixture
def owner(start_agent, name, cleanup):
    """Returns a Godot that a test may kill. It may leave the name."""
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    return start_agent()


def test_owner_state_follows_life_of_owner(name, owner, memory):
    assert owner.memory().create(name, 64) == OK
    assert memory.open(name) == OK
    assert memory.get_owner_state() == OWNER_ALIVE
    os.kill(owner.pid, signal.SIGSTOP)
    assert memory.get_owner_state() == OWNER_ALIVE, "as in a debugger"
    os.kill(owner.pid, signal.SIGCONT)
    assert memory.get_info(name)["owner_state"] == OWNER_ALIVE
    owner.kill()
    assert memory.get_owner_state() == OWNER_DEAD
    assert memory.get_info(name)["owner_state"] == OWNER_DEAD
    assert memory.read(1) == b"\0", "the memory stays"


def test_owner_of_persistent_segment_is_known(name, owner, memory):
    theirs = owner.memory()
    theirs.set_persistent(True)
    assert theirs.create(name, 64) == OK
    assert memory.open(name) == OK
    assert memory.get_owner_state() == OWNER_ALIVE
    theirs.close()
    assert memory.get_owner_state() == OWNER_DEAD, "closed"
    memory.unlink()


def test_get_users_are_the_programs_that_have_it_open(name, owner, agent, memory):
    assert owner.memory().create(name, 64) == OK
    assert memory.get_users(name) == [owner.pid]
    assert memory.open(name) == OK
    assert memory.get_users(name) == sorted([owner.pid, agent.pid])
    owner.kill()
    assert memory.get_users(name) == [agent.pid]


@pytest.mark.parametrize("mode", [0o666, 0o600, 0o400, 0o000], ids=oct)
def test_killed_game_never_blocks_its_next_run(name, owner, memory, mode):
    theirs = owner.memory()
    assert theirs.create(name, 64) == OK
    file_of(name).chmod(mode)
    assert memory.create(name, 64) == ERR_ALREADY_EXISTS
    assert "a running process of this user owns it" in memory.get_last_error_message()
    owner.kill()
    assert memory.open_or_create(name, 32) == OK
    assert memory.get_size() == 32


def test_persistent_changes_no_mode(name, memory):
    assert memory.create(name, 64) == OK
    file_of(name).chmod(0o640)
    for persistent in (True, False, True):
        memory.set_persistent(persistent)
        assert file_of(name).stat().st_mode & 0o777 == 0o640
    memory.unlink()


def test_too_small_segment_tells_both_sizes_and_a_way_out(name, owner, memory):
    theirs = owner.memory()
    theirs.set_persistent(True)
    assert theirs.create(name, 64) == OK
    sizes = "has 64 bytes, fewer than the 100 asked for: "
    for method in ("open", "open_or_create"):
        assert memory.call(method, name, 100) == ERR_INVALID_PARAMETER
        expected = sizes + "a running process of this user owns it"
        assert memory.get_last_error_message().endswith(expected)
    owner.kill()
    for method in ("open", "open_or_create"):
        assert memory.call(method, name, 100) == ERR_INVALID_PARAMETER
        assert sizes in memory.get_last_error_message()
        way_out = "has ended; remove() removes it"
        assert memory.get_last_error_message().endswith(way_out)
    assert memory.remove(name) == OK
    assert memory.open_or_create(name, 100) == OK


@root_only
def test_other_user_gets_only_advice_that_works(name, owner, stranger):
    assert owner.memory().create(name, 64, GLOBAL_SCOPE) == OK
    way_out = "; only that user and root can remove it, so use another name"

    def check(owner_is):
        assert stranger.create(name, 64) == ERR_ALREADY_EXISTS
        expected = f" exists already: {owner_is}{way_out}"
        assert stranger.get_last_error_message().endswith(expected)
        info = stranger.get_info(name)
        assert not info["is_mine"]
        assert stranger.remove(name) == ERR_UNAUTHORIZED
        return info["owner_state"]

    assert check("a running process of another user (ID 0) owns it") == OWNER_ALIVE
    owner.kill()
    left = "it is left over from a process of another user (ID 0) that has ended"
    assert check(left) == OWNER_DEAD
    file_of(name).chmod(0o600)
    closed = (
        "it belongs to another user (ID 0), and the system does not say whether its"
        " owner is running"
    )
    assert check(closed) == OWNER_UNKNOWN
    assert stranger.get_users(name) == []
    assert stranger.create(f"{name}2", 64) == OK, "another name"


def test_list_segments_has_those_of_each_user(name, owner, memory, make_foreign):
    assert owner.memory().create(name, 64) == OK
    foreign = f"{name}-foreign"
    path = make_foreign(foreign, b"Python")
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    found = {segment["name"]: segment for segment in memory.list_segments()}
    assert (found[name]["owner_state"], found[name]["is_mine"]) == (OWNER_ALIVE, True)
    told = found[foreign]
    assert (told["size"], told["owner_state"]) == (6, OWNER_UNKNOWN)
    assert told["is_mine"] == (os.geteuid() != 0)


def test_open_file_of_process_can_be_opened(memory):
    memory.set_backend(BACKEND_FILE)
    descriptor = os.memfd_create("wine-mapping")
    try:
        os.ftruncate(descriptor, 64)
        os.pwrite(descriptor, b"telemetry", 0)
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        assert memory.get_info(path, 1)["size"] == 64
        assert memory.open(path) == OK
        assert memory.read(9) == b"telemetry"
        assert memory.write(b"back", 60) == OK
        assert os.pread(descriptor, 4, 60) == b"back"
    finally:
        os.close(descriptor)
    assert not memory.is_current()
    assert memory.read(9) == b"telemetry", "the memory stays"
    memory.close()
    assert memory.open(path) == ERR_DOES_NOT_EXIST


# linux/fs.h: a file with this flag can't be removed.
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL = 0x80086601, 0x40086602, 0x10


def set_immutable(path, immutable):
    import fcntl  # Not on Windows.

    with path.open("rb") as file:
        flags = bytearray(8)
        fcntl.ioctl(file, FS_IOC_GETFLAGS, flags)
        (value,) = struct.unpack("<Q", flags)
        value = value | FS_IMMUTABLE_FL if immutable else value & ~FS_IMMUTABLE_FL
        fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("<Q", value))


@root_only
def test_refused_unlink_can_be_tried_again_after_close(name, memory, cleanup):
    memory.set_persistent(True)
    assert memory.create(name, 64) == OK
    memory.close()
    path = file_of(name)
    try:
        set_immutable(path, True)
    except OSError as error:
        pytest.skip(f"no such flag here: {error}")
    cleanup.callback(path.unlink, missing_ok=True)
    try:
        memory.unlink()
        assert memory.get_last_error() == ERR_UNAUTHORIZED
    finally:
        set_immutable(path, False)
    memory.unlink()
    assert memory.get_last_error() == OK
    assert not path.exists()
