"""Godot and Python, and Godot and Godot, each way."""

import mmap
import os
import subprocess
import sys

import pytest
from harness.constants import (
    ACCESS_READ_ONLY,
    ERR_BUSY,
    ERR_UNAUTHORIZED,
    OK,
    STATUS_CREATED,
    STATUS_OPEN,
)
from harness.marks import linux_only, segments_are_files
from harness.session import file_of

# Python's own SharedMemory, in a process of its own, because it starts a resource tracker. Before Python
# 3.13, that one would remove at its end what this process only opened.
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
    """Returns the bytes of a segment as any program sees them without this addon."""
    with open(path, "r+b") as file:
        return mmap.mmap(file.fileno(), 0)


@segments_are_files
def test_python_maps_memory_of_godot(name, memory):
    assert memory.create(name, 5000) == OK
    assert memory.write(b"Godot") == OK
    with mapped(file_of(name)) as view:
        assert len(view) == 5000
        assert view[:5] == b"Godot"
        assert view[5:] == bytes(4995)
        view[4990:] = b"Python was"
        assert memory.read(10, 4990) == b"Python was"
        # An opener keeps the memory.
        memory.close()
        assert not file_of(name).exists()
        assert view[:5] == b"Godot"


@segments_are_files
def test_godot_opens_memory_of_python(name, make_foreign, memory):
    path = make_foreign(name, b"Python".ljust(5000, b"."))
    with mapped(path) as view:
        assert memory.open(name) == OK
        assert memory.get_size() == 5000
        assert memory.get_status() == STATUS_OPEN
        assert memory.read(6) == b"Python"
        assert memory.write(b"Godot", 4995) == OK
        assert view[4995:] == b"Godot"
        memory.close()
        assert path.exists(), "an opener's close removes nothing"


@segments_are_files
def test_read_only_memory_refuses_write(name, make_foreign, memory):
    path = make_foreign(name, b"Python")
    path.chmod(0o400)
    assert memory.open(name, 0, ACCESS_READ_ONLY) == OK
    assert memory.read() == b"Python"
    assert memory.write(b"x") == ERR_UNAUTHORIZED
    assert path.read_bytes() == b"Python"


@segments_are_files
def test_open_is_busy_until_segment_has_a_size(name, make_foreign, memory):
    path = make_foreign(name, b"")
    assert memory.open(name) == ERR_BUSY
    path.write_bytes(b"now")
    assert memory.open(name) == OK
    assert memory.read() == b"now"


@segments_are_files
@pytest.mark.parametrize(
    "label",
    ["back\\slash", "\\", " ", "\n", "ünï", "🙂"],
    ids=["inside", "backslash", "space", "newline", "letters", "emoji"],
)
def test_names_of_other_programs_work(unique_name, make_foreign, memory, label):
    name = unique_name(label)
    make_foreign(name, b"Python")
    assert memory.open("///" + name) == OK
    assert memory.get_name() == name
    assert memory.read() == b"Python"
    assert memory.exists(name)
    assert name in memory.list_names()
    memory.close()
    assert memory.remove(name) == OK
    assert not file_of(name).exists()


@linux_only
def test_list_names_omits_names_that_are_not_text(name, cleanup, start_agent):
    path = os.fsencode(file_of(name)) + b"\xff"
    with open(path, "wb") as file:
        file.write(b"Python")
    cleanup.callback(os.unlink, path)
    names = start_agent().memory().list_names()
    assert [found for found in names if found.startswith(name)] == []


def test_multiprocessing_opens_memory_of_godot(name, session, memory):
    assert memory.create(name, 64) == OK
    memory.write(b"Godot")
    code, lines = session.run(
        [sys.executable, "-c", WITH_MULTIPROCESSING, "open", name], 20
    )
    assert (code, lines) == (0, ["64 Godot"])
    assert memory.read(6) == b"Python"
    assert memory.is_current(), "Python's exit removes nothing"


def test_godot_opens_memory_of_multiprocessing(name, cleanup, session, memory):
    python = session.start(
        [sys.executable, "-c", WITH_MULTIPROCESSING, "create", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    cleanup.callback(python.stdout.close)
    assert python.stdout.readline() == "made\n"
    assert memory.open(name) == OK
    # Some systems round it up to pages.
    assert memory.get_size() >= 64
    assert memory.read(6) == b"Python"
    assert memory.write(b"Godot") == OK
    told, _errors = python.communicate("\n", 20)
    assert (python.returncode, told) == (0, "Godot\n")
    assert not memory.is_current(), "Python has removed the name"
    assert memory.read(5) == b"Godot", "but not the memory"


def test_two_godots_share_memory(name, start_agent):
    first, second = start_agent().memory(), start_agent().memory()
    assert first.create(name, 100) == OK
    assert second.open(name) == OK
    assert first.write(b"to the second", 3) == OK
    assert second.read(13, 3) == b"to the second"
    assert second.write(b"to the first", 80) == OK
    assert first.read(12, 80) == b"to the first"
    first.close()
    assert not second.is_current()
    assert second.read(13, 3) == b"to the second"
    # They change places.
    assert first.create(name, 50) == OK
    assert not second.is_current(), "it still has the old one"
    second.close()
    assert second.open(name) == OK
    assert second.get_size() == 50
    assert second.is_current()


def test_second_open_or_create_opens(name, start_agent):
    one, other = start_agent().memory(), start_agent().memory()
    assert one.open_or_create(name, 64) == OK
    assert other.open_or_create(name, 64) == OK
    assert one.get_status() == STATUS_CREATED
    assert other.get_status() == STATUS_OPEN
    one.write(b"shared")
    assert other.read(6) == b"shared"
    # The next call makes it again while the opener still has the old one.
    one.close()
    assert one.open_or_create(name, 64) == OK
    assert one.get_status() == STATUS_CREATED
    assert not other.is_current()
