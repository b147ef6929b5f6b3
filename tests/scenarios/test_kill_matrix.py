"""Processes killed at any moment of any operation: the others go on, the next run starts, nothing is left.

Each operation is done in a loop by a Godot that made the segment, and by one that opened it.
SHM_TEST_ROUNDS sets how often each of them is killed.
"""

import random
import time

import pytest
from harness.constants import ERR_ALREADY_EXISTS, OK
from harness.effort import rounds
from harness.marks import segments_are_files
from harness.session import file_of

ROUNDS = rounds(1)
pytestmark = [segments_are_files, pytest.mark.timeout(60 + 4 * ROUNDS)]
# Seconds within which the kill comes. The other side goes on for as long.
WHILE = 0.03

# The operation of the victim. `held` has the segment open from the beginning; `memory` has nothing.
OPERATIONS = {
    "create": "memory.create(name, SIZE); memory.close()",
    "open": "memory.open(name); memory.close()",
    "open_or_create": "memory.open_or_create(name, SIZE); memory.close()",
    "read": "held.read()",
    "read_into": "held.read_into(buffer)",
    "write": "held.write(buffer)",
    "fill": "held.fill(7)",
    "decode_u32": "held.decode_u32(8)",
    "encode_u32": "held.encode_u32(8, 7)",
    "atomics": "held.atomic_add_u32(8, 1); held.atomic_exchange_s64(16, 1)",
    "wait": "held.wait_u32(8, held.atomic_load_u32(8), 1)",
    "notify": "held.atomic_add_u32(8, 1); held.notify_u32(8)",
    "close": "memory.open_or_create(name, SIZE); memory.write(buffer); memory.close()",
    "free": "memory = SharedMemory.new(); memory.open_or_create(name, SIZE)",
    "unlink": "memory.open_or_create(name, SIZE); memory.unlink(); memory.close()",
    "persistent": "held.persistent = true; held.persistent = false",
    "remove": "memory.open_or_create(name, SIZE); SharedMemory.remove(name); memory.close()",
}
# These make the name: the victim then holds nothing under it before.
MAKING = ("create", "open_or_create", "close", "free", "unlink", "remove")

VICTIM = """
const SIZE = 16384
func run(name, how_to_hold):
	var held = SharedMemory.new()
	var memory = SharedMemory.new()
	var buffer = PackedByteArray()
	buffer.resize(SIZE)
	if how_to_hold and held.callv(how_to_hold, [name, SIZE]) != OK:
		return held.get_last_error_message()
	printerr('##test## {"event": "answer", "value": "it begins"}')
	while true:
		OPERATION
"""

# Opens and closes the segment beside a victim that makes it. Returns the calls that went wrong.
BESIDE_A_CREATOR = """
func run(name, usec):
	var memory = SharedMemory.new()
	var problems = []
	var until = Time.get_ticks_usec() + usec
	while Time.get_ticks_usec() < until:
		var code = memory.open(name)
		if code == ERR_DOES_NOT_EXIST:
			continue
		var codes = [code, memory.write(PackedByteArray([1, 2, 3])), memory.fill(4, 4)]
		if codes != [OK, OK, OK] or memory.read().size() != 16384:
			problems.append([codes, memory.get_last_error_message()])
		memory.close()
	return problems
"""
# Has made the segment, and makes it again as soon as it is gone.
BESIDE_AN_OPENER = """
func run(name, usec):
	var memory = Engine.get_meta("survivor")
	var problems = []
	var until = Time.get_ticks_usec() + usec
	while Time.get_ticks_usec() < until:
		if not memory.is_current():
			memory.close()
			var code = memory.create(name, 16384)
			# The victim has been first.
			if code == ERR_ALREADY_EXISTS:
				continue
			if code != OK:
				problems.append(memory.get_last_error_message())
		var codes = [memory.write(PackedByteArray([1, 2, 3])), memory.fill(4, 4)]
		if codes != [OK, OK] or memory.read().size() != 16384:
			problems.append([codes, memory.get_last_error_message()])
	return problems
"""
OWN = """
func run(name):
	var memory = SharedMemory.new()
	Engine.set_meta("survivor", memory)
	return memory.create(name, 16384)
"""
LET_GO = """
func run():
	Engine.get_meta("survivor").close()
	Engine.remove_meta("survivor")
"""


def kill_each_round(survivor, start_agent, unique_name, chance, operation, beside):
    """Kills a Godot in the middle of an operation, while another runs `beside`; returns how often."""
    left = 0
    for _round in range(ROUNDS):
        name = unique_name()
        if beside == BESIDE_AN_OPENER:
            assert survivor.run(OWN, name) == OK
            how_to_hold = "open"
        else:
            how_to_hold = "" if operation in MAKING else "create"
        victim = start_agent()
        source = VICTIM.replace("OPERATION", OPERATIONS[operation])
        victim.send("run", source, [name, how_to_hold])
        assert victim.receive() == "it begins"
        survivor.send("run", beside, [name, round(WHILE * 1e6)])
        time.sleep(chance.uniform(0, WHILE))
        assert victim.process.poll() is None, "it is in the middle of it"
        victim.kill()
        assert survivor.receive() == [], "errors of the survivor"
        if beside == BESIDE_AN_OPENER:
            survivor.run(LET_GO)
        left += file_of(name).exists()
        check_next_run(survivor, name, operation)
    return f"{ROUNDS} killed, {left} left a name"


def check_next_run(survivor, name, operation):
    memory = survivor.memory()
    if operation == "persistent" and memory.create(name, 64) == ERR_ALREADY_EXISTS:
        # This one stays on purpose.
        assert "made it persistent, and has ended" in memory.get_last_error_message()
        assert memory.remove(name) == OK
    memory.close()
    assert memory.create(name, 64) == OK, memory.get_last_error_message()
    assert memory.read() == bytes(64)
    memory.close()
    memory.free()
    assert not file_of(name).exists(), "nothing is left"


@pytest.mark.parametrize(
    "beside", [BESIDE_A_CREATOR, BESIDE_AN_OPENER], ids=["creator", "opener"]
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_process_leaves_name_usable(
    session, agent, start_agent, unique_name, note, operation, beside
):
    chance = random.Random(f"{session.seed} {operation}")
    note(kill_each_round(agent, start_agent, unique_name, chance, operation, beside))
