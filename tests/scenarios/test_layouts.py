"""Streams, queues and arrays, with another Godot and with a partner in Python that shares nothing with it."""

import importlib.util
import mmap
import pathlib
import random
import struct
import time
import unittest

from harness.effort import rounds
from harness.scenario import (
    ERR_BUSY,
    ERR_DOES_NOT_EXIST,
    ERR_INVALID_DATA,
    ERR_TIMEOUT,
    OK,
    Scenario,
)
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
                self.assertEqual(answers, [5, 10, 3, b"first", b"", b"0123456789", OK])
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


# What somebody is killed in the middle of, and what he had attached.
OPERATIONS = {
    "write": ("SharedMemoryStream", [3], 'object.write("x".repeat(500))'),
    "read": ("SharedMemoryStream", [3], 'object.write("y"); object.read()'),
    "enqueue": (
        "SharedMemoryQueue",
        [3, 100],
        "object.enqueue(data); object.dequeue() if object.is_full() else null",
    ),
    "dequeue": (
        "SharedMemoryQueue",
        [3, 100],
        "object.enqueue(data); object.dequeue()",
    ),
    "poll": ("SharedMemoryQueue", [3, 100], "object.enqueue(data); object.poll()"),
    "set_element": ("SharedMemoryArray", ["<q"], "object.set_element(3, 7)"),
    "to_array": ("SharedMemoryArray", ["<q"], "object.to_array()"),
    "attach": (
        "SharedMemoryQueue",
        [3, 100],
        "memory.fill(0); object.attach(memory, 3, 100)",
    ),
    "reset": ("SharedMemoryQueue", [3, 100], "object.enqueue(data); object.reset()"),
}
VICTIM = """
func run(kind, name, size, attach):
    var memory = SharedMemory.new()
    var object = ClassDB.instantiate(kind)
    var data = PackedByteArray([1, 2, 3])
    memory.create(name, size) if size else memory.open(name)
    object.callv("attach", [memory] + attach)
    printerr('##test## {"event": "answer", "value": "it begins"}')
    while true:
        OPERATION
"""
OWNER = """
func run(kind, name, attach):
    var memory = SharedMemory.new()
    Engine.set_meta("memory", memory)
    memory.create(name, 4096)
    return ClassDB.instantiate(kind).callv("attach", [memory] + attach)
"""
# Goes on where the other was, in at most the time that a lock is waited for; then puts it right.
SURVIVE = """
func run(kind, name, attach):
    var memory = SharedMemory.new()
    var object = ClassDB.instantiate(kind)
    var codes = [memory.open(name)]
    codes.append(object.callv("attach", [memory] + attach))
    var calls = {
        "SharedMemoryStream": [["read"], ["write", "z"], ["read"], ["poll"]],
        "SharedMemoryQueue": [["dequeue"], ["enqueue", PackedByteArray([9])], ["poll"]],
        "SharedMemoryArray": [["set_element", 3, 5], ["get_element", 3]],
    }[kind]
    var after = []
    if codes[1] == OK:
        for call in calls:
            object.callv(call[0], call.slice(1))
            codes.append(object.get_last_error())
        after.append(object.reset())
        for call in calls.slice(1):
            object.callv(call[0], call.slice(1))
            after.append(object.get_last_error())
    if Engine.has_meta("memory"):
        Engine.get_meta("memory").close()
        Engine.remove_meta("memory")
    return [codes, after]
"""


@unittest.skipUnless(
    SHARED.is_dir(), "needs segments that stay when their owner is killed"
)
class Killed(Scenario):
    """SHM_TEST_ROUNDS sets how often each of them is killed."""

    rounds = rounds(1)
    time_limit = 60 + 20 * rounds

    def check(self, owner_is_killed):
        chance = random.Random(self.session.seed)
        survivor = self.agent()
        for operation, (kind, attach, source) in OPERATIONS.items():
            for number in range(self.rounds):
                with self.subTest(operation, round=number):
                    name = self.name()
                    path = pathlib.Path(self.file(name))
                    self.addCleanup(path.unlink, missing_ok=True)
                    if not owner_is_killed:
                        self.assertEqual(survivor.run(OWNER, kind, name, attach), OK)
                    victim = self.agent()
                    source_of_victim = VICTIM.replace("OPERATION", source)
                    size = 4096 if owner_is_killed else 0
                    victim.send("run", source_of_victim, [kind, name, size, attach])
                    self.assertEqual(victim.receive(), "it begins")
                    time.sleep(chance.uniform(0, 0.02))
                    victim.kill()
                    start = time.monotonic()
                    codes, after = survivor.run(SURVIVE, kind, name, attach)
                    self.assertLess(time.monotonic() - start, 5, "it waits no longer")
                    self.assertEqual(codes[0], OK)
                    allowed = [OK, ERR_TIMEOUT, ERR_DOES_NOT_EXIST, ERR_BUSY]
                    if operation == "attach":
                        # Half of a header.
                        allowed.append(ERR_INVALID_DATA)
                    self.assertEqual([c for c in codes if c not in allowed], [])
                    self.assertEqual([c for c in after if c != OK], [])
                    memory = survivor.memory()
                    if path.exists():
                        self.assertEqual(memory.create(name, 64), OK, "reclaimed")
                        memory.close()
        self.note(f"seed {self.session.seed}")

    def test_the_one_who_made_it(self):
        self.check(owner_is_killed=True)

    def test_one_who_opened_it(self):
        self.check(owner_is_killed=False)
