"""Owners that were killed, and the processes that may reclaim their segments."""

import os
import signal

import pytest
from harness.agent import Agent
from harness.constants import (
    ERR_ALREADY_EXISTS,
    GLOBAL_SCOPE,
    OK,
    STATUS_CREATED,
    STATUS_OPEN,
)
from harness.marks import root_only, segments_are_files
from harness.session import file_of

pytestmark = segments_are_files

# The mode of a dead owner's segment, where its mark is the sticky bit: Linux before 6.0.
LEFTOVER = 0o1600

# All processes begin at the same moment and take the names in the same order. They meet again and again:
# the first at a name has more to do there.
RACE = """
var objects = []
func run(method, names, start):
	var results = []
	while Time.get_unix_time_from_system() < start:
		OS.delay_usec(20)
	for name in names:
		var memory = SharedMemory.new()
		objects.append(memory)
		results.append([memory.call(method, name, 64), memory.get_status()])
	Engine.set_meta("race", objects)
	return results
"""
NOW = "func run(): return Time.get_unix_time_from_system()"
CURRENT = """
func run():
	return Engine.get_meta("race").map(func(memory): return memory.is_current())
"""
FORGET = "func run(): Engine.remove_meta('race')"


def make_and_kill(start_agent, names, persistent=False):
    agent = start_agent()
    for name in names:
        memory = agent.memory()
        memory.set_persistent(persistent)
        assert memory.create(name, 64) == OK
        memory.write(b"old")
    agent.kill()
    for name in names:
        assert file_of(name).exists(), "killed: it could not tidy up"


def test_create_replaces_segment_of_killed_owner(name, start_agent):
    owner = start_agent()
    memory = owner.memory()
    assert memory.create(name, 64) == OK
    memory.write(b"old")
    peer = start_agent().memory()
    assert peer.open(name) == OK
    owner.kill()

    again = start_agent().memory()
    assert again.exists(name)
    assert peer.is_current(), "nothing has replaced it yet"
    assert again.create(name, 32) == OK
    assert again.get_status() == STATUS_CREATED
    assert again.get_size() == 32
    assert again.read() == bytes(32), "it is a new one"

    assert peer.read(3) == b"old", "an opener keeps the old one"
    assert not peer.is_current(), "and is told"
    peer.close()
    assert again.is_current(), "an opener of the old one removes nothing"
    assert peer.open(name) == OK
    assert peer.is_current()
    assert peer.get_size() == 32


def test_open_works_on_leftover_and_open_or_create_reclaims_it(name, start_agent):
    make_and_kill(start_agent, [name])
    agent = start_agent()
    memory, other = agent.memory(), agent.memory()
    assert memory.open(name) == OK
    assert memory.read(3) == b"old"
    assert memory.exists(name)
    assert other.open_or_create(name, 64) == OK
    assert other.get_status() == STATUS_CREATED, "it reclaims"
    assert not memory.is_current()
    assert other.read(3) == bytes(3)


def test_leftover_is_reclaimed_with_other_scope_and_size(name, start_agent):
    make_and_kill(start_agent, [name])
    memory = start_agent().memory()
    assert memory.open_or_create(name, 5000, GLOBAL_SCOPE) == OK
    assert memory.get_status() == STATUS_CREATED
    assert memory.get_size() == 5000
    assert memory.get_scope() == GLOBAL_SCOPE


def test_leftover_is_reclaimed_after_each_kill(name, start_agent):
    for _round in range(3):
        make_and_kill(start_agent, [name])
    assert start_agent().memory().create(name, 64) == OK


def test_persistent_segment_is_never_reclaimed(name, start_agent):
    make_and_kill(start_agent, [name], persistent=True)
    memory = start_agent().memory()
    assert memory.create(name, 64) == ERR_ALREADY_EXISTS
    assert memory.open_or_create(name, 64) == OK
    assert memory.get_status() == STATUS_OPEN
    assert memory.read(3) == b"old"
    memory.close()
    assert memory.remove(name) == OK
    assert not file_of(name).exists()


def test_segment_of_other_program_is_never_reclaimed(name, make_foreign, memory):
    path = make_foreign(name, b"Python")
    path.chmod(0o600)
    assert memory.create(name, 6) == ERR_ALREADY_EXISTS
    assert memory.open_or_create(name, 6) == OK
    assert memory.get_status() == STATUS_OPEN
    memory.unlink()
    assert not path.exists(), "but an opener may remove it"


def test_create_fails_while_owner_lives(name, start_agent):
    owner = start_agent()
    memory = owner.memory()
    assert memory.create(name, 64) == OK
    memory.write(b"mine")
    other = start_agent().memory()
    # The owner stands still, as in a debugger.
    os.kill(owner.pid, signal.SIGSTOP)
    try:
        assert other.create(name, 64) == ERR_ALREADY_EXISTS
        assert other.open_or_create(name, 64) == OK
        assert other.get_status() == STATUS_OPEN
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    assert memory.is_current()
    assert other.read(4) == b"mine"


def test_create_works_while_child_of_killed_owner_lives(name, start_agent):
    # A program that the owner started must not hold its lock after its death.
    owner = start_agent()
    assert owner.memory().create(name, 64) == OK
    child = owner.run("func run(): return OS.create_process('sleep', ['1000'])")
    os.kill(owner.pid, signal.SIGKILL)
    owner.process.wait()
    try:
        assert start_agent().memory().create(name, 64) == OK
    finally:
        os.kill(child, signal.SIGKILL)
        owner.kill()


@root_only
def test_leftover_of_other_user_is_not_reclaimed(name, make_foreign, memory):
    path = make_foreign(name, b"old")
    path.chmod(LEFTOVER)
    os.chown(path, 65534, 65534)
    assert memory.create(name, 64) == ERR_ALREADY_EXISTS
    os.chown(path, os.geteuid(), os.getegid())
    assert memory.create(name, 64) == OK, "once it is ours"


def leave(make_foreign, names):
    """Makes what killed owners leave, without killing hundreds of them."""
    for name in names:
        make_foreign(name, b"old".ljust(64)).chmod(LEFTOVER)


def race(method, names, agents):
    start = agents[0].run(NOW) + 0.3
    answers = Agent.run_in_all(agents, RACE, method, names, start)
    # A list per name, not per process.
    return list(zip(*answers))


def test_one_of_ten_racing_creates_reclaims(make_foreign, unique_name, start_agent):
    names = [unique_name() for _round in range(400)]
    leave(make_foreign, names)
    agents = [start_agent() for _number in range(10)]
    for name, results in zip(names, race("create", names, agents)):
        codes = sorted(code for code, _status in results)
        assert codes == [OK] + [ERR_ALREADY_EXISTS] * 9, name
    current = zip(*(agent.run(CURRENT) for agent in agents))
    for name, answers in zip(names, current):
        assert sum(answers) == 1, f"{name} leads to its one owner's"
    for agent in agents:
        agent.run(FORGET)
    for name in names:
        assert not file_of(name).exists(), name


@pytest.mark.parametrize("is_left", [False, True], ids=["absent", "left"])
def test_racing_open_or_create_meet_in_one_segment(
    unique_name, make_foreign, start_agent, is_left
):
    names = [unique_name() for _round in range(400)]
    if is_left:
        leave(make_foreign, names)
    agents = [start_agent() for _number in range(4)]
    answers = race("open_or_create", names, agents)
    for name, results in zip(names, answers):
        assert [code for code, _status in results] == [OK] * 4
        statuses = sorted(status for _code, status in results)
        assert statuses == [STATUS_CREATED] + [STATUS_OPEN] * 3, name
    for agent in agents:
        assert agent.run(CURRENT) == [True] * 400, "one segment for all"
    for agent in agents:
        agent.run(FORGET)
