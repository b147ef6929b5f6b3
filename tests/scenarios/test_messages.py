"""Streams and queues of the native layout between two Godots, one of which may be killed at any moment.

SHM_TEST_ROUNDS sets how often each of them is killed.
"""

import os
import random
import re
import signal
import statistics
import textwrap
import time
import xml.etree.ElementTree as ElementTree

import pytest
from harness.constants import (
    ERR_ALREADY_IN_USE,
    ERR_CONNECTION_ERROR,
    ERR_DOES_NOT_EXIST,
    ERR_TIMEOUT,
    OK,
    OWNER_ALIVE,
    OWNER_DEAD,
)
from harness.effort import rounds
from harness.marks import linux_only
from harness.session import REPOSITORY

pytestmark = linux_only
ROUNDS = rounds(1)
SIZE = 65536

# Attaches an object, and keeps it for the next scripts.
ATTACH = """
func run(name, kind, size, how):
	var memory = SharedMemory.new()
	var object = ClassDB.instantiate(kind)
	var code = memory.create(name, 65536) if how == "create" else memory.open(name)
	if code == OK:
		code = object.attach(memory, 0, size)
	Engine.set_meta("held", object)
	return [code, object.get_last_error_message()]
"""
# Calls the object that is kept.
CALL = """
func run(method, arguments):
	var object = Engine.get_meta("held")
	return [object.callv(method, arguments), object.get_last_error()]
"""
FORGET = "func run(): Engine.remove_meta('held')"
# In a thread, as a game would.
IN_THREAD = """
func run(method, arguments):
	var object = Engine.get_meta("held")
	var thread = Thread.new()
	thread.start(object.callv.bind(method, arguments))
	var result = thread.wait_to_finish()
	return [result, object.get_last_error()]
"""

# The parts of a conversation. A message is its number, and as many times its last digit.
SEND = """
func run(count, timeout):
	var queue = Engine.get_meta("held")
	for number in count:
		var text = "%d:%s" % [number, str(number % 10).repeat(number % 100)]
		var code = queue.enqueue(text if number % 2 else text.to_utf8_buffer(), timeout)
		if code != OK:
			return [number, code]
	return [count, OK]
"""
RECEIVE = """
func run(count, timeout):
	var queue = Engine.get_meta("held")
	for number in count:
		var message = queue.dequeue(timeout)
		if message == null:
			return [number, queue.get_last_error()]
		var text = "%d:%s" % [number, str(number % 10).repeat(number % 100)]
		if message != (text if number % 2 else text.to_utf8_buffer()):
			return [number, message]
	return [count, OK]
"""


def attach(agent, name, kind, size, how):
    code, message = agent.run(ATTACH, name, kind, size, how)
    assert code == OK, message


@pytest.fixture
def two(agent, start_agent):
    """Returns a function that attaches an object in each of two Godots, which it returns."""

    def attach_both(name, kind, size):
        other = start_agent()
        attach(agent, name, kind, size, "create")
        attach(other, name, kind, 0, "open")
        return agent, other

    yield attach_both
    agent.run(FORGET)


def test_queue_between_two_godots_loses_nothing(two, name):
    producer, consumer = two(name, "SharedMemoryQueue", 4096)
    count = 20_000
    consumer.send("run", RECEIVE, [count, 10_000])
    assert producer.run(SEND, count, 10_000) == [count, OK]
    assert consumer.receive() == [count, OK]
    consumer.run(FORGET)


def test_roles_belong_to_one_program(two, name):
    first, second = two(name, "SharedMemoryQueue", 4096)
    assert first.run(CALL, "enqueue", ["a"]) == [OK, OK]
    assert second.run(CALL, "enqueue", ["b"]) == [ERR_ALREADY_IN_USE] * 2
    assert second.run(CALL, "dequeue", []) == ["a", OK]
    assert first.run(CALL, "dequeue", []) == [None, ERR_ALREADY_IN_USE]
    # A stopped program keeps its roles.
    os.kill(second.pid, signal.SIGSTOP)
    assert first.run(CALL, "wait", [100]) == [ERR_ALREADY_IN_USE] * 2
    os.kill(second.pid, signal.SIGCONT)
    second.run(FORGET)
    assert first.run(CALL, "dequeue", []) == [None, ERR_DOES_NOT_EXIST]


def test_stopped_writer_is_alive_and_grows_old(two, name):
    reader, writer = two(name, "SharedMemoryStream", 100)
    assert writer.run(CALL, "write", ["x"]) == [OK, OK]
    assert reader.run(CALL, "read", []) == ["x", OK]
    os.kill(writer.pid, signal.SIGSTOP)
    try:
        assert reader.run(CALL, "wait", [200]) == [ERR_TIMEOUT] * 2
        assert reader.run(CALL, "get_writer_state", [])[0] == OWNER_ALIVE
        assert reader.run(CALL, "get_age_usec", [])[0] >= 200_000
    finally:
        os.kill(writer.pid, signal.SIGCONT)
    writer.run(FORGET)


# The kind of each object, what a victim does in a loop, and what the survivor does until the victim is dead.
# It returns what went wrong, and more.
BEGIN = """
	printerr('##test## {"event": "answer", "value": "it begins"}')
	var number = 0
	while true:
		number += 1
"""
VICTIM = """
func run(tally):
	var object = Engine.get_meta("held")
	var count = SharedMemory.new()
	count.open(tally)
"""
STREAM = "SharedMemoryStream", 3000
QUEUE = "SharedMemoryQueue", 1024
PARTS = {
    "writer": (
        STREAM,
        "object.write(str(number % 10).repeat(number % 3000))",
        """
func run(_tally):
	var stream = Engine.get_meta("held")
	var last = 0
	while true:
		var code = stream.wait(5000)
		if code == ERR_CONNECTION_ERROR:
			break
		if code != OK:
			return ["wait", code]
		var text = stream.read()
		if text == null or text and text != text[0].repeat(text.length()):
			return ["read", text, stream.get_last_error_message()]
		if stream.get_sequence() <= last:
			return ["it went back"]
		last = stream.get_sequence()
	var state = stream.get_writer_state()
	# The newest message is there, and the next writer goes on.
	var text = stream.read()
	if not text is String or text and text != text[0].repeat(text.length()):
		return ["the last one", text]
	if stream.write("mine") != OK or stream.read() != "mine":
		return ["write", stream.get_last_error_message()]
	return ["", state]
""",
        ["", OWNER_DEAD],
    ),
    "reader": (
        STREAM,
        "object.read()",
        """
func run(_tally):
	var stream = Engine.get_meta("held")
	var until = Time.get_ticks_msec() + 150
	var number = 0
	var slowest = 0
	while Time.get_ticks_msec() < until:
		number += 1
		if stream.write(str(number % 10).repeat(number % 3000)) != OK:
			return ["write", stream.get_last_error_message()]
	# Its place is free again: a reset needs all roles.
	var code = stream.reset()
	if stream.write("mine") != OK or stream.read() != "mine":
		return ["after it", stream.get_last_error_message()]
	return ["", code]
""",
        ["", OK],
    ),
    "producer": (
        QUEUE,
        'object.enqueue("%d:%s" % [number, "x".repeat(number % 300)], 5000); OS.delay_usec(20)',
        """
func run(_tally):
	var queue = Engine.get_meta("held")
	var number = 0
	while true:
		var text = queue.dequeue(5000)
		if text == null:
			break
		number += 1
		if text != "%d:%s" % [number, "x".repeat(number % 300)]:
			return ["message", number, text]
	var code = queue.get_last_error()
	if queue.enqueue("mine") != OK or queue.dequeue() != "mine":
		return ["after it", queue.get_last_error_message()]
	return ["", code]
""",
        ["", ERR_CONNECTION_ERROR],
    ),
    "consumer": (
        QUEUE,
        "count.encode_u64(0, object.dequeue(5000).to_int()); OS.delay_usec(20)",
        """
func run(tally):
	var queue = Engine.get_meta("held")
	var count = SharedMemory.new()
	count.open(tally)
	var number = 0
	var code = OK
	while code == OK:
		number += 1
		code = queue.enqueue("%d:%s" % [number, "x".repeat(number % 300)], 5000)
	# It has died before or after it noted the last one.
	var got = count.decode_u64(0)
	var rest = queue.dequeue_all()
	var first = rest[0].to_int() if rest else 0
	if not first in [got + 1, got + 2]:
		return ["the first that is left", got, first]
	for text in rest:
		if text != "%d:%s" % [first, "x".repeat(first % 300)]:
			return ["message", first, text]
		first += 1
	return ["" if first == number else "lost", code]
""",
        ["", ERR_CONNECTION_ERROR],
    ),
}


@pytest.mark.timeout(60 + 4 * ROUNDS)
@pytest.mark.parametrize("owner", ["victim", "survivor"])
@pytest.mark.parametrize("part", PARTS)
def test_killed_program_costs_the_other_nothing(
    session, agent, start_agent, unique_name, note, part, owner
):
    chance = random.Random(f"{session.seed} {part} {owner}")
    kind, loop, survive, expected = PARTS[part]
    tally = agent.memory()
    took = []
    for _round in range(ROUNDS):
        name, tally_name = unique_name(), unique_name()
        assert tally.create(tally_name, 8) == OK
        victim = start_agent()
        first, second = (victim, agent) if owner == "victim" else (agent, victim)
        attach(first, name, *kind, "create")
        attach(second, name, *kind, "open")
        victim.send("run", f"{VICTIM}{BEGIN}\t\t{loop}\n", [tally_name])
        assert victim.receive() == "it begins"
        agent.send("run", survive, [tally_name])
        time.sleep(0.05 + chance.uniform(0, 0.05))
        assert victim.process.poll() is None, "it is in the middle of it"
        start = time.monotonic()
        victim.kill()
        assert agent.receive() == expected
        took.append(time.monotonic() - start)
        assert took[-1] < 1
        agent.run(FORGET)
        tally.close()
        # The name of a dead owner is free.
        again = agent.memory()
        assert again.create(name, 64) == OK
        again.close()
    note(f"{ROUNDS} killed; the survivor went on after {statistics.median(took):.3f} s")


@pytest.mark.parametrize("method", ["wait", "dequeue", "enqueue"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signal_ends_a_waiting_game_at_once(agent, start_agent, name, method, number):
    """Ctrl-C is SIGINT; the Stop button of the editor sends SIGKILL."""
    waiter = start_agent()
    attach(agent, name, "SharedMemoryQueue", 64, "create")
    attach(waiter, name, "SharedMemoryQueue", 0, "open")
    arguments = [60_000]
    if method == "enqueue":
        while waiter.run(CALL, "enqueue", ["x"])[0] == OK:
            pass
        arguments = ["x", 60_000]
    waiter.send("run", CALL, [method, arguments])
    time.sleep(0.3)
    assert waiter.process.poll() is None
    start = time.monotonic()
    os.kill(waiter.pid, number)
    assert waiter.process.wait(10) == -number
    assert time.monotonic() - start < 0.5
    waiter.kill()
    # The roles are free.
    expected = "x" if method == "enqueue" else None
    assert agent.run(CALL, "dequeue", [])[0] == expected
    agent.run(FORGET)


@pytest.mark.parametrize(
    ("kind", "method", "arguments"),
    [
        ("SharedMemoryStream", "wait", [3000]),
        ("SharedMemoryQueue", "wait", [3000]),
        ("SharedMemoryQueue", "dequeue", [3000]),
        ("SharedMemoryQueue", "enqueue", ["x", 3000]),
    ],
)
def test_wait_costs_no_processor_time(
    agent, start_agent, name, note, kind, method, arguments
):
    """The wait is in a thread, and the processor time is that of this thread."""
    waiter = start_agent()
    attach(agent, name, kind, 64, "create")
    attach(waiter, name, kind, 0, "open")
    if kind == "SharedMemoryStream":
        # A writer that lives, and has nothing new.
        agent.run(CALL, "write", ["x"])
        assert waiter.run(CALL, "read", []) == ["x", OK]
    while method == "enqueue" and waiter.run(CALL, "enqueue", ["x"])[0] == OK:
        pass

    def processor_times():
        found = {}
        for thread in os.listdir(f"/proc/{waiter.pid}/task"):
            with open(f"/proc/{waiter.pid}/task/{thread}/schedstat") as file:
                found[thread] = int(file.read().split()[0]) / 1e9
        return found

    before = processor_times()
    waiter.send("run", IN_THREAD, [method, arguments])
    time.sleep(0.5)
    begun = processor_times()
    (thread,) = set(begun) - set(before)
    time.sleep(2)
    cost = (processor_times()[thread] - begun[thread]) / 2
    assert waiter.receive()[0] in (ERR_TIMEOUT, None)
    note(f"{100 * cost:.2f} % of a processor")
    assert cost < 0.005
    for one in (waiter, agent):
        one.run(FORGET)


EXAMPLE = re.compile(r"\[codeblock\]\n(\s*extends .*?)\[/codeblock\]", re.DOTALL)
# Runs an example of the help as a node, for as many frames.
RUN_EXAMPLE = """
func run(source, frames):
	var script = GDScript.new()
	script.source_code = source
	if script.reload() != OK:
		return "it does not compile"
	var node = script.new()
	Engine.set_meta("example", node)
	if node.has_method("_ready"):
		node._ready()
	var got = []
	if "stream" in node:
		node.stream.message_received.connect(got.append)
	elif "queue" in node:
		node.queue.message_received.connect(got.append)
	for _frame in frames:
		if node.has_method("_process"):
			node._process(0.016)
		OS.delay_msec(2)
	return got
"""
END_EXAMPLE = """
func run():
	Engine.get_meta("example").free()
	Engine.remove_meta("example")
"""


@pytest.mark.parametrize("starts_first", ["sender", "receiver"])
@pytest.mark.parametrize("kind", ["SharedMemoryStream", "SharedMemoryQueue"])
def test_examples_of_the_help_talk(agent, start_agent, name, kind, starts_first):
    page = ElementTree.parse(REPOSITORY / f"rust/addon/doc_classes/{kind}.xml")
    sender, receiver = (
        re.sub('"(status|events)"', f'"{name}"', textwrap.dedent(example))
        for example in EXAMPLE.findall(page.getroot().findtext("description"))
    )
    other = start_agent()
    if starts_first == "receiver":
        assert other.run(RUN_EXAMPLE, receiver, 3) == []
        other.run(END_EXAMPLE)
    assert agent.run(RUN_EXAMPLE, sender, 3) == []
    got = other.run(RUN_EXAMPLE, receiver, 3)
    assert got == (["start"] if kind == "SharedMemoryQueue" else [got[0]])
    assert got == ["start"] or got[0].startswith("frame ")
    agent.run(END_EXAMPLE)
    assert agent.run(RUN_EXAMPLE, sender, 3) == []
    for one in (agent, other):
        one.run(END_EXAMPLE)


PICTURE_EXAMPLE = re.compile(
    r"\[codeblock\]\n(\s*extends TextureRect\n.*?)\[/codeblock\]", re.DOTALL
)
# Makes the memory of an example, but no stream in it.
MAKE_MEMORY = """
func run(name):
	var memory = SharedMemory.new()
	var code = memory.create(name, 65536)
	Engine.set_meta("held", memory)
	return code
"""
WRITE_PICTURE = """
func run(width, height):
	var stream = SharedMemoryStream.new()
	var memory = Engine.get_meta("held")
	var code = stream.attach(memory)
	Engine.set_meta("held", [memory, stream])
	return [code, stream.write(Image.create_empty(width, height, false, Image.FORMAT_RGB8))]
"""
RUN_PICTURE_EXAMPLE = """
func run(source, frames):
	var node = Engine.get_meta("example") if Engine.has_meta("example") else null
	if not node:
		var script = GDScript.new()
		script.source_code = source
		if script.reload() != OK:
			return "it does not compile"
		node = script.new()
		node._ready()
		Engine.set_meta("example", node)
	for _frame in frames:
		# The stream looks at its name every 100 ms.
		OS.delay_msec(60)
		node._process(0.06)
	return [node.texture.get_width(), node.texture.get_height()] if node.texture else null
"""


def test_picture_example_of_the_help_waits_for_the_stream(agent, start_agent, name):
    page = ElementTree.parse(
        REPOSITORY / "rust/addon/doc_classes/SharedMemoryStream.xml"
    )
    texts = [description.text or "" for description in page.iter("description")]
    (example,) = [
        example for text in texts for example in PICTURE_EXAMPLE.findall(text)
    ]
    source = textwrap.dedent(example).replace('"camera"', f'"{name}"')
    other = start_agent()
    # Neither memory nor stream, then memory without a stream. Nothing is printed.
    assert other.run(RUN_PICTURE_EXAMPLE, source, 3) is None
    assert agent.run(MAKE_MEMORY, name) == OK
    assert other.run(RUN_PICTURE_EXAMPLE, source, 3) is None
    assert agent.run(WRITE_PICTURE, 4, 3) == [OK, OK]
    assert other.run(RUN_PICTURE_EXAMPLE, source, 3) == [4, 3]
    agent.run(FORGET)
    other.run(END_EXAMPLE)
