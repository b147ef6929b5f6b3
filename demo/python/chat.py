#!/usr/bin/env python3
"""A conversation with the Godot scene demo/chat through one piece of shared memory.

The layout of the memory. Numbers have 32 bits and are little-endian:

    Godot   Python
    0x000   0x200   text          UTF-8, ends with a zero byte: at most 491 bytes before it
    0x1EC   0x3EC   mark          the letters CHAT
    0x1F0   0x3F0   session       drawn at random when a side joins; 0: this side is not here
    0x1F4   0x3F4   counter       up by 2 with each message; odd: the text is being written
    0x1F8   0x3F8   seen session  \\ the last message of the other side that this side has read
    0x1FC   0x3FC   seen counter  / (0: it has seen the other side join)

Each side writes to its own half only. Godot's text is at the start, where a program finds it
that knows nothing of this layout.

* A writer sets the counter to an odd number, writes the text, and sets the counter to the next
  even number. A reader reads the numbers, the text, and the numbers again. If they have changed
  or the counter is odd, the text may be a mixture, and the reader tries again later. x86 keeps
  the order of two stores. ARM does not promise it; in practice, the time between two calls is
  enough.
* The memory may outlive a program that was killed, and still hold its text and numbers. So the
  other side is here only if its "seen session" is this side's session. It can only have that
  number from this memory, after this side has joined.
* A side writes its next message once the last one was seen, or after SEEN_TIMEOUT.
"""

from __future__ import annotations

import collections
import queue
import secrets
import struct
import sys
import threading
import time

from segment import (
    POLL_INTERVAL,
    NotThereError,
    Segment,
    SegmentError,
    argument_parser,
    run,
)

NAME = "SharedMemoryChat"
CHAT_SIZE = 1024
MINE = 0x200
THEIRS = 0x000

TEXT_SIZE = 0x1EC
MARK_AT = 0x1EC
SESSION_AT = 0x1F0
COUNTER_AT = 0x1F4
SEEN_AT = 0x1F8
MARK = b"CHAT"

SEEN_TIMEOUT = 1.0
AUTO_TIMEOUT = 20.0
NAME_CHECK_INTERVAL = 0.25

HELLO_FROM_GODOT = "Hello world from Godot Shared Memory!"
HELLO_FROM_PYTHON = "Hello world from Python Shared Memory!"


def text_bytes(text: str) -> bytes:
    """Returns the text as it stands in the memory: with zeros up to the end of its place."""
    data = text.encode()
    if len(data) >= TEXT_SIZE:
        raise SegmentError(
            f"the text has {len(data)} bytes, at most {TEXT_SIZE - 1} fit"
        )
    if b"\0" in data:
        raise SegmentError("the text contains a zero byte, which ends a text")
    return data.ljust(TEXT_SIZE, b"\0")


class Chat:
    """Python's side of the conversation. `poll` has to be called again and again."""

    def __init__(self, segment: Segment) -> None:
        if segment.size < CHAT_SIZE:
            raise SegmentError(
                f"a conversation needs {CHAT_SIZE} bytes, and there are {segment.size}"
            )
        self.segment = segment
        self.partner_here = False
        self._session = secrets.randbelow(0xFFFFFFFF) + 1
        self._counter = 0
        self._seen = (0, 0)
        self._was_seen = True
        self._written_at = 0.0
        self._unsent: collections.deque[str] = collections.deque()
        self._last_text = ""
        self._write(SESSION_AT, self._session, 0, 0, 0)
        segment.write(MARK, MINE + MARK_AT)

    def say(self, text: str) -> None:
        """Sends a text. It is in the memory at once, unless Godot has not seen the one before."""
        text_bytes(text)
        self._unsent.append(text)
        self._write_next()

    def all_seen(self) -> bool:
        """Returns whether Godot has seen everything that was said."""
        return self._was_seen and not self._unsent

    def has_finished(self) -> bool:
        """Returns whether everything was written, and was seen or has waited long enough."""
        return not self._unsent and not self._is_waiting()

    def unseen(self) -> list[str]:
        """Returns what Godot has not seen."""
        return ([] if self._was_seen else [self._last_text]) + list(self._unsent)

    def poll(self) -> str | None:
        """Looks at Godot's half, and returns a new message or None."""
        session, counter, *seen_by_partner = self._numbers(THEIRS)
        if self._numbers(MINE)[0] != self._session:
            raise SegmentError(
                "another program has written to Python's half of the memory"
            )
        if self.segment.read(len(MARK), THEIRS + MARK_AT) != MARK:
            session = 0
        if session not in (0, self._seen[0]):
            self._see(session, 0)
        self.partner_here = session != 0 and seen_by_partner[0] == self._session
        text = None
        if self.partner_here:
            text = self._new_text(session, counter)
        # A partner that has left keeps these two numbers.
        if seen_by_partner == [self._session, self._counter]:
            self._was_seen = True
        self._write_next()
        return text

    def leave(self) -> None:
        """Leaves the conversation. The last text stays in the memory."""
        if self._numbers(MINE)[0] == self._session:
            self._write(SESSION_AT, 0, 0)

    def _new_text(self, session: int, counter: int) -> str | None:
        if counter == 0 or counter % 2 == 1 or self._seen == (session, counter):
            return None
        text = self.segment.read_text(TEXT_SIZE, THEIRS)
        if self._numbers(THEIRS)[:2] != [session, counter]:
            return None
        self._see(session, counter)
        return text

    def _write_next(self) -> None:
        if not self._unsent or self._is_waiting():
            return
        self._last_text = self._unsent.popleft()
        self._write(COUNTER_AT, self._counter + 1)
        self.segment.write(text_bytes(self._last_text), MINE)
        self._counter += 2
        self._write(COUNTER_AT, self._counter)
        self._was_seen = False
        self._written_at = time.monotonic()

    def _is_waiting(self) -> bool:
        return not self._was_seen and time.monotonic() < self._written_at + SEEN_TIMEOUT

    def _see(self, session: int, counter: int) -> None:
        self._seen = (session, counter)
        self._write(SEEN_AT, session, counter)

    def _numbers(self, side: int) -> list[int]:
        return list(struct.unpack("<4I", self.segment.read(16, side + SESSION_AT)))

    def _write(self, offset: int, *numbers: int) -> None:
        self.segment.write(struct.pack(f"<{len(numbers)}I", *numbers), MINE + offset)


class Connection:
    """A `Chat` that follows the name: a side that comes back may have made another memory."""

    def __init__(self, segment: Segment, may_create: bool) -> None:
        self._segment = segment
        self._may_create = may_create
        self._checked_at = time.monotonic()
        self.chat = Chat(segment)

    def poll(self) -> str | None:
        is_current = True
        if time.monotonic() > self._checked_at + NAME_CHECK_INTERVAL:
            self._checked_at = time.monotonic()
            is_current = self._segment.is_current()
        # After the look at the name: Godot writes its last text before it removes the name.
        text = self.chat.poll()
        if not is_current and text is None:
            self._reopen()
        return text

    def close(self) -> None:
        self.chat.leave()
        self._segment.close()

    def _reopen(self) -> None:
        find = Segment.open_or_create if self._may_create else Segment.open
        try:
            segment = find(self._segment.name, self._segment.size)
        except NotThereError:
            return
        unseen = self.chat.unseen()
        self._segment.close()
        self._segment = segment
        self.chat = Chat(segment)
        for text in unseen:
            self.chat.say(text)


def talk(connection: Connection) -> None:
    """Sends the lines typed and prints the texts received, until the input ends."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    input_ended = threading.Event()
    errors: list[Exception] = []

    def converse() -> None:
        partner_was_here = False
        while not (
            input_ended.is_set() and lines.empty() and connection.chat.has_finished()
        ):
            while not lines.empty():
                try:
                    connection.chat.say(lines.get())
                except SegmentError as error:
                    print(f"[not sent: {error}]")
            text = connection.poll()
            if connection.chat.partner_here != partner_was_here:
                partner_was_here = not partner_was_here
                print("[Godot is here]" if partner_was_here else "[Godot has left]")
            if text is not None:
                print(f"Godot: {text}")
            time.sleep(POLL_INTERVAL)

    def converse_or_report() -> None:
        try:
            converse()
        except Exception as error:
            # The main thread, which waits for a line, raises it.
            errors.append(error)
            print("[the conversation has ended; press Enter]")

    # The main thread reads: reading a line blocks, and Ctrl-C wakes only the main thread.
    conversation = threading.Thread(target=converse_or_report)
    conversation.start()
    print("Type a line to send it. Ctrl-C ends.")
    try:
        for line in sys.stdin:
            if not conversation.is_alive():
                break
            if line.strip():
                lines.put(line.rstrip("\r\n"))
    except KeyboardInterrupt:
        print()
    finally:
        input_ended.set()
        conversation.join()
    if errors:
        raise errors[0]


def exchange_hellos(connection: Connection, answer: str, timeout: float) -> int:
    """Waits for Godot's hello, answers it, and waits until the answer was seen."""
    deadline = time.monotonic() + timeout
    greeted = False
    while time.monotonic() < deadline:
        text = connection.poll()
        if text is not None:
            print(f"Python received: {text}")
        if text == HELLO_FROM_GODOT and not greeted:
            connection.chat.say(answer)
            greeted = True
            print(f"Python sent: {answer}")
        if greeted and connection.chat.all_seen():
            return 0
        time.sleep(POLL_INTERVAL)
    if greeted:
        reason = "Godot did not see the answer"
    elif connection.chat.partner_here:
        reason = "Godot is here, but did not say hello"
    else:
        reason = "Godot did not come"
    raise SegmentError(f"{reason} within {timeout:g} seconds")


def main() -> int:
    parser = argument_parser(
        "A conversation with the Godot scene demo/chat. The side that starts first makes the memory.",
        "do not make the memory: wait this long for Godot to make it; with --auto: how long the "
        f"whole exchange may take ({AUTO_TIMEOUT:g})",
    )
    parser.set_defaults(name=NAME, size=CHAT_SIZE)
    parser.add_argument(
        "--auto",
        action="store_true",
        help="answer Godot's hello, print both, and end: with exit code 1 if it does not come",
    )
    parser.add_argument(
        "--text",
        default=HELLO_FROM_PYTHON,
        help="the answer given with --auto (%(default)s)",
    )
    options = parser.parse_args()
    text_bytes(options.text)
    may_create = options.auto or options.wait is None
    if may_create:
        segment = Segment.open_or_create(options.name, options.size)
    else:
        segment = Segment.open(options.name, options.size, options.wait)
    with segment:
        connection = Connection(segment, may_create)
        try:
            if options.auto:
                timeout = AUTO_TIMEOUT if options.wait is None else options.wait
                return exchange_hellos(connection, options.text, timeout)
            talk(connection)
            return 0
        finally:
            connection.close()


if __name__ == "__main__":
    run(main)
