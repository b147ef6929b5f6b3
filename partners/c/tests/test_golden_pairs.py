"""The recorded pairs of tests/golden, with the partner in C: test_golden_pairs.py PARTNER [ARGUMENTS...].

The partners do with each image what the index tells. tests/golden/README.md describes the roles.
"""

import re
import struct
import sys
import time

from test_golden import ATTACH_ERRORS, FOLDER, from_text, message_of, read_index
from test_partner import COMMAND, SECONDS, TwoPartners, main

RING_SIZE = 256
LANES = (0x100, 0x300)
RING = 0x100
HEAD = 0x80
OWN = (0x1111111111111111).to_bytes(8, "little")
MARK = struct.pack("<II", 16, 0)
# The beginning of the lane of side 1: its mark, and its answer to that of side 0.
OTHER = (0x2222222222222222).to_bytes(8, "little")
OWN_MARKS = MARK + OTHER + bytes(8) + MARK + OTHER + OWN
# The lines of a producer that has sent no more than that.
BEHIND_MARKS = struct.pack("<6Q", 48, 0, 48, 2, 0, 0).ljust(HEAD, b"\0")
WORDS = {
    **ATTACH_ERRORS,
    "error EMPTY": "empty",
    "error FULL": "full",
    "error GONE": "gone",
    "error TIMEOUT": "none",
    "error NO_PARTNER": "not_connected",
    "error ERROR_INVALID_DATA": "damaged",
}


def image_of(name):
    return from_text((FOLDER / f"{name}.hex").read_text(encoding="utf-8"))


class Refused(Exception):
    """A call has failed, with the index's word for that."""


class GoldenPairs(TwoPartners):
    def set_up(self, image):
        """Lays memory out, which partner one owns. So each side joins it."""
        one, two = self.partners
        self.assertEqual(one.ask(f"create {self.name} {len(image)} local"), "ok")
        self.assertEqual(one.ask(f"set 0 {image.hex()}"), "ok")
        return one, two

    def tear_down(self):
        for partner in reversed(self.partners):
            partner.ask("part")
            self.assertEqual(partner.ask("close"), "ok")

    def bytes_at(self, offset, length):
        answer = self.partners[1].ask(f"get {offset} {length}")
        return bytes.fromhex(answer.removeprefix("ok "))

    def word(self, offset):
        return int.from_bytes(self.bytes_at(offset, 8), "little")

    @staticmethod
    def must(answer):
        if not answer.startswith(("ok", "message ok")):
            raise Refused(WORDS[answer])
        return answer

    def connect(self, *sides):
        """Lets sides find each other."""
        start = time.monotonic()
        while True:
            answers = [side.ask("connect 0") for side in sides]
            if set(answers) == {"ok"}:
                return
            for answer in answers:
                if answer not in ("ok", "error TIMEOUT", "error NO_PARTNER"):
                    raise Refused(WORDS[answer])
            self.assertLess(time.monotonic() - start, SECONDS, answers)

    def both(self, image):
        sides = self.set_up(image)
        try:
            for side in sides:
                answer = side.ask(f"peer {self.name} 4096")
                if answer != "ok":
                    raise Refused(ATTACH_ERRORS[answer])
            self.connect(*sides)
            for start, end in (sides, reversed(sides)):
                self.must(start.ask("send 0 text " + "7a" * 20))
                received = self.must(end.ask("receive 0"))
                self.assertRegex(received, f"content={'7a' * 20}$")
                self.assertEqual(end.ask("receive 0"), "error EMPTY")
        except Refused as word:
            # The header tells an invalid header and an invalid lane by the same error.
            return ["damaged" if str(word) == "refused" else str(word)]
        finally:
            self.tear_down()
        return ["ok"]

    def fresh(self):
        """Takes both sides of a fresh pair."""
        sides = self.set_up(image_of("pair_fresh"))
        for side in sides:
            self.assertEqual(side.ask(f"peer {self.name} 4096"), "ok")
        self.assertEqual(sides[1].ask(f"open {self.name} rw"), "ok")
        return sides

    def put(self, image, lines=None):
        """Puts the bytes there that side 1 of the image has stored; other lines of the producer by wish."""
        two = self.partners[1]
        own = self.bytes_at(LANES[0] + RING + 8, 8)
        ring = image[LANES[1] + RING :][:RING_SIZE]
        words = [ring[at : at + 8] for at in range(0, RING_SIZE, 8)]
        ring = b"".join(own if word == OWN else word for word in words)
        lines = lines or image[LANES[1] :][:HEAD]
        for offset, part in ((RING, ring), (0, lines)):
            answer = two.ask(f"set {LANES[1] + offset} {part.hex()}")
            self.assertEqual(answer, "ok")

    def told(self, before, answer):
        """Returns the index's word for what was received. `before`: the head before that."""
        if answer == "error ERROR_INVALID_DATA":
            # A message that can't be read counts as read.
            is_read = self.word(LANES[1] + HEAD) != before
            return "unreadable" if is_read else "damaged"
        return WORDS.get(answer) or message_of(answer.split(" ", 1)[1])

    def receive_all(self, side):
        while True:
            side.ask("status")  # takes the marks out
            before = self.word(LANES[1] + HEAD)
            result = self.told(before, side.ask("receive 0"))
            yield result
            if result in ("empty", "damaged"):
                return

    def last_sent(self, content):
        """Returns the tag of the last record of side 0, and its number if it has one."""
        end = LANES[0] + RING + self.word(LANES[0]) % RING_SIZE
        padded = (len(content) + 7) // 8 * 8
        size, tag = struct.unpack("<II", self.bytes_at(end - padded - 8, 8))
        if size == len(content):
            return f"sent {tag:08x}"
        size, tag, number = struct.unpack("<IIQ", self.bytes_at(end - padded - 16, 16))
        self.assertEqual(size, len(content) + 8)
        return f"sent {tag:08x} {number}"

    def survivor(self, image):
        side, other = self.fresh()
        self.put(image)
        found = list(self.receive_all(side))
        content = b"from side 0"
        answer = side.ask(f"send 0 text {content.hex()}")
        found.append(self.last_sent(content) if answer == "ok" else WORDS[answer])
        other.ask("part")
        words = {"ok": "connected", "error ERROR_INVALID_DATA": "damaged"}
        found.append(words.get(side.ask("connect 0"), "alone"))
        found += self.receive_all(side)
        self.tear_down()
        return found

    def asker(self, image):
        side, _other = self.fresh()
        question = "text " + b"question".hex()
        if image[LANES[1] + RING :].startswith(OWN_MARKS):
            # An answer comes after its request.
            self.put(image, BEHIND_MARKS)
            self.connect(side)
            start, sent = time.monotonic(), self.word(LANES[0])
            side.send(f"request 200 {question}")
            while self.word(LANES[0]) == sent:
                self.assertLess(time.monotonic() - start, SECONDS)
            self.put(image)
            answer = side.answer()
        else:
            self.put(image)
            answer = side.ask(f"request 0 {question}")
        found = [WORDS.get(answer) or message_of(answer.split(" ", 1)[1])]
        found.append("late " + side.ask("late").removeprefix("ok "))
        found += self.receive_all(side)
        self.tear_down()
        return found

    def test_each_role_does_with_each_pair_what_the_index_tells(self):
        roles = {"both": self.both, "survivor": self.survivor, "asker": self.asker}
        played = 0
        for (name, role), wanted in read_index().items():
            if not re.match("(c_)?pair_", name) or role not in roles:
                continue
            if role == "both":
                wanted = ["damaged" if word == "refused" else word for word in wanted]
            if role == "asker" and wanted[0] == "unreadable":
                # The header leaves other messages than the answer where they are.
                wanted = ["none", wanted[1], "unreadable", *wanted[2:]]
            with self.subTest(image=name, role=role):
                self.assertEqual(roles[role](image_of(name)), wanted)
            played += 1
        self.assertGreater(played, 60)


if __name__ == "__main__":
    # On Windows it is not known who owns memory, so a side that comes to a pair without sides empties it.
    if COMMAND[-1].endswith(".exe"):
        print("0 tests: a pair is emptied on Windows")
        sys.exit()
    main(GoldenPairs)
