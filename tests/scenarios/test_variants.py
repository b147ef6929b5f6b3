"""Values of any type between processes: two Godots, and a partner in Python that makes the bytes itself."""

import mmap
import random
import struct
import subprocess
import sys

import pytest
from harness.constants import ERR_FILE_CORRUPT, ERR_OUT_OF_MEMORY, OK
from harness.effort import seconds_more
from harness.limits import leave_address_space, needs_limits
from harness.marks import segments_are_files
from harness.session import file_of, kill

pytestmark = segments_are_files

SIZE = 1 << 16

# Writes values one after another; returns the offset after the last.
ENCODE = """
func run(name, seed_of_values):
    var memory = SharedMemory.new()
    memory.open(name)
    var some = load("res://harness/some_values.gd").new(seed_of_values)
    var offset = 0
    for value in values(some):
        var size = memory.encode_var(offset, value)
        if size < 0:
            return memory.get_last_error_message()
        offset += size
    return offset

static func values(some):
    var all = []
    for type in TYPE_MAX:
        if type not in [TYPE_OBJECT, TYPE_SIGNAL]:
            all.append(some.some(type, 0))
    return all
"""
# The same values, from the same seed.
DECODE = (
    ENCODE.replace("func run", "func encode")
    + """
func run(name, seed_of_values):
    var memory = SharedMemory.new()
    memory.open(name)
    var some = load("res://harness/some_values.gd").new(seed_of_values)
    var offset = 0
    for value in values(some):
        var expected = var_to_bytes(value)
        var back = memory.decode_var(offset)
        if typeof(back) != typeof(value) or var_to_bytes(back) != expected:
            return "at %d: %s, not %s" % [offset, back, value]
        if memory.decode_var_size(offset) != expected.size():
            return "at %d: %d bytes" % [offset, memory.decode_var_size(offset)]
        offset += expected.size()
    return offset
"""
)
READ_ALL_THE_TIME = """
func run(name, seconds):
    var memory = SharedMemory.new()
    memory.open(name)
    var until = Time.get_ticks_msec() + seconds * 1000
    var counts = [0, 0]
    while Time.get_ticks_msec() < until:
        memory.clear_last_error()
        var value = memory.decode_var(0)
        memory.has_encoded_var(0)
        var size = memory.decode_var_size(0)
        if size < 0 or size > memory.get_size():
            return "a size of %d" % size
        if value == null and memory.get_last_error() not in [OK, ERR_INVALID_DATA]:
            return memory.get_last_error_message()
        counts[int(value != null)] += 1
    return counts
"""
# Writes whole values, parts of them and nonsense without a pause.
HOSTILE = """
import mmap, random, struct, sys
rng = random.Random(int(sys.argv[2]))
with open(sys.argv[1], "r+b") as file:
    view = mmap.mmap(file.fileno(), 0)
print("ready", flush=True)
text = struct.pack("<II", 4, 1000) + b"x" * 1000
array = struct.pack("<II", 28, 100) + struct.pack("<Ii", 2, 7) * 100
bytes_ = struct.pack("<II", 29, 2000) + bytes(2000)
while True:
    value = rng.choice([text, array, bytes_])
    view[: len(value)] = value
    for _ in range(rng.randrange(4)):
        number = rng.choice([rng.randrange(40), rng.getrandbits(32)])
        struct.pack_into("<I", view, 4 * rng.randrange(16), number)
"""


def word(*words):
    return struct.pack(f"<{len(words)}I", *words)


def text(value):
    data = value.encode()
    return word(4, len(data)) + data + bytes(-len(data) % 4)


# From the engine's manual: https://docs.godotengine.org/en/stable/tutorials/io/binary_serialization_api.html
VALUES = [
    ("null", word(0)),
    ("true", word(1, 1)),
    ("-5", word(2) + struct.pack("<i", -5)),
    ("1 << 40", word(2 | 1 << 16) + struct.pack("<q", 1 << 40)),
    ("0.5", word(3) + struct.pack("<f", 0.5)),
    ("0.1", word(3 | 1 << 16) + struct.pack("<d", 0.1)),
    ('"Grüße"', text("Grüße")),
    ("Vector2(1, -2)", word(5) + struct.pack("<2f", 1, -2)),
    ("[1, 'a', null]", word(28, 3, 2, 1) + text("a") + word(0)),
    ("{'a': [true]}", word(27, 1) + text("a") + word(28, 1, 1, 1)),
    ("PackedByteArray([1, 2, 3])", word(29, 3) + b"\1\2\3\0"),
    ("PackedInt32Array([-1])", word(30, 1) + struct.pack("<i", -1)),
]
COMPARE = """
func run(name, offset):
    var memory = SharedMemory.new()
    memory.open(name)
    var value = %s
    var back = memory.decode_var(offset)
    return typeof(back) == typeof(value) and back == value and memory.encode_var(1024, value) > 0
"""


@pytest.fixture
def made(name, cleanup, make_foreign):
    """Makes a segment of zeros, as any program would; returns its bytes."""

    def make(size=SIZE):
        with open(make_foreign(name, bytes(size)), "r+b") as file:
            view = mmap.mmap(file.fileno(), 0)
        cleanup.callback(view.close)
        return view

    return make


def test_values_of_one_godot_are_read_by_another(note, name, made, start_agent):
    seed = random.randrange(1 << 31)
    note(f"seed {seed}")
    made()
    one, other = start_agent(), start_agent()
    for number in range(20):
        written = one.run(ENCODE, name, seed + number)
        assert isinstance(written, int), written
        assert other.run(DECODE, name, seed + number) == written
        one, other = other, one


def test_values_of_python_are_read_and_written_alike(name, made, agent):
    view = made()
    for value, data in VALUES:
        view[8 : 8 + len(data)] = data
        assert agent.run(COMPARE % value, name, 8) is True, value
        assert view[1024 : 1024 + len(data)] == data, value


def test_values_that_change_during_reading_are_refused_or_whole(
    name, made, note, session, agent
):
    seed = random.randrange(1 << 31)
    made(4096)
    command = [sys.executable, "-c", HOSTILE, file_of(name), str(seed)]
    writer = session.start(command, stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout.readline() == "ready\n"
        counts = agent.run(READ_ALL_THE_TIME, name, 2 + seconds_more())
    finally:
        kill(writer)
        writer.stdout.close()
    assert isinstance(counts, list), counts
    refused, decoded = map(int, counts)
    note(f"seed {seed}: {decoded} decoded, {refused} refused")
    assert decoded > 0
    assert refused > 0


@pytest.mark.parametrize(
    ("method", "failed"),
    [("decode_var", None), ("decode_var_size", 0), ("has_encoded_var", False)],
)
def test_truncated_segment_fails_decoding(name, make_foreign, memory, method, failed):
    path = make_foreign(name, text("x" * 50_000).ljust(1 << 16))
    assert memory.open(name) == OK
    path.write_bytes(b"")
    assert getattr(memory, method)(0) == failed
    assert memory.get_last_error() == ERR_FILE_CORRUPT


@needs_limits
def test_value_without_room_is_refused(name, made, agent, memory):
    # An array of empty arrays takes 30 times as much outside the segment.
    view = made(64 << 20)
    count = (64 << 20) // 8 - 1
    view[:] = word(28, count) + word(28, 0) * count
    assert memory.open(name) == OK
    leave_address_space(agent, 512 << 20)
    assert memory.decode_var_size(0) == 64 << 20
    assert memory.decode_var(0) is None
    assert memory.get_last_error() == ERR_OUT_OF_MEMORY
    view[:8] = word(28, 1)
    assert memory.decode_var(0) == [[]]
