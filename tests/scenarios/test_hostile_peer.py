"""A peer that takes the memory away, or the name, while four threads of a Godot work with it.

The peer is this process. SHM_TEST_ROUNDS sets how often it does so.
"""

import mmap
import os
import random
import struct
import time

import pytest
from harness.constants import OK, STATUS_OPEN
from harness.effort import rounds
from harness.marks import linux_only
from harness.session import file_of

ROUNDS = rounds(300)
pytestmark = [linux_only, pytest.mark.timeout(120 + ROUNDS // 10)]
TIME_LIMIT = 10
PAGE = mmap.PAGESIZE
SIZE = 64 * PAGE
# The byte that is everywhere, and the one that is in what replaces it.
OLD, NEW = b"\x55", b"\xaa"
# A cut that leaves a part of a page looks like zeros for some milliseconds: see the class's description.
WHOLE_PAGES, ANY_SIZE = 1, 0

# Godot's side: in each round, four threads do nothing but copy. A segment has four numbers: rounds that
# Godot has begun, rounds that the peer has prepared, the strictness of this round, and rounds done.
GODOT = """
const OLD = 0x55
const CODES = [ERR_FILE_CORRUPT, ERR_UNCONFIGURED]
var control = SharedMemory.new()
var old = PackedByteArray()
var copies = [0, 0, 0, 0]

func run(names, control_name, size, what):
	if control.open(control_name) != OK:
		return control.get_last_error_message()
	old.resize(size)
	old.fill(OLD)
	var problems = []
	for number in names.size():
		while control.decode_u32(4) <= number:
			OS.delay_usec(20)
		# On one object in every other round.
		var shared = SharedMemory.new() if number % 2 else null
		var threads = []
		var objects = []
		for kind in 4:
			var memory = shared if shared else SharedMemory.new()
			if not memory.is_open():
				var code = memory.open_or_create(names[number], size)
				if memory.get_status() == SharedMemory.STATUS_CREATED:
					code = memory.fill(OLD)
				if code != OK:
					problems.append(memory.get_last_error_message())
			objects.append(memory)
			threads.append(Thread.new())
			threads[kind].start(call(what, memory, kind, number))
		control.encode_u32(0, number + 1)
		for kind in 4:
			var problem = threads[kind].wait_to_finish()
			if problem:
				problems.append([names[number], kind, problem])
			elif what == "until_refused" and objects[kind].get_status() != SharedMemory.STATUS_ERROR:
				problems.append([names[number], kind, "status", objects[kind].get_status()])
			elif what == "until_done" and objects[kind].is_current():
				problems.append([names[number], kind, "it does not notice"])
		if problems.size() > 5:
			break
		for memory in objects:
			memory.close()
	return [problems, copies.min()]

func copy(memory, kind, buffer, is_strict):
	match kind:
		0:
			# Another thread's error may stand there; a failure is told by the array.
			var data = memory.read()
			if data.is_empty():
				return memory.get_last_error()
			return FAILED if is_strict and data != old else OK
		1:
			var code = memory.read_into(buffer)
			return FAILED if code == OK and is_strict and buffer != old else code
		2:
			return memory.write(old)
	return memory.fill(OLD)

func until_refused(memory, kind, number):
	# Before the thread starts: by the time it runs, the peer may be at the next round.
	var is_strict = control.decode_u32(8) == 1
	return func():
		var is_shared = number % 2 == 1
		var buffer = old.duplicate()
		while true:
			var is_over = control.decode_u32(12) > number
			var code = copy(memory, kind, buffer, is_strict)
			copies[kind] += 1
			if code == FAILED:
				return "OK, with bytes that were never there"
			if code != OK:
				return "" if code == ERR_FILE_CORRUPT or is_shared and code in CODES else error_string(code)
			if is_over:
				# The kernel's coarse clock may take some milliseconds to tick.
				OS.delay_msec(25)
				code = copy(memory, kind, buffer, is_strict)
				if code == OK or not (code == ERR_FILE_CORRUPT or is_shared and code in CODES):
					return "after it was cut: " + error_string(code)
				return ""

func until_done(memory, kind, number):
	return func():
		var buffer = old.duplicate()
		var more = 3
		while more > 0:
			if control.decode_u32(12) > number:
				more -= 1
			var code = copy(memory, kind, buffer, true)
			copies[kind] += 1
			if code != OK:
				return error_string(code)
		return ""
"""


@pytest.fixture
def disturb(unique_name, make_foreign, agent, note, session):
    """Lets the peer act at a random moment of each round, while Godot does `what`; returns the names."""

    def run_rounds(what, prepare, act):
        chance = random.Random(session.seed)
        names = [unique_name() for _round in range(ROUNDS)]
        control_name = unique_name()
        path = make_foreign(control_name, bytes(16))
        agent.allow_errors("SharedMemory.")
        agent.send("run", GODOT, [names, control_name, SIZE, what])
        with open(path, "r+b") as file:
            control = mmap.mmap(file.fileno(), 16)
        for number, name in enumerate(names):
            strict, size = prepare(number, name, chance)
            control[8:12] = struct.pack("<I", strict)
            control[4:8] = struct.pack("<I", number + 1)
            until = time.monotonic() + TIME_LIMIT
            while struct.unpack("<I", control[:4])[0] <= number:
                # Godot gives up after some problems; its answer tells them.
                if time.monotonic() > until or agent.process.poll() is not None:
                    pytest.fail(f"it ends in round {number}: {agent.receive()}")
            time.sleep(chance.uniform(0, 0.002))
            act(file_of(name), size)
            control[12:16] = struct.pack("<I", number + 1)
        problems, copies = agent.receive()
        assert problems == []
        assert copies > ROUNDS, "each thread was in the middle of it"
        note(f"{ROUNDS} rounds, {copies} copies a thread")
        return names

    return run_rounds


def test_truncation_fails_copies_and_spares_process(
    disturb, make_foreign, memory, unique_name
):
    def prepare(_number, name, chance):
        make_foreign(name, OLD * SIZE)
        if chance.random() < 0.75:
            return WHOLE_PAGES, chance.randrange(SIZE // PAGE) * PAGE
        return ANY_SIZE, chance.randrange(SIZE)

    disturb("until_refused", prepare, os.truncate)
    assert memory.create(unique_name(), SIZE) == OK
    assert memory.fill(7) == OK
    memory.free()


def test_replaced_name_is_noticed_and_left_alone(
    disturb, make_foreign, memory, cleanup
):
    def prepare(number, name, _chance):
        # In every other round Godot makes it, on the object that all threads share.
        if number % 2 == 0:
            make_foreign(name, OLD * SIZE)
        else:
            cleanup.callback(file_of(name).unlink, missing_ok=True)
        return WHOLE_PAGES, 0

    def act(path, _size):
        path.unlink()
        path.write_bytes(NEW * PAGE)

    names = disturb("until_done", prepare, act)
    for name in names:
        assert file_of(name).read_bytes() == NEW * PAGE, "left as the peer made it"
    assert memory.open(names[0]) == OK
    assert memory.get_status() == STATUS_OPEN
    assert memory.read() == NEW * PAGE
