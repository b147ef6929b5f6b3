"""Values of any type between processes: two Godots, and a partner in Python that makes the bytes itself."""

import mmap
import pathlib
import random
import struct
import subprocess
import sys
import unittest

from harness.effort import seconds_more
from harness.scenario import ERR_FILE_CORRUPT, ERR_OUT_OF_MEMORY, OK, Scenario
from harness.session import SHARED

try:
    import resource
except ImportError:
    resource = None

SIZE = 1 << 16

# One after the other, as a list of [offset, bytes].
ENCODE = """
func run(name, seed_of_values):
    var memory = SharedMemory.new()
    memory.open(name)
    var some = load("res://some_values.gd").new(seed_of_values)
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
    var some = load("res://some_values.gd").new(seed_of_values)
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
# Whole values, parts of them and nonsense, as fast as it goes.
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


# As the engine's manual has it: https://docs.godotengine.org/en/stable/tutorials/io/binary_serialization_api.html
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


@unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
class Variants(Scenario):
    def made(self, size=SIZE):
        """A segment of zeros, and its bytes: what any program would make."""
        name = self.name()
        path = pathlib.Path(self.foreign(name, bytes(size)))
        with open(path, "r+b") as file:
            view = mmap.mmap(file.fileno(), 0)
        self.addCleanup(view.close)
        return name, view

    def test_from_one_godot_to_another(self):
        seed = random.randrange(1 << 31)
        self.note(f"seed {seed}")
        name, _view = self.made()
        one, other = self.agent(), self.agent()
        for number in range(20):
            written = one.run(ENCODE, name, seed + number)
            self.assertIsInstance(written, int, written)
            self.assertEqual(other.run(DECODE, name, seed + number), written)
            one, other = other, one

    def test_python_writes_godot_reads_and_writes(self):
        name, view = self.made()
        agent = self.agent()
        for value, data in VALUES:
            with self.subTest(value):
                view[8 : 8 + len(data)] = data
                self.assertEqual(agent.run(COMPARE % value, name, 8), True)
                self.assertEqual(view[1024 : 1024 + len(data)], data)

    def test_python_writes_all_the_time(self):
        seed = random.randrange(1 << 31)
        name, _view = self.made(4096)
        command = [sys.executable, "-c", HOSTILE, self.file(name), str(seed)]
        writer = self.session.start(command, stdout=subprocess.PIPE, text=True)
        try:
            self.assertEqual(writer.stdout.readline(), "ready\n")
            seconds = 2 + seconds_more()
            counts = self.agent().run(READ_ALL_THE_TIME, name, seconds)
        finally:
            writer.kill()
            writer.wait()
            writer.stdout.close()
        self.assertIsInstance(counts, list, counts)
        refused, decoded = map(int, counts)
        self.note(f"seed {seed}: {decoded} decoded, {refused} refused")
        self.assertGreater(decoded, 0)
        self.assertGreater(refused, 0)

    def test_memory_taken_away(self):
        name, view = self.made(1 << 16)
        data = text("x" * 50_000)
        view[: len(data)] = data
        view.close()
        memory = self.agent().memory()
        for method, failed in (
            ("decode_var", None),
            ("decode_var_size", 0),
            ("has_encoded_var", False),
        ):
            with self.subTest(method):
                self.file(name).write_bytes(data.ljust(1 << 16))
                self.assertEqual(memory.open(name), OK)
                self.file(name).write_bytes(b"")
                self.assertEqual(getattr(memory, method)(0), failed)
                self.assertEqual(memory.get_last_error(), ERR_FILE_CORRUPT)

    @unittest.skipUnless(hasattr(resource, "prlimit"), "needs Linux")
    def test_no_room_for_the_value(self):
        """An array of empty arrays is a small matter in the segment, and 30 times as much outside."""
        name, view = self.made(64 << 20)
        count = (64 << 20) // 8 - 1
        view[:] = word(28, count) + word(28, 0) * count
        agent = self.agent()
        memory = agent.memory()
        self.assertEqual(memory.open(name), OK)
        status = pathlib.Path(f"/proc/{agent.pid}/status").read_text(encoding="utf-8")
        lines = [line.split() for line in status.splitlines()]
        used = next(int(line[1]) * 1024 for line in lines if line[0] == "VmSize:")
        _soft, hard = resource.prlimit(agent.pid, resource.RLIMIT_AS)
        resource.prlimit(agent.pid, resource.RLIMIT_AS, (used + (512 << 20), hard))
        self.assertEqual(memory.decode_var_size(0), 64 << 20)
        self.assertIsNone(memory.decode_var(0))
        self.assertEqual(memory.get_last_error(), ERR_OUT_OF_MEMORY)
        view[:8] = word(28, 1)
        self.assertEqual(memory.decode_var(0), [[]])
