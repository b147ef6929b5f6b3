"""Obstacles under a name: links, pipes, folders, other users; and modes under any umask."""

import os
import socket
import subprocess
import sys

import pytest
from harness.constants import (
    ACCESS_READ_ONLY,
    ERR_ALREADY_EXISTS,
    ERR_CANT_OPEN,
    ERR_UNAUTHORIZED,
    GLOBAL_SCOPE,
    LOCAL_SCOPE,
    OK,
    STATUS_ERROR,
)
from harness.marks import IS_ROOT, root_only, segments_are_files
from harness.session import NOBODY, file_of, remove

pytestmark = segments_are_files

# The mode of a dead owner's segment.
LEFTOVER = 0o1600
# In seconds: far more than a call takes, far less than a blocked one.
AT_ONCE = 2


# Another user may not be able to start this Python, so it changes its user after it has started.
AS_ANOTHER = f"""
import mmap, os, sys

os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
"""
# The attacks of another program on a segment. `spare` is a file of its own.
TRIES = """
path, spare, pid = sys.argv[1:]
open(spare, "wb").close()


def mapped():
    with open(path, "r+b") as file:
        mmap.mmap(file.fileno(), 0).close()


def write():
    with open(path, "r+b") as file:
        file.write(b"changed")


for label, act in {
    "read": lambda: open(path, "rb").close(),
    "write": write,
    "map": mapped,
    "truncate": lambda: os.truncate(path, 64),
    "touch": lambda: os.utime(path),
    "chmod": lambda: os.chmod(path, 0o666),
    "chown": lambda: os.chown(path, os.getuid(), os.getgid()),
    "rename": lambda: os.rename(path, path + "x"),
    "replace": lambda: os.replace(spare, path),
    "remove": lambda: os.unlink(path),
    "its files": lambda: os.listdir(f"/proc/{pid}/fd"),
    "its maps": lambda: os.listdir(f"/proc/{pid}/map_files"),
    "its memory": lambda: open(f"/proc/{pid}/mem", "rb").close(),
}.items():
    try:
        act()
    except OSError as error:
        print(f"{label}: {type(error).__name__}")
    else:
        print(f"{label}: done")
"""
# Puts something under the name, as another user.
PLANT = """
what, path = sys.argv[1:]
{
    "link": lambda: os.symlink("/etc/passwd", path),
    "folder": lambda: os.mkdir(path),
    "pipe": lambda: os.mkfifo(path),
}[what]()
"""


# Calls each method that takes a name. Returns their results, and the microseconds that all of them took.
EACH_CALL = """
var spent = 0

func timed(call):
	var began = Time.get_ticks_usec()
	var result = call.call()
	spent += Time.get_ticks_usec() - began
	return result

func run(name, accesses):
	var memory = SharedMemory.new()
	var opened = []
	for access in accesses:
		opened.append(timed(func(): return memory.open(name, 0, access)))
		opened.append(memory.get_last_error())
		opened.append(name in memory.get_last_error_message())
		opened.append(memory.get_status())
	var others = [
		timed(func(): return memory.create(name, 64)),
		timed(func(): return memory.open_or_create(name, 64)),
		timed(func(): return SharedMemory.exists(name)),
		timed(func(): return name in SharedMemory.list_names()),
		timed(func(): return SharedMemory.remove(name)),
	]
	return [opened, others, spent]
"""


@pytest.fixture
def check_left_alone(name, agent, cleanup):
    """Puts something under the name, and checks that each method refuses it and leaves it alone."""

    def check(plant):
        path = file_of(name)
        cleanup.callback(remove, path)
        plant(path)
        before = os.lstat(path)
        # Godot takes the time itself. On a busy machine, the agent's answers take longer than the calls.
        opened, others, spent = agent.run(EACH_CALL, name, [0, ACCESS_READ_ONLY])
        assert opened == 2 * [ERR_CANT_OPEN, ERR_CANT_OPEN, True, STATUS_ERROR]
        assert others == [
            ERR_ALREADY_EXISTS,
            ERR_CANT_OPEN,
            False,
            False,
            ERR_CANT_OPEN,
        ]
        assert spent < AT_ONCE * 1_000_000, "without blocking"
        after = os.lstat(path)
        assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)

    return check


def test_link_to_file_is_left_alone(session, check_left_alone):
    victim = session.folder / "victim"
    victim.write_bytes(b"precious")
    victim.chmod(LEFTOVER)
    check_left_alone(lambda path: path.symlink_to(victim))
    assert victim.read_bytes() == b"precious"


def test_link_to_segment_is_left_alone(unique_name, make_foreign, check_left_alone):
    target = make_foreign(unique_name(), b"precious")
    check_left_alone(lambda path: path.symlink_to(target.name))
    assert target.read_bytes() == b"precious"


def test_link_to_nothing_is_left_alone(session, check_left_alone):
    target = session.folder / "absent"
    check_left_alone(lambda path: path.symlink_to(target))
    assert not target.exists(), "nothing is made through it"


def test_link_to_itself_is_left_alone(check_left_alone):
    check_left_alone(lambda path: path.symlink_to(path))


@pytest.mark.parametrize("plant", ["mkfifo", "mkdir"])
def test_pipe_or_folder_is_left_alone(check_left_alone, plant):
    check_left_alone(getattr(os, plant))


def test_socket_is_left_alone(check_left_alone):
    with socket.socket(socket.AF_UNIX) as listener:
        check_left_alone(lambda path: listener.bind(str(path)))


@root_only
@pytest.mark.parametrize("what", ["link", "folder", "pipe"])
def test_object_of_other_user_is_left_alone(check_left_alone, what):
    command = [sys.executable, "-c", AS_ANOTHER + PLANT, what]
    check_left_alone(lambda path: subprocess.run([*command, path], check=True))


def test_pipe_in_place_of_segment_is_left_alone(name, cleanup, memory):
    memory.create(name, 64)
    file_of(name).unlink()
    os.mkfifo(file_of(name))
    cleanup.callback(file_of(name).unlink)
    assert not memory.is_current()
    memory.close()
    memory.unlink()
    assert file_of(name).exists()


def test_unlink_after_close_tries_once(cleanup, unique_name, memory):
    name, spare = unique_name(), unique_name()
    memory.set_persistent(True)
    assert memory.create(name, 64) == OK
    os.link(file_of(name), file_of(spare))
    cleanup.callback(file_of(spare).unlink)
    memory.close()
    memory.unlink()
    assert not file_of(name).exists()
    # The very segment that this object had, under its old name.
    os.link(file_of(spare), file_of(name))
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    memory.unlink()
    assert file_of(name).exists(), "it had its one try"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_mode_does_not_depend_on_umask(start_agent, unique_name, umask):
    agent = start_agent(umask=umask)
    for scope, persistent, mode in (
        (LOCAL_SCOPE, False, 0o600),
        (GLOBAL_SCOPE, False, 0o666),
        (LOCAL_SCOPE, True, 0o600),
        (GLOBAL_SCOPE, True, 0o666),
    ):
        for method in ("create", "open_or_create"):
            memory, name = agent.memory(), unique_name()
            memory.set_persistent(persistent)
            assert memory.call(method, name, 64, scope) == OK
            found = file_of(name).stat().st_mode & 0o777
            assert oct(found) == oct(mode), method
            memory.unlink()


def test_scope_follows_mode_of_other_programs(name, memory, make_foreign):
    for mode, scope in ((0o600, 0), (0o644, 0), (0o622, 1), (0o666, 1)):
        make_foreign(name, b"Python").chmod(mode)
        assert memory.open(name) == OK
        assert memory.get_scope() == scope, oct(mode)
        memory.close()


@pytest.fixture
def tries_of_stranger(name, agent, unique_name, cleanup, session):
    """Tries what another user can do without the addon; returns a dictionary from the try to its outcome."""

    def tries():
        spare = file_of(unique_name())
        cleanup.callback(spare.unlink, missing_ok=True)
        arguments = file_of(name), spare, str(agent.pid)
        command = [sys.executable, "-c", AS_ANOTHER + TRIES, *arguments]
        code, lines = session.run(command, 20)
        assert code == 0, lines
        return dict(line.split(": ") for line in lines)

    return tries


@root_only
def test_local_segment_is_closed_to_other_users_without_addon(
    name, memory, tries_of_stranger
):
    assert memory.create(name, 64) == OK
    memory.write(b"secret")
    before = file_of(name).stat()
    outcomes = tries_of_stranger()
    assert outcomes == dict.fromkeys(outcomes, "PermissionError")
    assert len(outcomes) == 13
    after = file_of(name).stat()
    for field in ("st_ino", "st_mode", "st_size", "st_mtime_ns"):
        assert getattr(after, field) == getattr(before, field), field
    assert memory.is_current()
    assert memory.read(6) == b"secret"


@root_only
def test_global_segment_gives_other_users_only_its_bytes(
    name, memory, tries_of_stranger
):
    assert memory.create(name, 64, GLOBAL_SCOPE) == OK
    outcomes = tries_of_stranger()
    done = [label for label, outcome in outcomes.items() if outcome == "done"]
    # Permission to write includes truncating: here to the same size. See test_hostile_peer.py for less.
    assert done == ["read", "write", "map", "truncate", "touch"]
    others = set(outcomes.values()) - {"done"}
    assert others == {"PermissionError"}
    assert memory.is_current()
    assert memory.get_scope() == GLOBAL_SCOPE


@root_only
def test_local_segment_is_closed_to_other_users(name, memory, stranger):
    assert memory.create(name, 64) == OK
    for access in (0, ACCESS_READ_ONLY):
        assert stranger.open(name, 0, access) == ERR_UNAUTHORIZED
    assert stranger.get_last_error() == ERR_UNAUTHORIZED
    assert "Permission denied" in stranger.get_last_error_message()
    assert stranger.get_status() == STATUS_ERROR
    assert stranger.exists(name)
    assert stranger.create(name, 64) == ERR_ALREADY_EXISTS
    assert stranger.open_or_create(name, 64) == ERR_UNAUTHORIZED
    assert stranger.remove(name) == ERR_UNAUTHORIZED
    assert memory.is_current()


@pytest.mark.skipif(IS_ROOT, reason="root may do all")
def test_open_fails_without_permission(name, make_foreign, memory):
    path = make_foreign(name, b"Python")
    path.chmod(0o000)
    for access in (0, ACCESS_READ_ONLY):
        assert memory.open(name, 0, access) == ERR_UNAUTHORIZED
    path.chmod(0o400)
    assert memory.open(name) == ERR_UNAUTHORIZED
    assert memory.open_or_create(name, 6) == ERR_UNAUTHORIZED
    assert memory.open(name, 0, ACCESS_READ_ONLY) == OK


@root_only
def test_global_segment_is_open_to_other_users(name, start_agent, stranger):
    memory = start_agent(umask=0o077).memory()
    assert memory.create(name, 64, GLOBAL_SCOPE) == OK
    assert stranger.open(name) == OK
    assert stranger.get_scope() == GLOBAL_SCOPE
    assert stranger.write(b"hello") == OK
    assert memory.read(5) == b"hello"
    stranger.unlink()
    assert stranger.get_last_error() == ERR_UNAUTHORIZED
    assert memory.is_current(), "they may not remove it"
    assert stranger.remove(name) == ERR_UNAUTHORIZED
    stranger.close()
    assert stranger.open_or_create(name, 64) == OK


@root_only
def test_readable_segment_opens_read_only_for_other_users(name, make_foreign, stranger):
    make_foreign(name, b"Python").chmod(0o644)
    assert stranger.open(name) == ERR_UNAUTHORIZED
    assert stranger.open(name, 0, ACCESS_READ_ONLY) == OK
    assert stranger.read() == b"Python"


@root_only
def test_leftover_is_reclaimed_by_its_user_alone(name, start_stranger, memory):
    owner = start_stranger()
    assert owner.memory().create(name, 64, GLOBAL_SCOPE) == OK
    owner.kill()
    assert memory.create(name, 64) == ERR_ALREADY_EXISTS
    assert start_stranger().memory().create(name, 64) == OK
