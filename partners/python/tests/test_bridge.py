"""The bridge of demo/bridge between two names of this machine, over loopback. docs/BRIDGE.md has the promises."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import pathlib
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

import godot_shared_memory as gsm
import pytest
from bridge_rig import BRIDGE, FAR, ROLES, Rig
from conftest import eventually, linux

pytest.importorskip("zenoh", reason="needs eclipse-zenoh (tools/requirements-bridge.txt)")
pytestmark = linux
ZEROS = (0, 0, 0, 0)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def make_rig(tmp_path: pathlib.Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def begin(**how: object) -> Rig:
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


def load_bridge() -> Any:
    spec = importlib.util.spec_from_file_location("bridge", BRIDGE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("is_put_in", [False, True])
@pytest.mark.parametrize("again", [1, 2, 3])
def test_a_bridge_that_dies_at_a_message_puts_it_in_once(name: str, is_put_in: bool, again: int) -> None:
    module = load_bridge()
    batch = [(lane, 8 * end, gsm.RawMessage(1, ZEROS, bytes([lane, end]))) for end in (1, 2, 3) for lane in (0, 1)]
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
        assert "message is refused: message: " in rig.output("far")


def packets(module: Any, chance: random.Random, sender: bytes) -> Iterator[tuple[str, bytes, bytes | None]]:
    """Makes packets for the keys of a stream and a queue: random ones, and changed ones."""
    number = chance.choice((0, 1, 2**32, 2**64 - 1))
    shape = [chance.choice((0, 1, 5, 2**32 - 1)) for _ in range(4)]
    tag = chance.choice((0, 1, 2, 3, 4, 5, 9, 0x0100_0103, 2**32 - 1))
    header = module.STREAM.pack(module.MAGIC, sender, number, chance.choice((-1, 0, 2**63 - 1)), tag, *shape)
    hello = module.HELLO.pack(module.MAGIC, sender, number, chance.choice((-1, 0, 2**62)))
    ack = module.ACK.pack(module.MAGIC, sender, number, chance.choice((-1, 0, 1)), sender, 2**62)
    record = module.RECORD.pack(chance.choice((0, 63, 64)), number % 2**64, tag, *shape, chance.choice((0, 4, 2**32 - 1)))
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
    import zenoh

    module = load_bridge()
    rig = make_rig()
    for role in ROLES:
        rig.start(role)
    rig.await_passed()
    options = argparse.Namespace(
        listen=[], connect=[rig.endpoint], receive_stream=[("", 1 << 24)], receive_queue=[]
    )
    with zenoh.open(module.configuration(options)) as session:
        # Gossip is off, so that only the bridge that listens gets these. It passes them on to nobody.
        for _ in range(300):
            for key, payload, attachment in packets(module, chance, chance.randbytes(16)):
                key = f"godot_shared_memory/{key.format(rig.name)}"  # noqa: PLW2901
                session.put(key, payload, attachment=attachment)
                if "queue" in key and chance.random() < 0.2:
                    for reply in session.get(key, payload=payload, timeout=0.05):
                        assert reply.err or len(reply.ok.payload.to_bytes()) <= 64
        # More than the other side takes.
        session.put(f"godot_shared_memory/stream/{rig.name}/data", bytes(1 << 23))
    rig.await_passed()
    rig.check()
