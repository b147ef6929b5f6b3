"""Locks that several Godots share, and a program in C (partners/c), any of which may be killed.

SHM_TEST_ROUNDS sets how often programs are killed.
"""

import os
import random
import re
import shutil
import signal
import textwrap
import threading
import xml.etree.ElementTree as ElementTree

import pytest
from harness.constants import ERR_BUSY, ERR_TIMEOUT, OK
from harness.effort import rounds
from harness.marks import linux_only
from harness.session import REPOSITORY
from test_c_partner import program, start_partner  # noqa: F401

pytestmark = linux_only
HELP = REPOSITORY / "rust/addon/doc_classes/SharedMemoryMutex.xml"
ROUNDS = rounds(6)
NEEDS_CC = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")

OPEN = """
func run(name):
	var mutex = SharedMemoryMutex.new()
	var code = mutex.open(name)
	Engine.set_meta("held", mutex)
	return [code, mutex.get_last_error_message()]
"""
# Locks, and returns whether the lock was abandoned.
LOCK = """
func run(msec):
	var mutex = Engine.get_meta("held")
	return [mutex.lock(msec), mutex.was_abandoned()]
"""
UNLOCK = "func run(): return Engine.get_meta('held').unlock()"
FORGET = "func run(): Engine.remove_meta('held')"
# Counts in a thread, as a game would, and returns how often it was told of a death.
COUNT = """
func run(name, times):
	var mutex = Engine.get_meta("held")
	var memory = SharedMemory.new()
	if memory.open(name) != OK:
		return memory.get_last_error_message()
	var thread = Thread.new()
	thread.start(func():
		var told = 0
		for number in times:
			var code = mutex.lock(20_000)
			if code != OK:
				return mutex.get_last_error_message()
			told += int(mutex.was_abandoned())
			memory.encode_u64(0, memory.decode_u64(0) + 1)
			mutex.unlock()
		return told)
	return thread.wait_to_finish()
"""
# As COUNT, until it is killed. The word at byte 8 is 1 inside. Bytes 16 and 24 count the deaths that were
# told, and the mistakes.
COUNT_ON = """
func run(name, msec):
	var mutex = Engine.get_meta("held")
	var memory = SharedMemory.new()
	memory.open(name)
	var end = Time.get_ticks_msec() + msec
	while Time.get_ticks_msec() < end:
		if mutex.lock(20_000) != OK:
			return mutex.get_last_error_message()
		if mutex.was_abandoned():
			memory.encode_u64(16, memory.decode_u64(16) + 1)
		elif memory.decode_u64(8) != 0:
			memory.encode_u64(24, memory.decode_u64(24) + 1)
		memory.encode_u64(8, 1)
		memory.encode_u64(0, memory.decode_u64(0) + 1)
		memory.encode_u64(8, 0)
		mutex.unlock()
	return ""
"""


@pytest.fixture
def start(start_agent, name):
    """Returns a function that starts a Godot which has the lock open."""

    def started():
        agent = start_agent()
        assert agent.run(OPEN, name) == [OK, ""]
        return agent

    return started


@pytest.fixture
def numbers(agent, session):
    """Memory for numbers that the lock guards, 0 at first."""
    memory = agent.memory()
    assert memory.create(session.name(), 64) == OK
    yield memory
    memory.close()


def test_two_godots_lose_no_count(start, numbers, name):
    agents = [start(), start()]
    counted = agents[0].run_in_all(agents, COUNT, numbers.get_name(), 3000)
    assert counted == [0, 0]
    assert numbers.decode_u64(0) == 6000
    for agent in agents:
        agent.run(FORGET)
    assert not os.path.exists(f"/dev/shm/{name}")


def test_killed_godot_gives_the_lock_back_and_the_next_holder_is_told(start, note):
    holder, waiting = start(), start()
    assert holder.run(LOCK, 0) == [OK, False]
    assert waiting.run(LOCK, 0) == [ERR_BUSY, False]
    # A stopped program keeps it.
    os.kill(holder.pid, signal.SIGSTOP)
    assert waiting.run(LOCK, 300) == [ERR_TIMEOUT, False]
    waiting.send("run", LOCK, [20_000])
    holder.kill()
    assert waiting.receive() == [OK, True]
    assert waiting.run(UNLOCK) == OK
    assert waiting.run(LOCK, 0) == [OK, False]
    waiting.run(FORGET)


def test_deaths_at_any_moment_are_told_exactly(start, numbers, note):
    seed = random.randrange(1 << 32)
    note(f"seed {seed}")
    dice = random.Random(seed)
    survivor = start()
    for _ in range(ROUNDS):
        victim = start()
        survivor.send("run", COUNT_ON, [numbers.get_name(), 400])
        victim.send("run", COUNT_ON, [numbers.get_name(), 20_000])
        threading.Event().wait(dice.uniform(0.05, 0.3))
        victim.kill()
        assert survivor.receive() == ""
    counted, told, mistakes = (numbers.decode_u64(at) for at in (0, 16, 24))
    note(f"{counted} counts, {ROUNDS} kills, {told} of which were told")
    assert mistakes == 0 and told <= ROUNDS and counted > 100 * ROUNDS
    survivor.run(FORGET)


# Runs the example of the help, which counts in memory of its own.
START_EXAMPLE = """
func run(source):
	var script = GDScript.new()
	script.source_code = source
	if script.reload() != OK:
		return "it doesn't compile"
	var node = script.new()
	node._ready()
	Engine.set_meta("example", node)
	return node.memory.get_last_error_message() + node.mutex.get_last_error_message()
"""
ADD_POINTS = """
func run(times):
	var node = Engine.get_meta("example")
	for number in times:
		node.add_point()
	return [node.memory.decode_u32(0), node.memory.is_current()]
"""
END_EXAMPLE = """
func run():
	Engine.get_meta("example").free()
	Engine.remove_meta("example")
"""


@pytest.fixture
def start_example(start_agent, session, name):
    """Returns a function that starts a Godot with the example of the help."""
    text = ElementTree.parse(HELP).findtext("description")
    example = textwrap.dedent(
        re.search(r"\[codeblock\]\n(.*?)\[/codeblock\]", text, re.DOTALL)[1]
    )
    scores = session.name("scores")
    for written, used in (("scores_lock", name), ("scores", scores)):
        assert example.count(f'"{written}"') == 1
        example = example.replace(f'"{written}"', f'"{used}"')

    def started():
        agent = start_agent()
        assert agent.run(START_EXAMPLE, example) == ""
        return agent

    yield started
    start_agent().run("func run(name): return SharedMemory.remove(name)", scores)


def test_example_loses_no_count_when_programs_are_killed(start_example):
    first, second = start_example(), start_example()
    assert first.run(ADD_POINTS, 30) == [30, True]
    assert second.run(ADD_POINTS, 30) == [60, True]
    # The one that has made the memory.
    first.kill()
    third = start_example()
    assert third.run(ADD_POINTS, 30) == [90, True]
    assert second.run(ADD_POINTS, 30) == [120, True]
    # At the same time, and the last one of those that have seen the first.
    second.send("run", ADD_POINTS, [200])
    third.run(ADD_POINTS, 200)
    second.receive()
    second.kill()
    fourth = start_example()
    assert fourth.run(ADD_POINTS, 30) == [550, True]
    for agent in (third, fourth):
        agent.run(END_EXAMPLE)


@NEEDS_CC
def test_godot_and_c_lose_no_count(start, start_partner, numbers, name):  # noqa: F811
    agent, partner = start(), start_partner()
    assert partner.ask(f"mutex {name} 0") == "ok"
    partner.send(f"add /dev/shm/{numbers.get_name()} 20000")
    assert agent.run(COUNT, numbers.get_name(), 10_000) == 0
    assert partner.answer() == "ok 0"
    assert numbers.decode_u64(0) == 30_000
    agent.run(FORGET)
    assert os.path.exists(f"/dev/shm/{name}")
    assert partner.ask("leave") == "ok"
    assert not os.path.exists(f"/dev/shm/{name}")


@NEEDS_CC
def test_godot_and_c_tell_each_other_of_deaths(start, start_partner, name):  # noqa: F811
    agent, partner = start(), start_partner()
    assert partner.ask(f"mutex {name} 0") == "ok"
    assert partner.ask("lock 0") == "ok 0"
    assert agent.run(LOCK, 0) == [ERR_BUSY, False]
    agent.send("run", LOCK, [20_000])
    partner.kill()
    assert agent.receive() == [OK, True]
    partner = start_partner()
    assert partner.ask(f"mutex {name} 0") == "ok"
    assert partner.ask("lock 20") == "error TIMEOUT"
    partner.send("lock 20000")
    agent.kill()
    assert partner.answer() == "ok 1"
    assert partner.ask("unlock") == "ok"
    assert partner.ask("lock 0") == "ok 0"
    assert partner.ask("leave") == "ok"
    assert not os.path.exists(f"/dev/shm/{name}")
