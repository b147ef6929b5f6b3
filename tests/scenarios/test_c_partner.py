"""Messages between Godot and the header for C (partners/c), which was written from docs/FORMAT.md alone.

SHM_TEST_ROUNDS sets how often a program is killed while messages flow.
"""

import collections
import queue
import random
import re
import shutil
import subprocess
import threading

import pytest
from harness.constants import OK
from harness.effort import rounds
from harness.marks import linux_only
from harness.session import REPOSITORY, file_of

pytestmark = [
    linux_only,
    pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler"),
]
ROUNDS = rounds(8)
SOURCE = REPOSITORY / "partners" / "c" / "partner.c"
SIZE = 1 << 20
BUFFER = 1 << 16
# The longest random message, and the messages of one order.
MOST = 4000
BATCH = 20_000


class Partner:
    """Runs partner.c, which has its commands at its top."""

    def __init__(self, session, program):
        self.process = session.start(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line.strip())
        self._lines.put("ended")

    def send(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self):
        return self._lines.get(timeout=30)

    def ask(self, command):
        self.send(command)
        return self.answer()

    def kill(self):
        self.process.kill()
        self.process.wait(30)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("partner") / "partner"
    command = ["cc", "-std=c11", "-O2", "-o", path, SOURCE]
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest.fixture
def start_partner(session, program, cleanup):
    def start():
        partner = Partner(session, program)
        cleanup.callback(partner.kill)
        return partner

    return start


ATTACH = """
func run(kind, names):
	var held = []
	for name in names:
		var memory = SharedMemory.new()
		if memory.open(name) != OK:
			return memory.get_last_error_message()
		var object = ClassDB.instantiate(kind)
		if object.attach(memory) != OK:
			return object.get_last_error_message()
		held.append(object)
	Engine.set_meta("held", held)
	return ""
"""
# Passes messages on, and returns how many of each type.
RELAY = """
func run(msec):
	var from = Engine.get_meta("held")[0]
	var to = Engine.get_meta("held")[1]
	var counts = {}
	var end = Time.get_ticks_msec() + msec
	while Time.get_ticks_msec() < end:
		var message = from.dequeue(10)
		if message == null:
			continue
		while to.enqueue(message, 100) != OK:
			if Time.get_ticks_msec() > end + 5000:
				return to.get_last_error_message()
		var type = type_string(typeof(message))
		counts[type] = counts.get(type, 0) + 1
	return counts
"""
FORGET = "func run(): Engine.remove_meta('held')"
KINDS = {"PackedByteArray", "String", "PackedInt32Array", "Object"}


@pytest.fixture
def lay_out(start_agent, start_partner):
    """Returns a function that makes memory, which the header for C lays out."""
    owner = start_agent()
    memories = []

    def make(name, layout):
        memory = owner.memory()
        assert memory.create(name, SIZE) == OK
        memories.append(memory)
        partner = start_partner()
        assert partner.ask(f"open {name} rw") == "ok"
        assert partner.ask(layout) == "ok"
        return partner

    yield make
    for memory in memories:
        memory.close()


def test_stream_passes_both_ways(lay_out, agent, start_partner, session):
    names = [session.name(), session.name()]
    writer, reader = (lay_out(name, f"stream {MOST + 64} 2") for name in names)
    assert agent.run(ATTACH, "SharedMemoryStream", names) == ""
    pass_on = """
func run():
	var held = Engine.get_meta("held")
	var message = held[0].read()
	return [type_string(typeof(message)), held[1].write(message)]
"""
    # An array of 32-bit integers, an image of 8 bits a pixel, a value that is an integer.
    contents = {
        "bytes 00ff10": "PackedByteArray",
        "text " + "grün ".encode().hex(): "String",
        "array:1:0:3 fill:7:12": "PackedInt32Array",
        "array:3:1:2x3 fill:8:24": "PackedVector3Array",
        "array:4:0:5 fill:9:40": "PackedFloat64Array",
        "image:3x2:4 fill:10:18": "Object",
        "value 0200000007000000": "int",
        "bytes -": "PackedByteArray",
    }
    for command, wanted in contents.items():
        assert writer.ask(f"write {command}").startswith("ok")
        assert agent.run(pass_on) == [wanted, OK], command
        sent, received = writer.ask("read"), reader.ask("read")
        without_number = [
            re.sub(r"sequence=\d+", "", line) for line in (sent, received)
        ]
        assert sent.startswith("ok") and len(set(without_number)) == 1, without_number
    agent.run(FORGET)


@pytest.mark.timeout(120 + 4 * ROUNDS)
def test_messages_pass_while_each_side_is_killed(
    lay_out, start_agent, start_partner, session, note
):
    seed = random.randrange(1 << 32)
    note(f"seed {seed}")
    dice = random.Random(seed)
    names = [session.name(), session.name()]
    for name in names:
        lay_out(name, f"queue {BUFFER} 1").kill()

    def start_c(name):
        partner = start_partner()
        assert partner.ask(f"open {name} rw") == "ok"
        assert partner.ask("queue 0 1") == "ok"
        return partner

    def start_godot():
        agent = start_agent()
        assert agent.run(ATTACH, "SharedMemoryQueue", names) == ""
        return agent

    producer, relay, consumer = start_c(names[0]), start_godot(), start_c(names[1])
    taken = lost = again = 0
    kills = collections.Counter()
    kinds = set()
    for number in range(ROUNDS + 1):
        is_last = number == ROUNDS
        producer.send(f"produce {BATCH} {number + 1} {MOST} 2000")
        relay.send("run", RELAY, [300 if not is_last else 3000])
        consumer.send(f"follow {BATCH * 2} {500 if not is_last else 1500}")
        threading.Event().wait(dice.uniform(0.02, 0.3))
        victim = (
            None if is_last else dice.choice(["producer", "relay", "consumer", None])
        )
        kills[victim] += 1
        if victim == "producer":
            producer.kill()
        elif victim == "relay":
            relay.kill()
        elif victim == "consumer":
            consumer.kill()
            consumer = start_c(names[1])
            consumer.send(f"follow {BATCH * 2} 500")
        if victim == "relay":
            relay = start_godot()
        else:
            counts = relay.receive()
            assert isinstance(counts, dict), counts
            kinds |= counts.keys()
        answer = consumer.answer()
        pattern = r"(ok|error (?:TIMEOUT|GONE)) (\d+) lost=(\d+) again=(\d+)"
        found = re.fullmatch(pattern, answer)
        assert found, answer
        taken += int(found[2])
        lost += int(found[3])
        again += int(found[4])
        if victim == "producer":
            producer = start_c(names[0])
        else:
            answer = producer.answer()
            # Without a relay, the queue may have been full for too long.
            is_full = answer.startswith(("error TIMEOUT", "error GONE"))
            assert answer.startswith(f"ok {BATCH} ") or (is_full and not is_last)
    del kills[None]
    killed = ", ".join(f"{times} of the {victim}" for victim, times in kills.items())
    note(f"{taken} messages, killed: {killed}; {lost} lost, {again} again")
    assert kinds == KINDS
    # A relay that is killed has one message at most. It may have passed one on, and not have said so.
    assert lost <= kills["relay"] and again <= kills["relay"]
    assert taken > 1000 * ROUNDS
    relay.run(FORGET)


README_SCRIPT = re.compile(r"```gdscript\n(.*?)```", re.DOTALL)
# Runs the script of the README until the ball has moved, or for so long.
RUN_FRAMES = """
func run(source, msec):
	if not Engine.has_meta("example"):
		var script = GDScript.new()
		script.source_code = source
		if script.reload() != OK:
			return "it does not compile"
		Engine.set_meta("example", script.new())
		Engine.get_meta("example")._ready()
	var node = Engine.get_meta("example")
	var before = node.position
	var end = Time.get_ticks_msec() + msec
	while Time.get_ticks_msec() < end:
		node._process(0.016)
		if node.position != before:
			return true
		OS.delay_msec(5)
	return false
"""
END_FRAMES = """
func run():
	Engine.get_meta("example").free()
	Engine.remove_meta("example")
"""


def test_example_of_the_readme_finds_each_simulator(
    session, agent, name, tmp_path, cleanup
):
    folder = SOURCE.parent
    script = README_SCRIPT.search((folder / "README.md").read_text())[1]
    source = (folder / "simulator.c").read_text()
    for old in ("ball", "ball_commands"):
        new = name + old.removeprefix("ball")
        script, source = (
            text.replace(f'"{old}"', f'"{new}"') for text in (script, source)
        )
        cleanup.callback(file_of(new).unlink, missing_ok=True)
    (tmp_path / "simulator.c").write_text(source)
    built = tmp_path / "simulator"
    command = [
        "cc",
        "-std=c11",
        "-O2",
        "-I",
        folder,
        "-o",
        built,
        tmp_path / "simulator.c",
        "-lm",
    ]
    subprocess.run(command, check=True, timeout=60)
    # Nothing is printed while there is none.
    assert agent.run(RUN_FRAMES, script, 50) is False
    for _ in range(3):
        simulator = session.start([built])
        cleanup.callback(simulator.kill)
        assert agent.run(RUN_FRAMES, script, 10_000) is True
        simulator.kill()
        simulator.wait(30)
    agent.run(END_FRAMES)
