"""Streams, queues and arrays, with another Godot and with a partner in Python that shares nothing with it."""

import importlib.util
import mmap
import random
import struct
import time

import pytest
from harness.constants import (
    ERR_BUSY,
    ERR_DOES_NOT_EXIST,
    ERR_INVALID_DATA,
    ERR_TIMEOUT,
    OK,
)
from harness.effort import rounds
from harness.marks import segments_are_files
from harness.session import REPOSITORY, file_of

pytestmark = segments_are_files

# Written from the formats of other programs. The tests of the segment crate use it, too.
PARTNER = REPOSITORY / "rust/segment/tests/partner/libsharedmemory.py"
SPECIFICATION = importlib.util.spec_from_file_location("partner", PARTNER)
partner = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(partner)

ROUNDS = rounds(1)
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

# Both sides run at once, at their own speed.
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
MAKE_QUEUE = """
func run(name):
    var memory = SharedMemory.new()
    memory.create(name, 4096)
    memory.persistent = true
    return SharedMemoryQueue.new().attach(memory, SharedMemoryQueue.LAYOUT_LSM_V2, 20)
"""


@pytest.fixture
def taken(name, cleanup):
    """Returns a name whose segment goes with the test, whichever program makes it."""
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    return name


@pytest.fixture
def mapped(cleanup):
    """Maps the segment of a name."""

    def map_it(name):
        with open(file_of(name), "r+b") as file:
            view = mmap.mmap(file.fileno(), 0)
        cleanup.callback(view.close)
        return view

    return map_it


@pytest.fixture
def called(start_agent):
    """Calls methods in a Godot of its own, and returns their results."""

    def call(kind, name, attach, *calls, size=0):
        return start_agent().run(CALLS, kind, name, size, attach, list(calls))

    return call


@pytest.mark.parametrize("version", STREAMS)
@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [("string", "Grüße".encode(), "Grüße"), ("bytes", b"\0\xff\1", b"\0\xff\1")],
    ids=["string", "bytes"],
)
def test_godot_reads_stream_of_python(
    name, make_foreign, mapped, called, version, kind, data, expected
):
    make_foreign(name, bytes(64))
    view = mapped(name)
    partner.stream_write(view, version, kind, data)
    calls = ["has_new_data"], ["read"], ["mark_as_read"]
    answers = called("SharedMemoryStream", name, [STREAMS[version]], *calls)
    assert answers == [True, expected, OK]
    if version != "v0":
        assert partner.stream_is_read(view, version)


@pytest.mark.parametrize("version", STREAMS)
def test_python_reads_stream_of_godot(taken, mapped, called, version):
    attach = "SharedMemoryStream", taken, [STREAMS[version]]
    assert called(*attach, ["write", "Grüße"], size=64) == [OK]
    view = mapped(taken)
    assert partner.stream_read(view, version) == ("string", "Grüße".encode())
    if version != "v0":
        assert not partner.stream_is_read(view, version)
        partner.stream_mark(view, version)
        assert called(*attach, ["is_message_read"]) == [True]


@pytest.mark.parametrize("version", QUEUES)
def test_godot_uses_queue_of_python(name, make_foreign, mapped, called, version):
    make_foreign(name, bytes(200))
    view = mapped(name)
    partner.queue_create(view, version, 5, 10)
    for message in (b"first", b"", b"0123456789"):
        partner.enqueue(view, version, message)
    answers = called(
        "SharedMemoryQueue",
        name,
        [QUEUES[version]],
        ["get_capacity"],
        ["get_max_message_size"],
        ["get_message_count"],
        ["dequeue"],
        ["dequeue"],
        ["peek"],
        ["enqueue", b"back"],
    )
    assert answers == [5, 10, 3, b"first", b"", b"0123456789", OK]
    assert partner.dequeue(view, version) == b"0123456789"
    assert partner.dequeue(view, version) == b"back"


@pytest.mark.parametrize("version", QUEUES)
def test_python_uses_queue_of_godot(taken, mapped, called, version):
    size = partner.QUEUE_HEADER[version] + 3 * 14
    attach = "SharedMemoryQueue", taken, [QUEUES[version], 10]
    calls = ["enqueue", b"one"], ["enqueue", b"two"]
    assert called(*attach, *calls, size=size) == [OK, OK]
    view = mapped(taken)
    assert struct.unpack_from("<5I", view) == (2, 0, 3, 2, 10)
    assert partner.dequeue(view, version) == b"one"
    partner.enqueue(view, version, b"three")
    attach = "SharedMemoryQueue", taken, [QUEUES[version]]
    assert called(*attach, ["dequeue"], ["dequeue"]) == [b"two", b"three"]


def test_godot_uses_array_of_python(name, make_foreign, mapped, called):
    make_foreign(name, bytes(16 + 3 * 16))
    view = mapped(name)
    partner.array_create(view, 64, 3)
    view[partner.array_element(1, 16)] = struct.pack("<i4xd", 42, 6.5)
    calls = ["get_element_count"], ["get_element", 1], ["set_element", 2, [-1, 0.25]]
    answers = called("SharedMemoryArray", name, ["@id"], *calls)
    assert answers == [3, [42, 6.5], OK]
    assert struct.unpack("<i4xd", view[partner.array_element(2, 16)]) == (-1, 0.25)


def test_python_reads_array_of_godot(taken, mapped, called):
    called("SharedMemoryArray", taken, ["<h"], ["fill", -7], size=16 + 10)
    assert struct.unpack("<QQ5h", mapped(taken)) == (26, 5, -7, -7, -7, -7, -7)


def test_two_godots_share_a_queue(start_agent, taken):
    owner, consumer = start_agent(), start_agent()
    assert owner.run(MAKE_QUEUE, taken) == OK
    count = 20_000
    for agent, source in ((owner, PRODUCE), (consumer, CONSUME)):
        agent.send("run", source, [taken, count])
    assert owner.receive() == count
    assert consumer.receive() == count


# The operation in which a process is killed, and what it had attached.
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
# Goes on after the other, and waits for its lock at most as long as a call may. Then resets the layout.
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


@pytest.mark.timeout(60 + 4 * ROUNDS)
@pytest.mark.parametrize("killed", ["owner", "opener"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_process_leaves_layout_usable(
    session, agent, start_agent, unique_name, cleanup, operation, killed
):
    # SHM_TEST_ROUNDS sets how often each of them is killed.
    chance = random.Random(f"{session.seed} {operation}")
    kind, attach, source = OPERATIONS[operation]
    for _round in range(ROUNDS):
        name = unique_name()
        path = file_of(name)
        cleanup.callback(path.unlink, missing_ok=True)
        if killed == "opener":
            assert agent.run(OWNER, kind, name, attach) == OK
        victim = start_agent()
        source_of_victim = VICTIM.replace("OPERATION", source)
        size = 4096 if killed == "owner" else 0
        victim.send("run", source_of_victim, [kind, name, size, attach])
        assert victim.receive() == "it begins"
        time.sleep(chance.uniform(0, 0.02))
        victim.kill()
        start = time.monotonic()
        codes, after = agent.run(SURVIVE, kind, name, attach)
        assert time.monotonic() - start < 5, "it waits no longer"
        assert codes[0] == OK
        allowed = [OK, ERR_TIMEOUT, ERR_DOES_NOT_EXIST, ERR_BUSY]
        if operation == "attach":
            # Half of a header.
            allowed.append(ERR_INVALID_DATA)
        assert [code for code in codes if code not in allowed] == []
        assert [code for code in after if code != OK] == []
        memory = agent.memory()
        if path.exists():
            assert memory.create(name, 64) == OK, "reclaimed"
            memory.close()
