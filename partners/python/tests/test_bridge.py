"""The bridge of demo/bridge over loopback. docs/BRIDGE.md has the promises."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

import godot_shared_memory as gsm
import pytest
from bridge_rig import FAR, ROLES, Rig, bridge_modules, check
from conftest import eventually, linux
from test_godot import ADDON, GODOT, StartGodot, finish, godot, project  # noqa: F401

zenoh = pytest.importorskip("zenoh", reason="needs eclipse-zenoh (tools/requirements-bridge.txt)")
pytestmark = linux
ZEROS = (0, 0, 0, 0)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def make_rig(tmp_path: pathlib.Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def begin(**how: Any) -> Rig:
        made.append(Rig(tmp_path, free_port(), **how))
        return made[-1]

    yield begin
    for rig in made:
        rig.stop()


def test_all_kinds_pass_whoever_is_killed(make_rig: Callable[..., Rig], chance: random.Random) -> None:
    rig = make_rig()
    order = chance.sample(ROLES, 4)
    for role in order:
        rig.start(role)
    rig.await_passed()
    kills = 0
    for role in order:
        rig.kill(role)
        kills += role == "program"
        rig.start(role)
        rig.await_passed()
    assert rig.check(kills) > 10


class Crash(Exception):
    """The bridge dies here."""


class NoNetwork:
    """Stands for a session of Zenoh."""

    def declare_queryable(self, *_: object) -> list[object]:
        return []


@pytest.mark.parametrize("is_put_in", [False, True])
@pytest.mark.parametrize("again", [1, 2, 3])
def test_a_bridge_that_dies_at_a_message_puts_it_in_once(name: str, is_put_in: bool, again: int) -> None:
    module = bridge_modules()
    batch = [
        (lane, 8 * end, gsm.RawMessage(1, ZEROS, bytes([lane, end]))) for end in (1, 2, 3) for lane in (0, 1)
    ]
    # The bridge dies at the fourth message, once or a few times.
    for _ in range(again):
        receiver = module.QueueReceiver(NoNetwork(), name, 4096, name)
        with receiver.queue, receiver.ledger.memory:
            receiver.queue = Dying(receiver.queue, batch[3][2], is_put_in)
            with contextlib.suppress(Crash):
                receiver.put(7, batch)
    receiver = module.QueueReceiver(NoNetwork(), name, 4096, name)
    with receiver.queue as queue, receiver.ledger.memory:
        assert receiver.put(7, batch) == (module.DONE, 6)
        assert receiver.put(7, batch[:2]) == (module.DONE, 2)
        assert queue.dequeue_all() == [message.content for _, _, message in batch]
        # Other memory there begins from the start.
        assert receiver.put(8, batch[:2]) == (module.DONE, 2)
        assert len(queue.dequeue_all()) == 2
    for end in ("", ".bridge"):
        gsm.remove(name + end)


class Dying:
    """A queue that ends its program at a message, before or after it is put in."""

    def __init__(self, queue: gsm.Queue, message: gsm.RawMessage, is_put_in: bool) -> None:
        self.queue, self.message, self.is_put_in = queue, message, is_put_in

    def enqueue_raw(self, message: gsm.RawMessage, timeout: float) -> None:
        if message == self.message and not self.is_put_in:
            raise Crash
        self.queue.enqueue_raw(message, timeout)
        if message == self.message:
            raise Crash


def test_a_message_that_does_not_fit_stays_where_it_is(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    near, far = rig.name + "_queue", rig.name + "_queue" + FAR
    with gsm.Queue.create(near, 1 << 20) as queue:
        rig.start("near")
        rig.start("far")
        queue.enqueue(b"short")
        queue.enqueue(bytes(100_000))
        queue.enqueue(b"later")
        assert eventually(lambda: "refuses a message of 100000 bytes" in rig.output("near"), 20)
        assert queue.get_message_count() == 2
        with gsm.Queue.open(far) as there:
            assert there.dequeue_all() == [b"short"]


def packets(module: Any, chance: random.Random, sender: bytes) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Makes packets for the keys of a stream and a queue: random ones, and changed ones."""
    number = chance.choice((0, 1, 2**32, 2**64 - 1))
    shape = [chance.choice((0, 1, 5, 2**32 - 1)) for _ in range(4)]
    tag = chance.choice((0, 1, 2, 3, 4, 5, 9, 0x0100_0103, 2**32 - 1))
    header = module.STREAM.pack(module.MAGIC, sender, number, chance.choice((-1, 0, 2**63 - 1)), tag, *shape)
    hello = module.HELLO.pack(module.MAGIC, sender, number, chance.choice((-1, 0, 2**62)))
    ack = module.ACK.pack(module.MAGIC, sender, number, chance.choice((-1, 0, 1)), sender, 2**62, number)
    record = module.RECORD.pack(
        chance.choice((0, 63, 64)), number % 2**64, tag, *shape, chance.choice((0, 4, 2**32 - 1))
    )
    batch = module.BATCH.pack(module.MAGIC, sender, number) + record + chance.randbytes(chance.randrange(9))

    def change(packet: bytes) -> bytes:
        at = chance.randrange(len(packet))
        match chance.randrange(4):
            case 0:
                return packet[:at]
            case 1:
                return packet[:at] + chance.randbytes(1) + packet[at + 1 :]
            case 2:
                return chance.randbytes(len(packet))
        return packet

    yield "stream/{}/data", chance.randbytes(chance.randrange(100)), change(header)
    yield "stream/{}/data", b"", None
    yield "stream/{}/hello", change(hello), None
    yield "stream/{}/ack", change(ack), None
    yield "queue/{}_queue", change(batch), None
    yield "queue/{}_queue", b"", None


def test_a_hostile_program_on_the_network_ends_no_bridge(
    make_rig: Callable[..., Rig], chance: random.Random
) -> None:
    module = bridge_modules()
    rig = make_rig(far_port=free_port())
    rig.start("near")
    rig.start("far")
    for role in ("near", "far"):
        assert eventually(lambda role=role: "is up" in rig.output(role))  # type: ignore[misc]
    endpoints = [rig.endpoint, rig.far_endpoint]
    options = argparse.Namespace(
        listen=[], connect=endpoints, receive_stream=[("", 1 << 24)], receive_queue=[]
    )
    answered = 0
    with zenoh.open(module.configuration(options)) as session:
        token = None
        for number in range(300):
            sender = token if token and chance.random() < 0.5 else chance.randbytes(16)
            for key, payload, attachment in packets(module, chance, sender):
                key = f"godot_shared_memory/{key.format(rig.name)}"  # noqa: PLW2901
                session.put(key, payload, attachment=attachment)
                if "queue" not in key or number % 10:
                    continue
                # Every now and then with the number of a true session.
                for query in (module.MAGIC, payload):
                    for reply in session.get(key, payload=query, timeout=0.2):
                        answer = reply.ok.payload.to_bytes() if reply.ok else b""
                        if query == module.MAGIC and answer:
                            token = module.WELCOME.unpack(answer)[1]
                        assert len(answer) in (0, module.ANSWER.size, module.WELCOME.size)
                        answered += len(answer) == 9
        # More than the other side takes.
        session.put(f"godot_shared_memory/stream/{rig.name}/data", bytes(1 << 23))
    assert answered
    with gsm.Queue.open(rig.name + "_queue" + FAR) as there:
        there.clear()
    # A program that may connect may also send, and the newest sender counts. Now that is the bridge again.
    rig.kill("near")
    rig.start("near")
    rig.start("game")
    assert eventually(lambda: len(rig.records("game", "queue")) > 10)
    with gsm.Stream.open(rig.name + FAR) as stream, gsm.Queue.open(rig.name + "_queue" + FAR) as queue:
        assert check(queue.dequeue(20), 64) == (1, 1)
        assert check(queue.dequeue(20), 64) == (1, 2)

        def is_of_the_game() -> bool:
            with contextlib.suppress(Exception):
                return check(stream.read(), 64)[0] == 1
            return False

        assert eventually(is_of_the_game, 20)
    assert "Traceback" not in rig.output("near") + rig.output("far")


# Sends pictures and values, and tells what comes back.
SCRIPT = """extends SceneTree

func _init() -> void:
	var names := OS.get_cmdline_user_args()
	var stream: Object = ClassDB.instantiate("SharedMemoryStream")
	var queue: Object = ClassDB.instantiate("SharedMemoryQueue")
	var back: Object = ClassDB.instantiate("SharedMemoryQueue")
	stream.create(names[0], 1 << 16)
	queue.create(names[1], 1 << 16)
	back.open(names[2])
	var picture := Image.create_empty(3, 2, false, Image.FORMAT_RGBAF)
	picture.set_pixel(1, 0, Color(0.5, 1, 2, 1))
	var typed: Array[int] = [1, 2]
	stream.write(picture)
	for value: Variant in [picture, typed, PackedVector3Array([Vector3(1, 2, 3)]), PackedStringArray(["a"]),
			{&"name": ^"/root"}, "text", PackedByteArray([1, 2])]:
		queue.enqueue(value, 20000)
		var answer: Variant = back.dequeue(20000)
		var told: Variant = [answer.get_format(), answer.get_data()] if answer is Image else answer
		var sent: Variant = [value.get_format(), value.get_data()] if value is Image else value
		if typeof(answer) != typeof(value) or told != sent:
			printerr("ERROR: ", value, " came back as ", answer)
	quit()
"""


@pytest.mark.skipif(not GODOT or not (ADDON / "bin").exists(), reason="needs Godot and the addon")
def test_godot_and_python_talk_over_the_bridge(
    make_rig: Callable[..., Rig],
    project: pathlib.Path,  # noqa: F811
    godot: StartGodot,  # noqa: F811
) -> None:
    rig = make_rig(back="_near")
    near, far = rig.name + "_queue", rig.name + "_queue" + FAR
    (project / "bridge.gd").write_text(SCRIPT)
    game = godot("bridge", rig.name, near, rig.name + "_back_near")
    rig.start("near")
    rig.start("far")
    with gsm.Queue.create(rig.name + "_back", 1 << 16) as back, gsm.Queue.open(far) as there:
        with gsm.Stream.open(rig.name + FAR) as stream:
            stream.wait(20)
            assert stream.get_message_shape() == (2, 3, 4)
            assert stream.read()[0, 1].tolist() == [0.5, 1, 2, 1]
            assert 0 <= (stream.get_age() or -1) < 20
        for _ in range(7):
            there.wait(20)
            for message in there.peek_raw():
                back.enqueue_raw(message, 20)
                there.take_out(message)
        finish(game)
