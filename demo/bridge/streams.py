"""Mirrors of streams: the newest message arrives, and the link never fills with older ones.

The sender greets the receiver a few times per second. The answers tell how much has arrived, and what the
receiver's clock says, so that a message keeps its age.
"""

import collections
import secrets
import struct
import threading
import time

import godot_shared_memory as gsm
import zenoh
from packets import MAGIC, STOP, Complaints, key_of, unpack

# Of a message, which is the payload: the sender, the number, the time, the tag and the shape. The time is
# nanoseconds of the receiver's clock, or -1.
STREAM = struct.Struct("<4s16sQq5I")
# A greeting: sender, number, time. The answer to it, or to a message: sender, number, the time of the
# greeting or 0. Then the receiver, its clock, and the bytes of the longest message there.
HELLO, ACK = struct.Struct("<4s16sQq"), struct.Struct("<4s16sQq16sqQ")
# The bytes of short messages that are on their way at a time, or else two messages.
WINDOW = 1 << 16
# Seconds after which a message counts as lost, and between two greetings.
LOST, GREETING = 2.0, 0.25
CONTROL = {"priority": zenoh.Priority.REAL_TIME, "express": True}
DROP = zenoh.CongestionControl.DROP


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
                message = self.stream.read_raw()
                # There is none after a reset.
                if message:
                    self.message, self.written = message, None
                    if message.age is not None:
                        self.written = time.monotonic_ns() - int(message.age * 1e9)
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
