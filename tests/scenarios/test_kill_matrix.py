"""Killed at any moment, whatever it was doing: the others go on, the next one starts, nothing is left.

A line an operation; each is done in a loop by a Godot that made the segment, and by one that opened it.
SHM_TEST_ROUNDS sets how often each of them is killed.
"""

import random
import stat
import time
import unittest

from harness.effort import rounds
from harness.scenario import OK, Scenario
from harness.session import SHARED

ROUNDS = rounds(1)
# The kill comes within so many seconds; the other side goes on for as long.
WHILE = 0.03

# What the victim does. `held` has the segment open from the beginning; `memory` has nothing.
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
    "close": "memory.open_or_create(name, SIZE); memory.write(buffer); memory.close()",
    "free": "memory = SharedMemory.new(); memory.open_or_create(name, SIZE)",
    "unlink": "memory.open_or_create(name, SIZE); memory.unlink(); memory.close()",
    "persistent": "held.persistent = true; held.persistent = false",
    "remove": "memory.open_or_create(name, SIZE); SharedMemory.remove(name); memory.close()",
}
# Those that make the name: the victim holds nothing under it if it is the one to make it.
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

# Comes and goes beside a victim that makes it. Returns the calls that went wrong.
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
# Has made it, and makes it anew as soon as it is gone.
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


@unittest.skipUnless(
    SHARED.is_dir(), "needs segments that stay when their owner is killed"
)
class KillMatrix(Scenario):
    time_limit = 120 + 20 * ROUNDS

    def setUp(self):
        self.survivor = self.agent()
        self.chance = random.Random(self.session.seed)
        self.kills = 0
        self.left = 0

    def tearDown(self):
        self.note(
            f"seed {self.session.seed}: {self.kills} killed, {self.left} left a name"
        )

    def each_operation(self, beside, prepare=None, finish=None):
        for operation, source in OPERATIONS.items():
            for number in range(ROUNDS):
                with self.subTest(operation, round=number):
                    name = self.name()
                    if prepare:
                        self.assertEqual(prepare(name), OK)
                        how = "open"
                    else:
                        how = "" if operation in MAKING else "create"
                    self.kill_in_the_middle(name, source, how, beside)
                    if finish:
                        finish()
                    self.check_next_run(name, operation)

    def kill_in_the_middle(self, name, operation, how_to_hold, beside):
        victim = self.agent()
        source = VICTIM.replace("OPERATION", operation)
        victim.send("run", source, [name, how_to_hold])
        self.assertEqual(victim.receive(), "it begins")
        self.survivor.send("run", beside, [name, round(WHILE * 1e6)])
        time.sleep(self.chance.uniform(0, WHILE))
        self.assertIsNone(victim.process.poll(), "it is in the middle of it")
        victim.kill()
        self.kills += 1
        self.assertEqual(self.survivor.receive(), [], "what went wrong beside it")

    def check_next_run(self, name, operation):
        path = self.file(name)
        memory = self.survivor.memory()
        if path.exists():
            self.left += 1
            if not path.stat().st_mode & stat.S_ISVTX:
                self.assertEqual(operation, "persistent", "this one stays on purpose")
                self.assertEqual(memory.remove(name), OK)
        self.assertEqual(memory.create(name, 64), OK, memory.get_last_error_message())
        self.assertEqual(memory.read(), bytes(64))
        memory.close()
        memory.free()
        self.assertFalse(path.exists(), "nothing is left")

    def test_a_creator_is_killed(self):
        self.each_operation(BESIDE_A_CREATOR)

    def test_an_opener_is_killed(self):
        self.each_operation(
            BESIDE_AN_OPENER,
            lambda name: self.survivor.run(OWN, name),
            lambda: self.survivor.run(LET_GO),
        )
