#!/usr/bin/env python3
"""Mirrors streams and queues to memory of the same name on another machine, over Zenoh.

Neither game changes a line. On the machine of the camera, and on that of the viewer:

    python bridge.py --listen tcp/192.0.2.1:7447 --send-stream camera --receive-queue commands 65536
    python bridge.py --connect tcp/192.0.2.1:7447 --receive-stream camera 8294400 --send-queue commands

A stream gives the newest value: older ones are dropped under a slow link. A queue gives each message once, in
the order of its producer. docs/BRIDGE.md has the promises and the limits.
"""

import argparse
import collections
import contextlib
import os
import secrets
import signal
import struct
import sys
import threading
import time
import traceback
import urllib.parse

import godot_shared_memory as gsm
import zenoh

# Each packet begins with these bytes, which change with the packets.
MAGIC = b"GSB1"
# Of a stream's message, which is the payload: the sender, the number, the time, the tag and the shape. The
# time is nanoseconds of the receiver's clock, or -1.
STREAM = struct.Struct("<4s16sQq5I")
# A greeting of a stream's sender: sender, number, time. The answer to it, or to a message: sender, number,
# the time of the greeting or 0; receiver, its clock, and the bytes of the longest message there.
HELLO, ACK = struct.Struct("<4s16sQq"), struct.Struct("<4s16sQq16sqQ")
# The answer to a greeting of a queue's sender: the session, and the bytes of the longest message.
WELCOME = struct.Struct("<4s16sQ")
# A batch of a queue: the session, and the incarnation of the memory. The answer: the state, and the messages
# that are done.
BATCH, ANSWER = struct.Struct("<4s16sQ"), struct.Struct("<4sBI")
# Of each message in a batch: the lane, the end, the tag, the shape and the length.
RECORD = struct.Struct("<IQ6I")
DONE, STRANGER, REFUSED = range(3)
# The bytes of a stream's short messages that are on their way at a time, or else two messages.
WINDOW = 1 << 16
# The most bytes of a queue that are on their way at a time. A longer message travels alone.
BATCH_SIZE = 1 << 18
# Seconds after which a packet of a stream counts as lost, and between two greetings.
LOST, GREETING = 2.0, 0.25
CONTROL = {"priority": zenoh.Priority.REAL_TIME, "express": True}
DROP = zenoh.CongestionControl.DROP
# Set once the bridge is to end.
STOP = threading.Event()


def say(text):
    print(text, flush=True)


class Complaints:
    """Says what is wrong, but once per second at most: another program decides how often it happens."""

    def __init__(self, name):
        self.name, self.said = name, 0.0

    def say(self, text):
        if time.monotonic() - self.said > 1.0:
            self.said = time.monotonic()
            say(f"{self.name}: {text}")


def key_of(kind, name):
    # Some characters have a meaning in a key.
    return f"godot_shared_memory/{kind}/{urllib.parse.quote(name, safe='')}"


def unpack(format, data):
    """Returns the fields of a packet, or None for bytes that are none."""
    if len(data) != format.size or data[:4] != MAGIC:
        return None
    return format.unpack(data)[1:]


class StreamSender:
    """Publishes the newest message, whenever there is one and the link has room for it."""

    def __init__(self, session, name):
        self.complaints, self.id, self.number = (
            Complaints(name),
            secrets.token_bytes(16),
            0,
        )
        self.memory = self.stream = gsm.Stream.open(name)
        key = key_of("stream", name)
        self.data = session.declare_publisher(f"{key}/data", congestion_control=DROP)
        self.hello = session.declare_publisher(
            f"{key}/hello", congestion_control=DROP, **CONTROL
        )
        self.lock = threading.Condition()
        self.receiver, self.unsent = None, True
        self.message, self.written, self.greeted, self.flight = None, None, 0.0, 0.0
        # Number, bytes and time of what is on its way. Of each answer: its time, its delay, and the
        # difference of the clocks that follows from it.
        self.flying, self.clocks = collections.deque(), collections.deque(maxlen=256)
        session.declare_subscriber(f"{key}/ack", self.answered)

    def answered(self, sample):
        now, ack = time.monotonic_ns(), unpack(ACK, sample.payload.to_bytes())
        if not ack or ack[0] != self.id or not 0 <= ack[2] <= now:
            return
        _, number, sent, receiver, there, limit = ack
        with self.lock:
            if (receiver, limit) != self.receiver:
                # Another process, perhaps on another machine, or other memory.
                self.receiver, self.unsent = (receiver, limit), True
                self.flying.clear()
                self.clocks.clear()
            if sent:
                self.clocks.append((now, now - sent, there - (sent + now) // 2))
            while self.flying and self.flying[0][0] <= number:
                self.flight = time.monotonic() - self.flying.popleft()[2]
            self.lock.notify()

    def run(self):
        while not STOP.is_set():
            self.greet()
            try:
                self.stream.wait(GREETING)
                self.message = self.stream.read_raw()
                self.written = None
                if self.message.age is not None:
                    self.written = time.monotonic_ns() - int(self.message.age * 1e9)
                self.number, self.unsent = self.number + 1, True
            except gsm.DataError as error:
                self.complaints.say(f"a message can't be read: {error}")
            except gsm.TimeoutError:
                pass
            except gsm.Error:
                # There is no memory, or no writer.
                time.sleep(0.02)
            with self.lock:
                # While this waits, newer messages replace each other in the memory.
                is_room = self.lock.wait_for(self.has_room, GREETING)
                # Without the receiver's clock, there is no receiver yet.
                is_due = is_room and self.unsent and self.message and self.clocks
                packet = self.packet() if is_due else None
            if packet:
                # Waits for the link for a second at most, and drops the message then.
                self.data.put(packet[0], attachment=packet[1])

    def greet(self):
        now = time.monotonic()
        if now - self.greeted >= GREETING:
            self.greeted = now
            self.hello.put(HELLO.pack(MAGIC, self.id, self.number, time.monotonic_ns()))

    def has_room(self):
        now = time.monotonic()
        if self.flying and now - self.flying[-1][2] > LOST:
            # The newest one was dropped on its way, or the receiver is gone.
            self.flying.clear()
            self.unsent = True
        if not self.flying:
            return True
        # A longer way than the shortest one by this says that messages wait for the link, and grow old there.
        longest = (
            min(clock[1] for clock in self.clocks) / 1e9 + 0.05 if self.clocks else 0.0
        )
        is_slow = max(self.flight, now - self.flying[0][2]) > longest
        is_small = (
            len(self.flying) < 2 or sum(size for _, size, _ in self.flying) < WINDOW
        )
        return is_small and not is_slow

    def packet(self):
        tag, shape, content = self.message[:3]
        self.unsent = False
        if len(content) > self.receiver[1]:
            told = (
                f"a message of {len(content)} bytes is longer than the other side takes"
            )
            self.complaints.say(told)
            return None
        there = -1
        if self.written is not None:
            now = time.monotonic_ns()
            # The answer with the shortest delay is the most exact one.
            recent = [
                clock for clock in self.clocks if now - clock[0] < 60e9
            ] or self.clocks
            there = max(0, self.written + min(recent, key=lambda clock: clock[1])[2])
        self.flying.append((self.number, len(content) + STREAM.size, time.monotonic()))
        return content, STREAM.pack(MAGIC, self.id, self.number, there, tag, *shape)


class StreamReceiver:
    """Writes what comes to the memory, if it is newer than what is there."""

    def __init__(self, session, name, size, local):
        self.complaints, self.id = Complaints(name), secrets.token_bytes(16)
        self.sender, self.number, self.earlier = None, 0, collections.deque(maxlen=1000)
        self.stream = (
            gsm.Stream.create(local, size, 4) if size else gsm.Stream.open(local)
        )
        self.memory = self.stream
        key = key_of("stream", name)
        self.ack = session.declare_publisher(
            f"{key}/ack", congestion_control=DROP, **CONTROL
        )
        # Keeps the newest one alone, so that a slow program here has no old messages before it.
        self.data = session.declare_subscriber(
            f"{key}/data", zenoh.handlers.RingChannel(1)
        )
        session.declare_subscriber(f"{key}/hello", self.greeted)

    def greeted(self, sample):
        hello = unpack(HELLO, sample.payload.to_bytes())
        if hello:
            sender, _, sent = hello
            self.answer(sender, self.number if sender == self.sender else 0, sent)

    def answer(self, sender, number, sent):
        try:
            limit = self.stream.get_capacity()
        except gsm.Error:
            # There is no memory.
            limit = 0
        now = time.monotonic_ns()
        self.ack.put(ACK.pack(MAGIC, sender, number, sent, self.id, now, limit))

    def run(self):
        for sample in self.data:
            attachment = sample.attachment
            header = attachment and unpack(STREAM, attachment.to_bytes())
            if not header:
                continue
            sender, number, written, tag, *shape = header
            if sender != self.sender:
                if sender in self.earlier:
                    # It was on its way when the sender was replaced.
                    continue
                self.earlier.append(self.sender)
                self.sender, self.number = sender, 0
            if number > self.number:
                age = (
                    None
                    if written < 0
                    else max(0.0, (time.monotonic_ns() - written) / 1e9)
                )
                message = gsm.RawMessage(
                    tag, tuple(shape), sample.payload.to_bytes(), age
                )
                try:
                    self.stream.write_raw(message)
                except gsm.ArgumentError as error:
                    self.complaints.say(f"a message is dropped: {error}")
                except gsm.Error as error:
                    # The sender sends it again.
                    self.complaints.say(f"a message has no place: {error}")
                    continue
                self.number = number
            self.answer(sender, self.number, 0)


class QueueSender:
    """Sends the messages at the head of the queue, and takes out those that are in the queue there."""

    def __init__(self, session, name):
        self.complaints, self.session, self.token = Complaints(name), session, None
        self.memory = self.queue = gsm.Queue.open(name)
        self.key = key_of("queue", name)
        self.patience, self.limit = 5.0, 0
        # The bytes of a batch, and the seconds of the fastest answer.
        self.size, self.fastest = 1 << 12, 1.0

    def ask(self, payload):
        """Returns the answer, or None if there was none in time. The other side may have acted then."""
        start = time.monotonic()
        replies = self.session.get(
            self.key,
            payload=payload,
            timeout=self.patience,
            congestion_control=zenoh.CongestionControl.BLOCK,
        )
        answers = [reply.ok.payload.to_bytes() for reply in replies if reply.ok]
        if answers:
            taken = time.monotonic() - start
            self.patience, self.fastest = 5.0, min(self.fastest, taken)
            # Messages of streams share the link, and wait for a batch that is on its way.
            if taken > self.fastest + 0.1:
                self.size = max(self.size // 2, 1 << 12)
            elif taken < self.fastest + 0.02:
                self.size = min(self.size * 2, BATCH_SIZE)
            return answers[0]
        if time.monotonic() - start >= self.patience:
            # A large message takes its time on a slow link.
            self.patience = min(2 * self.patience, 300)
        time.sleep(0.1)
        return None

    def run(self):
        while not STOP.is_set():
            try:
                self.queue.wait(1.0)
                batch = self.queue.peek_raw(self.size)
            except gsm.TimeoutError:
                continue
            except gsm.Error:
                # There is no memory, or no producer.
                time.sleep(0.02)
                continue
            if batch and not batch[0].tag:
                self.complaints.say("a message of an unknown kind is dropped")
                self.queue.take_out(batch[0])
            elif batch and (self.token or self.greet()):
                self.send(batch)

    def greet(self):
        # The answer is a number that no packet on its way can have.
        welcome = unpack(WELCOME, self.ask(MAGIC) or b"")
        self.token, self.limit = welcome or (None, 0)
        return self.token

    def send(self, batch):
        if len(batch[0].content) > self.limit:
            self.complain(batch[0])
            # The other side may come back with more memory.
            self.token = None
            STOP.wait(1.0)
            return
        parts = [BATCH.pack(MAGIC, self.token, batch[0].place[0])]
        for tag, shape, content, _, (_, lane, end) in batch:
            if not tag or len(content) > self.limit:
                break
            parts += [RECORD.pack(lane, end, tag, *shape, len(content)), content]
        answer = self.ask(b"".join(parts))
        state, done = answer and unpack(ANSWER, answer) or (STRANGER, 0)
        for message in batch[:done]:
            self.queue.take_out(message)
        if state == STRANGER:
            self.token = None
        elif state == REFUSED and done < len(batch):
            self.complain(batch[done])

    def complain(self, message):
        size = len(message.content)
        self.complaints.say(
            f"the other side refuses a message of {size} bytes; the queue stands still"
        )


class Ledger:
    """What was put into the queue, in memory that outlives this process: the last message of each lane there.

    A message is noted before it is put in, with the tail of the queue. If the tail is the same after a
    restart, the message was not put in.
    """

    # Of each lane: the number of the entry that is valid, and two entries.
    LANE, ENTRY = 128, struct.Struct("<QQqq")

    def __init__(self, name, queue):
        self.memory = gsm.SharedMemory.open_or_create(
            name, 64 * self.LANE, persistent=True
        )
        self.queue = queue.get_memory()
        self.last = [self.load(lane) for lane in range(64)]

    def position(self):
        # The tail of the only lane, and the incarnation (docs/FORMAT.md).
        return self.queue.atomic_load_s64(0x100), self.queue.atomic_load_s64(0x18)

    def entry(self, lane, number):
        return lane * self.LANE + 32 + number % 2 * self.ENTRY.size

    def load(self, lane):
        valid = self.memory.atomic_load_u32(lane * self.LANE)
        entries = [
            self.ENTRY.unpack(self.memory.read(self.entry(lane, n), self.ENTRY.size))
            for n in (0, 1)
        ]
        if entries[valid % 2][2:] == self.position():
            valid += 1
            self.memory.atomic_store_u32(lane * self.LANE, valid % 2)
        return entries[valid % 2][:2]

    def note(self, lane, incarnation, end):
        other = self.memory.atomic_load_u32(lane * self.LANE) + 1
        self.memory.write(
            self.ENTRY.pack(incarnation, end, *self.position()), self.entry(lane, other)
        )
        self.memory.atomic_store_u32(lane * self.LANE, other % 2)
        self.last[lane] = incarnation, end

    def has(self, lane, incarnation, end):
        return self.last[lane][0] == incarnation and end <= self.last[lane][1]

    def forget(self, lane):
        """Takes back a note of a message that was not put in."""
        self.last[lane] = self.load(lane)


class QueueReceiver:
    """Puts what comes into the queue, each message once, and says how much of it is done."""

    def __init__(self, session, name, size, local):
        self.complaints, self.token = Complaints(name), None
        ring = 1 << max(6, (size - 1).bit_length())
        # It outlives this process, with its messages.
        self.memory = gsm.SharedMemory.open_or_create(
            local, 512 + ring, persistent=True
        )
        self.queue = gsm.Queue.attach(self.memory, ring, 1)
        self.ledger = Ledger(f"{local}.bridge", self.queue)
        self.queries = session.declare_queryable(
            key_of("queue", name), zenoh.handlers.RingChannel(4)
        )

    def run(self):
        for query in self.queries:
            data = query.payload.to_bytes() if query.payload else b""
            if data == MAGIC:
                self.token = secrets.token_bytes(16)
                limit = self.queue.get_max_message_size()
                query.reply(query.key_expr, WELCOME.pack(MAGIC, self.token, limit))
            elif records := self.parse(data):
                state, done = self.put(*records)
                query.reply(query.key_expr, ANSWER.pack(MAGIC, state, done))
            query.drop()

    def parse(self, data):
        """Returns the incarnation and the messages of a batch; None for bytes that are none."""
        head = unpack(BATCH, data[: BATCH.size])
        if not head:
            return None
        token, incarnation = head
        if token != self.token:
            return None, []
        messages, at = [], BATCH.size
        while at < len(data):
            if len(data) - at < RECORD.size:
                return None
            lane, end, tag, *shape, length = RECORD.unpack_from(data, at)
            at += RECORD.size
            if lane >= 64 or end >= 1 << 62 or length > len(data) - at:
                return None
            messages.append(
                (lane, end, gsm.RawMessage(tag, tuple(shape), data[at : at + length]))
            )
            at += length
        return incarnation, messages

    def put(self, incarnation, messages):
        if incarnation is None:
            return STRANGER, 0
        # The other side waits for the answer.
        deadline = time.monotonic() + 1.0
        for done, (lane, end, message) in enumerate(messages):
            if self.ledger.has(lane, incarnation, end):
                continue
            self.ledger.note(lane, incarnation, end)
            try:
                self.queue.enqueue_raw(message, max(0.0, deadline - time.monotonic()))
                continue
            except gsm.ArgumentError as error:
                state = REFUSED
                self.complaints.say(f"a message is refused: {error}")
                time.sleep(0.5)
            except (gsm.BusyError, gsm.TimeoutError):
                state = DONE
            except gsm.ConnectionError:
                # The consumer has ended. Another one may come.
                state = DONE
                time.sleep(0.05)
            self.ledger.forget(lane)
            return state, done
        return DONE, len(messages)


def configuration(options):
    """Returns the settings of Zenoh: the given addresses and no others, and limits for what comes."""
    sizes = [int(size) for _, size in options.receive_stream + options.receive_queue]
    config = zenoh.Config()
    settings = {
        "mode": '"peer"',
        "listen/endpoints": str(options.listen).replace("'", '"'),
        "connect/endpoints": str(options.connect).replace("'", '"'),
        # Where nobody listens yet, it tries again.
        "connect/timeout_ms": "-1",
        "connect/exit_on_failure": "false",
        "connect/retry": '{"period_init_ms": 200, "period_max_ms": 1000, "period_increase_factor": 1.5}',
        "scouting/multicast/enabled": "false",
        "scouting/gossip/enabled": "false",
        # Zenoh's own shared memory is for processes of one machine.
        "transport/shared_memory/enabled": "false",
        "transport/unicast/max_sessions": "16",
        "transport/link/tx/lease": "3000",
        # A longer message than fits into the memory here ends the connection before it takes memory.
        "transport/link/rx/max_message_size": str(
            max([BATCH_SIZE, *sizes]) + (1 << 16)
        ),
        # The parts of a message that has begun wait for the link. Only whole messages are dropped.
        "transport/link/tx/queue/congestion_control/drop/max_wait_before_drop_fragments": "30000000",
        "transport/link/tx/queue/congestion_control/drop/wait_before_drop": "1000000",
    }
    for key, value in settings.items():
        config.insert_json5(key, value)
    return config


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    many = {"action": "append", "default": []}
    add(
        "--listen",
        **many,
        metavar="ENDPOINT",
        help="where the other side connects, as tcp/ADDRESS:PORT",
    )
    add("--connect", **many, metavar="ENDPOINT", help="where the other side listens")
    add(
        "--send-stream",
        **many,
        metavar="NAME",
        help="mirror this stream to the other side",
    )
    add(
        "--send-queue",
        **many,
        metavar="NAME",
        help="mirror this queue; its only consumer is the bridge",
    )
    to = {"nargs": 2, **many, "metavar": ("NAME", "SIZE")}
    add(
        "--receive-stream",
        **to,
        help="make this stream, for messages of SIZE bytes; with 0, follow the name",
    )
    add(
        "--receive-queue",
        **to,
        help="make this queue, with a buffer of SIZE bytes, more than twice a message",
    )
    add(
        "--suffix",
        default="",
        help="what names of received memory end with here, to try it on one machine",
    )
    options = parser.parse_args()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: STOP.set())
    failures = []

    def run(mirror):
        try:
            mirror.run()
        except Exception:
            # At the end, the memory and the connection are closed under it.
            if not STOP.is_set():
                failures.append(traceback.format_exc())
                STOP.set()

    session = zenoh.open(configuration(options))
    mirrors = [StreamSender(session, name) for name in options.send_stream]
    mirrors += [QueueSender(session, name) for name in options.send_queue]
    for kind, given in (
        (StreamReceiver, options.receive_stream),
        (QueueReceiver, options.receive_queue),
    ):
        mirrors += [
            kind(session, name, int(size), name + options.suffix)
            for name, size in given
        ]
    threads = [
        threading.Thread(target=run, args=(mirror,), daemon=True) for mirror in mirrors
    ]
    for thread in threads:
        thread.start()
    say("the bridge is up")
    while not STOP.wait(1.0):
        pass
    for mirror in mirrors:
        mirror.memory.close()
    with contextlib.suppress(zenoh.ZError):
        session.close()
    for thread in threads:
        thread.join(5)
    print("".join(failures), end="", file=sys.stderr, flush=True)
    # A thread that still waits for the network must not hold the end up.
    os._exit(bool(failures))


if __name__ == "__main__":
    main()
