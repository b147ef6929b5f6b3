"""SharedMemoryPeer talks with the header for C (partners/c), which was written from docs/FORMAT.md alone.

SHM_TEST_ROUNDS sets how often a side is killed while both talk.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import textwrap
import time

import pytest
from harness.constants import (
    ERR_ALREADY_IN_USE,
    ERR_CONNECTION_ERROR,
    ERR_TIMEOUT,
    OK,
)
from harness.effort import rounds
from harness.marks import linux_only
from harness.session import REPOSITORY, file_of
from test_c_partner import program, start_partner  # noqa: F401

pytestmark = [
    linux_only,
    pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler"),
]
ROUNDS = rounds(4)
FOLDER = REPOSITORY / "partners" / "c"

OPEN = """
func run(name):
	var peer = SharedMemoryPeer.new()
	Engine.set_meta("held", peer)
	return [peer.open(name, 65536), peer.get_last_error_message()]
"""
CALL = """
func run(method, arguments):
	var peer = Engine.get_meta("held")
	return [peer.callv(method, arguments), peer.get_last_error()]
"""
FORGET = "func run(): Engine.remove_meta('held')"
# Sends back what comes, and returns the types.
ECHO = """
func run(msec):
	var peer = Engine.get_meta("held")
	var types = []
	var end = Time.get_ticks_msec() + msec
	if msec == 0:
		printerr('##test## {"event": "answer", "value": "it begins"}')
	while msec == 0 or Time.get_ticks_msec() < end:
		var message = peer.receive(20)
		if message != null:
			types.append(type_string(typeof(message)))
			peer.send(message, 1000)
		elif peer.get_last_error() not in [ERR_TIMEOUT, ERR_CONNECTION_ERROR]:
			return peer.get_last_error_message()
	return types
"""
# Sends numbers to a partner that sends them back, every eighth as a request, and checks what comes.
TALK = """
func run(msec):
	var peer = Engine.get_meta("held")
	var end = Time.get_ticks_msec() + msec
	var partner = 0
	var sent = 0
	var expected = 0
	var received = 0
	var requests = 0
	while Time.get_ticks_msec() < end:
		var message = peer.receive(0)
		var code = peer.get_last_error()
		if code == OK:
			if message != [partner, expected]:
				return ["message", message, partner, expected]
			expected += 2 if expected % 8 == 6 else 1
			received += 1
		elif code == ERR_CONNECTION_ERROR:
			partner += 1
			sent = 0
			expected = 0
		elif sent >= expected + 50 or (sent % 8 == 7 and sent > expected):
			peer.wait(5)
		elif sent % 8 == 7:
			var answer = peer.request([partner, sent], 200)
			code = peer.get_last_error()
			if code == OK:
				if answer != [partner, sent]:
					return ["answer", answer, partner, sent]
				requests += 1
			if code in [OK, ERR_TIMEOUT]:
				sent += 1
			elif code == ERR_CONNECTION_ERROR:
				partner += 1
				sent = 0
				expected = 0
		elif peer.send([partner, sent]) == OK:
			sent += 1
		else:
			peer.wait(5)
	return ["", partner, received, requests]
"""
CONNECTED = 2
WAITING = 1


@pytest.fixture
def open_godot(agent, name):
    """Returns a function that lets the agent open a peer."""

    def opened():
        code, message = agent.run(OPEN, name)
        assert code == OK, message
        return agent

    yield opened
    agent.run(FORGET)


@pytest.fixture
def open_c(start_partner, name):  # noqa: F811
    """Returns a function that starts a program in C with a peer."""
    partners = []

    def opened():
        partner = start_partner()
        partners.append(partner)
        assert partner.ask(f"peer {name} 65536") == "ok"
        return partner

    yield opened
    for partner in partners:
        if partner.process.poll() is None:
            partner.send("exit")
            partner.process.wait(30)
    # A killed program leaves the name, and the other side may have been killed, too.
    file_of(name).unlink(missing_ok=True)


@pytest.fixture
def pair(open_godot, open_c):
    """Returns a Godot and a program in C that are connected."""
    agent, partner = open_godot(), open_c()
    partner.send("connect 5000")
    assert agent.run(CALL, "wait_connected", [5000]) == [OK, OK]
    assert partner.answer() == "ok"
    return agent, partner


CONTENTS = {
    "bytes 00ff10": "PackedByteArray",
    "bytes -": "PackedByteArray",
    "text " + "grün ".encode().hex(): "String",
    "array:1:0:3 fill:7:12": "PackedInt32Array",
    "array:3:1:2x3 fill:8:24": "PackedVector3Array",
    "array:4:0:5 fill:9:40": "PackedFloat64Array",
    "image:3x2:4 fill:10:18": "Object",
    "value 0200000007000000": "int",
    "bytes fill:11:30000": "PackedByteArray",
}
HASH = re.compile(r"(tag=\S+ shape=\S+ length=\S+ ).*(hash=\w+)")


@pytest.mark.parametrize("first", ["godot", "c"])
def test_godot_answers_each_kind(agent, open_godot, open_c, first):
    partner = open_c() if first == "c" else None
    open_godot()
    partner = partner or open_c()
    agent.send("run", ECHO, [1500])
    assert partner.ask("connect 5000") == "ok"
    hashes = []
    for content in CONTENTS:
        answer = partner.ask(f"request 5000 {content}")
        assert answer.startswith("answer ok tag="), (content, answer)
        hashes.append(HASH.search(answer).groups())
    assert agent.receive() == list(CONTENTS.values())
    # The same again, as messages that are not requests.
    agent.send("run", ECHO, [1500])
    for content, wanted in zip(CONTENTS, hashes, strict=True):
        assert partner.ask(f"send 5000 {content}") == "ok"
        answer = partner.ask("receive 5000")
        assert answer.startswith("message ok tag="), (content, answer)
        assert HASH.search(answer).groups() == wanted
    agent.receive()


def test_c_answers_each_value(pair):
    agent, partner = pair
    values = [7, "grün", [1, [None, 2.5]], {"a": {"b": True}}, "x" * 20_000]
    partner.send("echo 3000")
    for value in values:
        assert agent.run(CALL, "request", [value, 5000]) == [value, OK]
        assert agent.run(CALL, "send", [value])[0] == OK
        assert agent.run(CALL, "receive", [5000]) == [value, OK]
    assert partner.answer() == f"ok {2 * len(values)} gone=0"


def test_answer_that_comes_late_is_dropped_by_each_side(pair):
    agent, partner = pair
    assert partner.ask("request 50 text 61") == "error TIMEOUT"
    assert partner.ask("ask 0 text 62") == "ok"
    for text in ("a", "b"):
        assert agent.run(CALL, "receive", [5000]) == [text, OK]
        assert agent.run(CALL, "send", [text]) == [OK, OK]
    assert re.search("^answer .* content=62$", partner.ask("receive 5000"))
    assert partner.ask("late") == "ok 1"

    assert agent.run(CALL, "request", ["c", 50]) == [None, ERR_TIMEOUT]
    assert partner.ask("receive 5000").startswith("request ok")
    assert partner.ask("send 0 text 63") == "ok"
    assert partner.ask("send 0 text 64") == "ok"
    assert agent.run(CALL, "receive", [5000]) == ["d", OK]
    assert agent.run(CALL, "get_late_answer_count", [])[0] == 1


def test_messages_before_an_answer_stay_in_order(pair):
    agent, partner = pair
    assert partner.ask("ask 0 text 3f") == "ok"
    for text in ("before", "answer", "after"):
        if text == "answer":
            assert agent.run(CALL, "receive", [5000]) == ["?", OK]
        assert agent.run(CALL, "send", [text])[0] == OK
    for kind, text in (
        ("message", "before"),
        ("answer", "answer"),
        ("message", "after"),
    ):
        answer = partner.ask("receive 5000")
        assert answer.startswith(kind)
        assert answer.endswith(f"content={text.encode().hex()}")
    # The other way, the calls of both sides overlap.
    partner.send("request 5000 text 3f")
    assert agent.run(CALL, "send", ["first"])[0] == OK
    assert agent.run(CALL, "receive", [5000]) == ["?", OK]
    assert agent.run(CALL, "send", ["second"])[0] == OK
    assert agent.run(CALL, "send", ["third"])[0] == OK
    assert partner.answer().endswith("content=" + b"second".hex())
    for text in ("first", "third"):
        assert partner.ask("receive 5000").endswith("content=" + text.encode().hex())
    assert partner.ask("receive 0") == "error EMPTY"
    assert partner.ask("late") == "ok 0"


def test_border_behind_a_killed_godot_is_exact(start_agent, open_c, name):
    partner = open_c()
    for life in range(3):
        agent = start_agent()
        assert agent.run(OPEN, name)[0] == OK
        partner.send("connect 5000")
        assert agent.run(CALL, "wait_connected", [5000])[0] == OK
        assert partner.answer() == "ok"
        for number in range(5):
            assert agent.run(CALL, "send", [f"{life} {number}"])[0] == OK
        agent.kill()
        killed = time.monotonic()
        if life == 0:
            # All is received before the end is told.
            while partner.ask("status") != "ok waiting":
                assert time.monotonic() - killed < 1
        else:
            # The next one is there before.
            agent = start_agent()
            assert agent.run(OPEN, name)[0] == OK
        for number in range(5):
            found = partner.ask("receive 0")
            assert found.endswith("content=" + f"{life} {number}".encode().hex())
        assert partner.ask("receive 1000") == "error GONE"
        assert partner.ask("receive 30") == "error TIMEOUT"
        if life > 0:
            partner.send("connect 5000")
            assert agent.run(CALL, "wait_connected", [5000])[0] == OK
            assert partner.answer() == "ok"
            assert agent.run(CALL, "send", ["next"])[0] == OK
            assert partner.ask("receive 5000").endswith("content=" + b"next".hex())
            agent.kill()
            assert partner.ask("receive 5000") == "error GONE"


def test_border_behind_a_killed_program_in_c_is_exact(open_godot, open_c):
    agent = open_godot()
    for life in range(3):
        partner = open_c()
        partner.send("connect 5000")
        assert agent.run(CALL, "wait_connected", [5000])[0] == OK
        assert partner.answer() == "ok"
        for number in range(5):
            assert partner.ask(f"send 0 text 3{life}3{number}") == "ok"
        # Each way to end: killed, ended, closed.
        if life == 0:
            partner.kill()
        else:
            partner.ask("part") if life == 1 else partner.send("die")
        for number in range(5):
            assert agent.run(CALL, "receive", [1000]) == [f"{life}{number}", OK]
        assert agent.run(CALL, "receive", [1000]) == [None, ERR_CONNECTION_ERROR]
        assert agent.run(CALL, "receive", [30]) == [None, ERR_TIMEOUT]


def test_one_of_three_programs_is_refused(open_godot, open_c, start_agent, name):
    agent, partner = open_godot(), open_c()
    third = start_agent()
    assert third.run(OPEN, name)[0] == ERR_ALREADY_IN_USE
    with pytest.raises(AssertionError, match="error ERROR_IN_USE"):
        open_c()
    partner.kill()
    partner = open_c()
    agent.run(FORGET)
    assert third.run(OPEN, name)[0] == OK
    partner.send("connect 5000")
    assert third.run(CALL, "wait_connected", [5000])[0] == OK
    assert partner.answer() == "ok"


def test_stopped_partner_stays_connected(pair):
    agent, partner = pair
    os.kill(partner.process.pid, signal.SIGSTOP)
    assert agent.run(CALL, "request", ["?", 300]) == [None, ERR_TIMEOUT]
    assert agent.run(CALL, "get_status", [])[0] == CONNECTED
    os.kill(partner.process.pid, signal.SIGCONT)
    os.kill(agent.pid, signal.SIGSTOP)
    try:
        assert partner.ask("request 300 text 3f") == "error TIMEOUT"
        assert partner.ask("status") == "ok connected"
    finally:
        os.kill(agent.pid, signal.SIGCONT)


def test_each_side_follows_the_name_when_its_creator_closes(open_godot, open_c):
    agent, partner = open_godot(), open_c()
    for _life in range(2):
        # Godot has made the memory.
        partner.send("connect 5000")
        assert agent.run(CALL, "wait_connected", [5000])[0] == OK
        assert partner.answer() == "ok"
        agent.run(FORGET)
        assert partner.ask("receive 1000") == "error GONE"
        assert partner.ask("receive 200") == "error TIMEOUT"
        # Now the program in C has.
        open_godot()
        partner.send("connect 5000")
        assert agent.run(CALL, "wait_connected", [5000])[0] == OK
        assert partner.answer() == "ok"
        assert partner.ask("part") == "ok"
        assert agent.run(CALL, "receive", [1000]) == [None, ERR_CONNECTION_ERROR]
        assert agent.run(CALL, "receive", [200]) == [None, ERR_TIMEOUT]
        assert agent.run(CALL, "get_status", [])[0] == WAITING
        partner = open_c()


@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_program_in_c_survives_kills_of_its_partner(
    session, start_agent, open_c, name, note
):
    chance = random.Random(f"{session.seed} c")
    partner = open_c()
    seconds = 1 + 0.8 * ROUNDS
    partner.send(f"talk {int(1000 * seconds)} {chance.randrange(1 << 32)} 20000")
    end = time.monotonic() + seconds - 0.5
    killed = 0
    while time.monotonic() < end:
        agent = start_agent()
        assert agent.run(OPEN, name)[0] == OK
        agent.send("run", ECHO, [0])
        assert agent.receive() == "it begins"
        time.sleep(chance.uniform(0, 0.3))
        assert agent.process.poll() is None
        agent.kill()
        killed += 1
    answer = partner.answer()
    found = re.fullmatch(r"ok (\d+) requests=(\d+) gone=(\d+)", answer)
    assert found, answer
    messages, requests, gone = map(int, found.groups())
    note(f"{killed} killed, {gone} noticed; {messages} messages, {requests} requests")
    assert 0 < gone <= killed
    assert messages > 100
    assert requests > 10


@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_godot_survives_kills_of_a_program_in_c(session, open_godot, open_c, note):
    chance = random.Random(f"{session.seed} godot")
    agent = open_godot()
    seconds = 1 + 0.8 * ROUNDS
    agent.send("run", TALK, [int(1000 * seconds)])
    end = time.monotonic() + seconds - 0.3
    killed = 0
    while time.monotonic() < end:
        partner = open_c()
        partner.send("echo 60000")
        time.sleep(chance.uniform(0, 0.1))
        assert partner.process.poll() is None
        partner.kill()
        killed += 1
    problem, *found = agent.receive()
    assert problem == "", found
    gone, messages, requests = found
    note(f"{killed} killed, {gone} noticed; {messages} messages, {requests} requests")
    assert 0 < gone <= killed
    assert messages > 100
    assert requests > 10


def test_both_are_killed_and_start_again(session, start_agent, open_c, name):
    chance = random.Random(f"{session.seed} both")
    agent = partner = None
    for _round in range(3 * ROUNDS):
        if agent is None:
            agent = start_agent()
            assert agent.run(OPEN, name)[0] == OK
        partner = partner or open_c()
        agent.send("run", ECHO, [0])
        assert agent.receive() == "it begins"
        partner.send("talk 60000 1 4000")
        time.sleep(chance.uniform(0, 0.1))
        victims = chance.choice(["agent", "partner", "both", "swapped"])
        for victim in {
            "both": ["agent", "partner"],
            "swapped": ["partner", "agent"],
        }.get(victims, [victims]):
            (agent if victim == "agent" else partner).kill()
        # The survivor is in the middle of a call, so it makes room for the next round, too.
        if victims == "agent":
            partner.kill()
        elif victims == "partner":
            agent.kill()
        agent = partner = None
    agent, partner = start_agent(), open_c()
    assert agent.run(OPEN, name)[0] == OK
    partner.send("connect 5000")
    assert agent.run(CALL, "wait_connected", [5000])[0] == OK
    assert partner.answer() == "ok"
    assert partner.ask("part") == "ok"
    agent.run(FORGET)


EXAMPLES = re.compile(r"```(gdscript|c)\n(.*?)```", re.DOTALL)
RUN_EXAMPLE = """
func run(source, msec):
	var script = GDScript.new()
	script.source_code = source
	if script.reload() != OK:
		return "it does not compile"
	var node = script.new()
	if node.has_method("_ready"):
		node._ready()
	var end = Time.get_ticks_msec() + msec
	while Time.get_ticks_msec() < end:
		node._process(0.016)
		OS.delay_msec(2)
	node.free()
	return ""
"""


@pytest.mark.parametrize("starts_first", ["godot", "c"])
def test_examples_of_the_readme_talk(
    session, agent, name, tmp_path, cleanup, starts_first
):
    text = (FOLDER / "README.md").read_text()
    section = text[text.index("## Two programs talk") :]
    examples = dict(EXAMPLES.findall(section))
    for language, source in examples.items():
        examples[language] = textwrap.dedent(source).replace('"game"', f'"{name}"')
    (tmp_path / "asks.c").write_text(examples["c"])
    built = tmp_path / "asks"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", FOLDER]
    command = ["cc", *flags, "-o", built, tmp_path / "asks.c"]
    subprocess.run(command, check=True, timeout=60)

    def start():
        asks = session.start([built], stdout=subprocess.PIPE, text=True)
        cleanup.callback(asks.kill)
        return asks

    if starts_first == "c":
        asks = start()
        time.sleep(0.2)
    agent.send("run", RUN_EXAMPLE, [examples["gdscript"], 2000])
    if starts_first == "godot":
        time.sleep(0.3)
        asks = start()
    output, _ = asks.communicate(timeout=30)
    assert output == "Godot answers: HELLO\n"
    assert asks.returncode == 0
    assert agent.receive() == ""
