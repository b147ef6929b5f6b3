"""Streams, queues and arrays, with a partner in Python that shares nothing with the addon, and with another Godot."""

import importlib.util
import mmap
import pathlib
import struct
import unittest

from harness.scenario import OK, Scenario
from harness.session import REPOSITORY, SHARED

# Written from what the formats look like in other programs; the tests of the segment crate use it, too.
PARTNER = REPOSITORY / "rust/segment/tests/partner/lsm.py"
SPECIFICATION = importlib.util.spec_from_file_location("lsm", PARTNER)
lsm = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(lsm)

STREAMS = {"v0": 1, "v1": 2, "v2": 3}
QUEUES = {"v1": 2, "v2": 3}

# In the other process: attaches to the memory of that name, and calls methods of what was attached.
CALLS = """
func run(kind, name, size, attach, calls):
    var memory = SharedMemory.new()
    var code = memory.create(name, size) if size else memory.open(name)
    if code != OK:
        return memory.get_last_error_message()
    memory.persistent = true
    var object = ClassDB.instantiate(kind)
    code = object.callv("attach", [memory] + attach)
    if code != OK:
        return object.get_last_error_message()
    var answers = []
    for call in calls:
        answers.append(object.callv(call[0], call.slice(1)))
    return answers
"""

# Both sides at once, whichever is faster.
PRODUCE = """
func run(name, count):
    var memory = SharedMemory.new()
    memory.open(name)
    var queue = SharedMemoryQueue.new()
    queue.attach(memory, SharedMemoryQueue.LAYOUT_LSM_V2)
    queue.lock_timeout_msec = 1000
    for number in count:
        var data = var_to_str(number).to_utf8_buffer()
        while true:
            var code = queue.enqueue(data)
            if code == OK:
                break
            if code != ERR_BUSY:
                return queue.get_last_error_message()
    return count
"""
CONSUME = """
func run(name, count):
    var memory = SharedMemory.new()
    memory.open(name)
    var queue = SharedMemoryQueue.new()
    queue.attach(memory, SharedMemoryQueue.LAYOUT_LSM_V2)
    queue.lock_timeout_msec = 1000
    var got = []
    queue.message_received.connect(func(data): got.append(data.get_string_from_utf8()))
    while got.size() < count:
        if queue.poll() != OK:
            return queue.get_last_error_message()
    for number in count:
        if got[number] != str(number):
            return "%s instead of %d" % [got[number], number]
    return got.size()
"""


@unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
class Layouts(Scenario):
    def taken(self):
        """A name whose segment goes with the test, whoever makes it."""
        name = self.name()
        self.addCleanup(pathlib.Path(self.file(name)).unlink, missing_ok=True)
        return name

    def made(self, size):
        """A segment of zeros, and its bytes: what any program would make."""
        name = self.taken()
        with open(self.file(name), "xb") as file:
            file.truncate(size)
        return name, self.mapped(name)

    def mapped(self, name):
        with open(self.file(name), "r+b") as file:
            view = mmap.mmap(file.fileno(), 0)
        self.addCleanup(view.close)
        return view

    def called(self, kind, name, attach, *calls, size=0):
        return self.agent().run(CALLS, kind, name, size, attach, list(calls))

    def test_python_writes_godot_reads(self):
        values = [
            ("string", "Grüße".encode(), "Grüße"),
            ("bytes", b"\0\xff\1", b"\0\xff\1"),
        ]
        for version, layout in STREAMS.items():
            for kind, data, expected in values:
                with self.subTest(version=version, kind=kind):
                    name, view = self.made(64)
                    lsm.stream_write(view, version, kind, data)
                    answers = self.called(
                        "SharedMemoryStream",
                        name,
                        [layout],
                        ["has_new_data"],
                        ["read"],
                        ["mark_as_read"],
                    )
                    self.assertEqual(answers, [True, expected, OK])
                    if version != "v0":
                        self.assertTrue(lsm.stream_is_read(view, version))

    def test_godot_writes_python_reads(self):
        for version, layout in STREAMS.items():
            with self.subTest(version=version):
                name = self.taken()
                answers = self.called(
                    "SharedMemoryStream", name, [layout], ["write", "Grüße"], size=64
                )
                self.assertEqual(answers, [OK])
                view = self.mapped(name)
                self.assertEqual(
                    lsm.stream_read(view, version), ("string", "Grüße".encode())
                )
                if version != "v0":
                    self.assertFalse(lsm.stream_is_read(view, version))
                    lsm.stream_mark(view, version)
                    self.assertEqual(
                        self.called(
                            "SharedMemoryStream", name, [layout], ["is_message_read"]
                        ),
                        [True],
                    )

    def test_python_enqueues_godot_dequeues(self):
        for version, layout in QUEUES.items():
            with self.subTest(version=version):
                name, view = self.made(200)
                lsm.queue_create(view, version, 5, 10)
                for message in (b"first", b"", b"0123456789"):
                    lsm.enqueue(view, version, message)
                answers = self.called(
                    "SharedMemoryQueue",
                    name,
                    [layout],
                    ["get_capacity"],
                    ["get_max_message_size"],
                    ["get_message_count"],
                    ["dequeue"],
                    ["dequeue"],
                    ["peek"],
                    ["enqueue", b"back"],
                )
                self.assertEqual(
                    answers, [5, 10, 3, b"first", b"", b"0123456789", OK]
                )
                self.assertEqual(lsm.dequeue(view, version), b"0123456789")
                self.assertEqual(lsm.dequeue(view, version), b"back")

    def test_godot_makes_a_queue_python_uses_it(self):
        for version, layout in QUEUES.items():
            with self.subTest(version=version):
                name = self.taken()
                answers = self.called(
                    "SharedMemoryQueue",
                    name,
                    [layout, 10],
                    ["enqueue", b"one"],
                    ["enqueue", b"two"],
                    size=lsm.QUEUE_HEADER[version] + 3 * 14,
                )
                self.assertEqual(answers, [OK, OK])
                view = self.mapped(name)
                self.assertEqual(struct.unpack_from("<5I", view), (2, 0, 3, 2, 10))
                self.assertEqual(lsm.dequeue(view, version), b"one")
                lsm.enqueue(view, version, b"three")
                self.assertEqual(
                    self.called(
                        "SharedMemoryQueue", name, [layout], ["dequeue"], ["dequeue"]
                    ),
                    [b"two", b"three"],
                )

    def test_arrays_both_ways(self):
        name, view = self.made(16 + 3 * 16)
        lsm.array_create(view, 64, 3)
        view[lsm.array_element(1, 16)] = struct.pack("<i4xd", 42, 6.5)
        answers = self.called(
            "SharedMemoryArray",
            name,
            ["@id"],
            ["get_element_count"],
            ["get_element", 1],
            ["set_element", 2, [-1, 0.25]],
        )
        self.assertEqual(answers, [3, [42, 6.5], OK])
        self.assertEqual(
            struct.unpack("<i4xd", view[lsm.array_element(2, 16)]), (-1, 0.25)
        )
        # And one that Godot makes.
        name = self.taken()
        self.called("SharedMemoryArray", name, ["<h"], ["fill", -7], size=16 + 10)
        view = self.mapped(name)
        self.assertEqual(struct.unpack("<QQ5h", view), (26, 5, -7, -7, -7, -7, -7))

    def test_two_godots_share_a_queue(self):
        owner = self.agent()
        name = self.taken()
        made = """
func run(name):
    var memory = SharedMemory.new()
    memory.create(name, 4096)
    memory.persistent = true
    return SharedMemoryQueue.new().attach(memory, SharedMemoryQueue.LAYOUT_LSM_V2, 20)
"""
        self.assertEqual(owner.run(made, name), OK)
        consumer = self.agent()
        count = 20_000
        for agent, source in ((owner, PRODUCE), (consumer, CONSUME)):
            agent.send("run", source, [name, count])
        self.assertEqual(owner.receive(), count)
        self.assertEqual(consumer.receive(), count)
