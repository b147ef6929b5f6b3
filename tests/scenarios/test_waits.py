"""Waits for other programs: in C and Python with the code of docs/PARTNERS.md, and a Godot that is killed."""

import os
import re
import shutil
import subprocess
import sys
import time

import pytest
from harness.constants import ERR_TIMEOUT, OK
from harness.marks import linux_only
from harness.session import REPOSITORY, file_of

pytestmark = linux_only

PAGE = (REPOSITORY / "docs/PARTNERS.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## Waiting and waking\n")[1].split("\n## ")[0]
C, PYTHON = (
    re.search(f"```{language}\n(.*?)```", SECTION, re.DOTALL)[1]
    for language in ("c", "python")
)
# The same words and numbers as in this program: the round at byte 0, and its answer at byte 128.
SOURCE = REPOSITORY / "rust/segment/tests/partner/futex.c"
IN_PYTHON = (
    PYTHON
    + """
import mmap
import sys

role, path, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(path, "r+b") as file:
    words = Words(mmap.mmap(file.fileno(), 0))
for number in range(1, rounds + 1):
    if role == "ask":
        time.sleep(0.0002)
        words.store(0, number)
        words.notify(0)
        assert words.wait(128, number - 1, 10), number
    else:
        assert words.wait(0, number - 1, 10), number
        words.store(128, number)
        words.notify(128)
assert not words.wait(128, rounds, 0.05)
"""
)
ROUNDS = 300

# In a thread, as a game would. Returns the milliseconds, or what went wrong.
TALK = """
func ask(memory: SharedMemory, rounds: int) -> String:
	for number in range(1, rounds + 1):
		memory.atomic_store_u32(0, number)
		memory.notify_u32(0)
		if memory.wait_u32(128, number - 1, 10000) != OK:
			return "%d: %s" % [number, memory.get_last_error_message()]
		OS.delay_usec(200)
	return ""

func answer(memory, rounds):
	for number in range(1, rounds + 1):
		if memory.wait_u32(0, number - 1, 10000) != OK:
			return "%d: %s" % [number, memory.get_last_error_message()]
		memory.atomic_store_u32(128, number)
		memory.notify_u32(128)
	return ""

func run(name, role, rounds):
	var memory = SharedMemory.new()
	if memory.open(name) != OK:
		return memory.get_last_error_message()
	var start = Time.get_ticks_msec()
	var thread = Thread.new()
	thread.start(Callable(self, role).bind(memory, rounds))
	var problem = thread.wait_to_finish()
	return problem if problem else Time.get_ticks_msec() - start
"""
WAIT = """
func run(name, msec):
	var memory = SharedMemory.new()
	memory.open_read_only(name)
	var start = Time.get_ticks_msec()
	var code = memory.wait_u32(64, 0, msec)
	return [code, Time.get_ticks_msec() - start]
"""


@pytest.fixture(params=["C", "Python"])
def start_partner(request, session, name, tmp_path):
    """Returns a function that starts a program as the side of the talk that asks, or answers."""

    def start(role):
        if request.param == "Python":
            program = [sys.executable, "-c", IN_PYTHON, role, file_of(name)]
        else:
            if not shutil.which("cc"):
                pytest.skip("no C compiler")
            # The page has the program's own code.
            assert C.strip() in SOURCE.read_text(encoding="utf-8")
            program = [tmp_path / "partner", role, name]
            subprocess.run(
                ["cc", "-std=gnu11", "-O2", "-o", program[0], SOURCE],
                check=True,
                timeout=60,
            )
        # C also takes the pause in microseconds.
        arguments = [str(ROUNDS), "200"]
        return session.start([*program, *arguments], stdout=subprocess.DEVNULL)

    return start


@pytest.mark.parametrize("role", ["ask", "answer"])
def test_partner_and_godot_wake_each_other(start_partner, name, memory, agent, role):
    assert memory.create(name, 4096) == OK
    partner = start_partner({"ask": "answer", "answer": "ask"}[role])
    took = agent.run(TALK, name, role, ROUNDS)
    assert isinstance(took, (int, float)), took
    assert partner.wait(30) == 0
    # The partner doesn't look without a wake: each one that is missing takes it 10 s.
    assert took < 10 * ROUNDS + 3000
    assert memory.atomic_load_u32(128) == ROUNDS


def test_wait_ends_in_its_time_if_the_partner_is_killed(
    start_partner, name, memory, agent
):
    assert memory.create(name, 4096) == OK
    partner = start_partner("answer")
    assert memory.atomic_store_u32(0, 1) == OK
    assert memory.notify_u32(0) == OK
    assert memory.wait_u32(128, 0, 20000) == OK
    partner.kill()
    partner.wait(30)
    memory.atomic_store_u32(0, 2)
    memory.notify_u32(0)
    start = time.monotonic()
    assert memory.wait_u32(128, 1, 200) == ERR_TIMEOUT
    assert 0.2 <= time.monotonic() - start < 2


def test_killed_waiter_leaves_nothing(name, memory, start_agent):
    assert memory.create(name, 4096) == OK
    waiter = start_agent()
    waiter.send("run", WAIT, [name, 60000])
    time.sleep(0.3)
    waiter.kill()
    assert memory.notify_u32(64) == OK
    assert memory.wait_u32(64, 0, 1) == ERR_TIMEOUT
    memory.close()
    assert memory.create(name, 4096) == OK, "the name and the memory are free"


def test_wait_costs_no_processor_time(name, memory, start_agent):
    assert memory.create(name, 4096) == OK
    waiter = start_agent()

    def processor_time():
        with open(f"/proc/{waiter.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = processor_time()
    code, msec = waiter.run(WAIT, name, 2000)
    cost = processor_time() - before
    assert code == ERR_TIMEOUT
    assert 2000 <= msec < 3000
    # A loop that looks all the time takes 2 s. The rest of the engine takes a little, too.
    assert cost < 0.2
