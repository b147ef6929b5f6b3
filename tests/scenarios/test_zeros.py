"""Streams, queues and arrays in memory of Python, or of a Godot that was killed before it attached."""

import random
import struct

import pytest
from harness.constants import (
    ERR_BUSY,
    ERR_INVALID_DATA,
    ERR_INVALID_PARAMETER,
    OK,
)
from harness.constants import LAYOUT_LSM_V1 as V1
from harness.constants import LAYOUT_LSM_V2 as V2
from harness.effort import rounds
from harness.marks import segments_are_files
from harness.session import file_of

pytestmark = segments_are_files

ROUNDS = rounds(5)
SIZE = 4096
HEADERS = {V1: 20, V2: 28}

# Attaches as soon as the first byte of the other memory changes, so that all begin at once.
RACE = """
func run(name, kind, attach):
    var memory = SharedMemory.new()
    memory.open(name)
    var start = SharedMemory.new()
    start.open(name + "-start")
    var object = ClassDB.instantiate(kind)
    printerr('##test## {"event": "answer", "value": "ready"}')
    while start.decode_u8(0) == 0:
        pass
    var code = object.callv("attach", [memory] + attach)
    return [code, object.get_last_error_message()]
"""
CALLS = """
func run(name, kind, attach, calls):
    var memory = SharedMemory.new()
    memory.open(name)
    var object = ClassDB.instantiate(kind)
    var answers = [object.callv("attach", [memory] + attach)]
    for call in calls:
        var result = object.callv(call[0], call.slice(1))
        answers.append(object.get_last_error() if result == null else result)
    return answers
"""
CREATE_ONLY = """
func run(name, size):
    var memory = SharedMemory.new()
    memory.persistent = true
    Engine.set_meta("held", memory)
    return memory.create(name, size)
"""


def put(file, data):
    """Writes to a segment, whose size stays as it is."""
    with file.open("r+b") as view:
        view.write(data)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("count", [2, 8])
def test_exactly_one_of_several_lays_out_zeros_of_python(
    start_agent, unique_name, make_foreign, count
):
    agents = [start_agent() for _ in range(count)]
    for layout in (V1, V2, "array"):
        for _round in range(ROUNDS):
            name = unique_name()
            file = make_foreign(name, bytes(SIZE))
            start = make_foreign(name + "-start", bytes(1))
            wishes = [10 + 7 * number for number in range(count)]
            for agent, wish in zip(agents, wishes, strict=True):
                if layout == "array":
                    arguments = [name, "SharedMemoryArray", [f"{wish}s"]]
                else:
                    arguments = [name, "SharedMemoryQueue", [layout, wish]]
                agent.send("run", RACE, arguments)
                assert agent.receive() == "ready"
            put(start, b"\1")
            answers = [agent.receive() for agent in agents]
            if layout == "array":
                total, elements = struct.unpack_from("<QQ", file.read_bytes())
                assert elements in [(SIZE - 16) // wish for wish in wishes], answers
                assert 16 < total <= SIZE, answers
                fitting = [16 + elements * wish <= SIZE for wish in wishes]
                expected = [OK if fits else ERR_INVALID_DATA for fits in fitting]
            else:
                header = struct.unpack_from("<5I", file.read_bytes())
                longest = header[4]
                assert longest in wishes, answers
                capacity = (SIZE - HEADERS[layout]) // (4 + longest)
                assert header == (0, 0, capacity, 0, longest), answers
                expected = [
                    OK if wish <= longest else ERR_INVALID_PARAMETER for wish in wishes
                ]
            assert [code for code, _message in answers] == expected, answers


@pytest.mark.parametrize(
    ("kind", "attach", "calls", "expected"),
    [
        ("SharedMemoryStream", [V1], [["write", "x"], ["read"]], [OK, OK, "x"]),
        ("SharedMemoryStream", [V2], [["write", "x"], ["read"]], [OK, OK, "x"]),
        (
            "SharedMemoryQueue",
            [V2, 100],
            [["enqueue", b"x"], ["dequeue"]],
            [OK, OK, b"x"],
        ),
        (
            "SharedMemoryArray",
            ["<q"],
            [["set_element", 3, 7], ["get_element", 3]],
            [OK, OK, 7],
        ),
    ],
    ids=["stream_v1", "stream_v2", "queue", "array"],
)
def test_memory_of_creator_killed_before_attach_is_usable(
    agent, start_agent, name, cleanup, kind, attach, calls, expected
):
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    creator = start_agent()
    assert creator.run(CREATE_ONLY, name, SIZE) == OK
    creator.kill()
    assert agent.run(CALLS, name, kind, attach, calls) == expected
    # And the next one finds what is there.
    assert agent.run(CALLS, name, kind, attach, []) == [OK]


def test_queue_without_size_waits_for_another_program(agent, name, make_foreign):
    file = make_foreign(name, bytes(SIZE))
    assert agent.run(CALLS, name, "SharedMemoryQueue", [V2], []) == [ERR_BUSY]
    assert file.read_bytes() == bytes(SIZE)
    put(file, struct.pack("<7I", 0, 0, 10, 0, 50, 0, 0))
    calls = [["get_capacity"], ["get_max_message_size"]]
    answers = agent.run(CALLS, name, "SharedMemoryQueue", [V2], calls)
    assert answers == [OK, 10, 50]


@pytest.mark.parametrize("content", ["noise", "grey", "gradient", "black_rows"])
def test_pixels_of_python_are_refused_and_stay(
    session, agent, name, make_foreign, content
):
    pixels = {
        "noise": b"\x66" + random.Random(session.seed).randbytes(SIZE - 1),
        "grey": b"\x80" * SIZE,
        "gradient": bytes(at // 16 % 256 or 0x66 for at in range(SIZE)),
        "black_rows": bytes(SIZE // 2) + b"\xff" * (SIZE // 2),
    }[content]
    file = make_foreign(name, pixels)
    streams = [] if content == "black_rows" else [["SharedMemoryStream", [V2]]]
    for kind, attach in [
        *streams,
        ["SharedMemoryQueue", [V1, 100]],
        ["SharedMemoryQueue", [V2, 100]],
        ["SharedMemoryArray", ["<q"]],
    ]:
        assert agent.run(CALLS, name, kind, attach, []) == [ERR_INVALID_DATA], kind
        assert file.read_bytes() == pixels, kind
