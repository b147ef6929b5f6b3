"""Streams and queues under a name, between several Godots that are killed and started again."""

import itertools
import random
import re
from pathlib import Path

from harness.constants import (
    ERR_CONNECTION_ERROR,
    ERR_UNAUTHORIZED,
    ERR_UNAVAILABLE,
    OK,
)
from harness.effort import rounds
from harness.marks import linux_only, root_only
from harness.session import file_of, wait_until

pytestmark = linux_only
# Histories of three programs, and the events of each.
HISTORIES, EVENTS = rounds(1), 12

# Makes an object, and keeps it for the next scripts.
MAKE = """
func run(kind, method, arguments):
	var object = ClassDB.instantiate(kind)
	Engine.set_meta("held", object)
	return [object.callv(method, arguments), object.get_last_error_message()]
"""
CALL = """
func run(method, arguments):
	var object = Engine.get_meta("held")
	return [object.callv(method, arguments), object.get_last_error()]
"""
FORGET = "func run(): Engine.remove_meta('held')"
# Calls a method until it returns a value, for a second at most. Returns the last one.
UNTIL = """
func run(method, arguments, wanted):
	var object = Engine.get_meta("held")
	var until = Time.get_ticks_msec() + 1000
	var value = null
	while Time.get_ticks_msec() < until:
		value = object.callv(method, arguments)
		if value == wanted:
			break
		OS.delay_msec(1)
	return value
"""
INCARNATION = """
func run():
	var memory = Engine.get_meta("held").get_memory()
	return str(memory.decode_s64(0x18)) if memory else ""
"""


def make(agent, kind, method, *arguments):
    code, message = agent.run(MAKE, kind, method, list(arguments))
    assert code == OK, message


def call(agent, method, *arguments):
    return agent.run(CALL, method, list(arguments))


def mappings_of(agent, name):
    """Returns the lines of the process's memory map that name the segment, removed or not."""
    text = Path(f"/proc/{agent.pid}/maps").read_text(encoding="utf-8")
    return re.findall(rf"/dev/shm/{re.escape(name)}\b.*", text)


def test_reader_survives_the_writers_kill_and_restart(agent, start_agent, name):
    writer = start_agent()
    make(agent, "SharedMemoryStream", "open", name)
    make(writer, "SharedMemoryStream", "create", name, 1000)
    assert call(writer, "write", "before") == [OK, OK]
    assert agent.run(UNTIL, "read", [], "before") == "before"
    before = agent.run(INCARNATION)
    writer.kill()
    assert call(agent, "read") == ["before", OK]
    writer = start_agent()
    make(writer, "SharedMemoryStream", "create", name, 1000)
    assert writer.run(INCARNATION) == before, "it goes on in the memory of its reader"
    assert call(writer, "write", "after") == [OK, OK]
    assert call(agent, "read") == ["after", OK]
    assert call(agent, "get_missed_count") == [0, OK]
    # With another size, there is other memory.
    writer.kill()
    writer = start_agent()
    make(writer, "SharedMemoryStream", "create", name, 2000)
    assert call(writer, "write", "x" * 1500) == [OK, OK]
    assert agent.run(UNTIL, "get_capacity", [], 2000) == 2000
    assert call(agent, "read") == ["x" * 1500, OK]
    assert len(mappings_of(agent, name)) == 1, "the old memory was let go"
    for game in (writer, agent):
        game.run(FORGET)
    assert mappings_of(agent, name) == []


def test_nothing_of_yesterday_is_found(agent, start_agent, name):
    first = start_agent()
    make(first, "SharedMemoryQueue", "create", name, 4096)
    assert call(first, "enqueue", "yesterday") == [OK, OK]
    first.kill()
    make(agent, "SharedMemoryQueue", "open", name)
    assert call(agent, "dequeue") == [None, ERR_UNAVAILABLE]
    second = start_agent()
    make(second, "SharedMemoryQueue", "create", name, 4096)
    assert agent.run(UNTIL, "is_attached", [], True) is True
    assert call(second, "enqueue", "today") == [OK, OK]
    assert call(agent, "dequeue_all") == [["today"], OK]
    for game in (agent, second):
        game.run(FORGET)


def test_wait_tells_of_a_death_and_goes_on_after_it(agent, start_agent, name):
    writer = start_agent()
    make(writer, "SharedMemoryQueue", "create", name, 4096)
    make(agent, "SharedMemoryQueue", "open", name)
    assert call(writer, "enqueue", "a") == [OK, OK]
    assert call(agent, "dequeue") == ["a", OK]
    agent.send("run", CALL, ["dequeue", [20_000]])
    # The word by which a consumer says that it sleeps.
    wait_until(lambda: any(file_of(name).read_bytes()[0x80:0x88]))
    writer.kill()
    assert agent.receive() == [None, ERR_CONNECTION_ERROR]
    agent.send("run", CALL, ["dequeue", [20_000]])
    writer = start_agent()
    make(writer, "SharedMemoryQueue", "create", name, 4096)
    assert call(writer, "enqueue", "b") == [OK, OK]
    assert agent.receive() == ["b", OK]
    for game in (agent, writer):
        game.run(FORGET)


def test_three_games_are_killed_and_started_at_random(start_agent, name, note):
    """The owner sends, two others read. After each event, messages come to those that live."""
    for history in range(HISTORIES):
        seed = random.randrange(1 << 32)
        note(f"history {history}: seed {seed}")
        chance, numbers = random.Random(seed), itertools.count()
        place = f"{name}-{history}"
        games = [None, None, None]
        for _ in range(EVENTS):
            for index in chance.sample(range(3), chance.choice([1, 1, 2])):
                if games[index]:
                    games[index].kill()
                    games[index] = None
                    continue
                games[index] = start_agent()
                size = (
                    [place, chance.choice([500, 500, 1000])] if index == 0 else [place]
                )
                method = "open" if index else "create"
                make(games[index], "SharedMemoryStream", method, *size)
            if games[0]:
                number = next(numbers)
                assert call(games[0], "write", number) == [OK, OK]
                for reader in filter(None, games[1:]):
                    assert reader.run(UNTIL, "read", [], number) == number
        for game in filter(None, games):
            game.run(FORGET)
        remove = "func run(name): return SharedMemory.remove(name)"
        cleaner = start_agent()
        cleaner.run(remove, place)


@root_only
def test_reader_of_another_user_reads_without_write_access(agent, start_stranger, name):
    other = start_stranger()
    make(agent, "SharedMemoryStream", "create", name, 1000)
    assert call(agent, "write", "x") == [OK, OK]
    make(other, "SharedMemoryStream", "open", name)
    assert call(other, "read") == [None, ERR_UNAVAILABLE], "this user alone"
    file_of(name).chmod(0o644)
    assert other.run(UNTIL, "read", [], "x") == "x"
    assert call(other, "write", "y") == [ERR_UNAUTHORIZED] * 2
    for game in (agent, other):
        game.run(FORGET)
