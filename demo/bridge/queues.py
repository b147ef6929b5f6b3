"""Mirrors of queues: each message arrives once, in the order of its producer.

The sender leaves messages in the queue until the receiver has put them into its own. Each has a place that no
other message ever has. The receiver notes the place of the last one in memory that outlives it.
"""

import secrets
import struct
import time

import godot_shared_memory as gsm
import zenoh
from packets import MAGIC, STOP, Complaints, key_of, unpack

# The answer to a greeting: the session, and the bytes of the longest message.
WELCOME = struct.Struct("<4s16sQ")
# A batch: the session, and the incarnation of the memory. The answer: the state, and how many are done.
BATCH, ANSWER = struct.Struct("<4s16sQ"), struct.Struct("<4sBI")
# Of each message in a batch: the lane, the end, the tag, the shape and the length.
RECORD = struct.Struct("<IQ6I")
DONE, STRANGER, REFUSED = range(3)
# The most bytes that are on their way at a time. A longer message travels alone.
BATCH_SIZE = 1 << 18


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
    """The last message of each lane that was put into the queue, in memory that outlives this process.

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
            except gsm.InUseError as error:
                state = DONE
                self.complaints.say(f"another program puts messages in: {error}")
                time.sleep(0.5)
            self.ledger.forget(lane)
            return state, done
        return DONE, len(messages)
