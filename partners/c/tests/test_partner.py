"""Two partners exchange messages by the commands of partner.c: test_partner.py PARTNER [ARGUMENTS...].

Runs on every system that has the partner, also in Wine. Each answer has twenty seconds. The variable
GSM_OTHER_PARTNER may name the program of the second partner, such as one with an older header.
"""

import contextlib
import os
import pathlib
import queue
import re
import subprocess
import sys
import threading
import time
import unittest

COMMAND = sys.argv[1:]
OTHER = [*COMMAND[:-1], os.environ.get("GSM_OTHER_PARTNER", COMMAND[-1])]
SECONDS = 20


class Partner:
    def __init__(self, command):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, bufsize=1
        )
        self.answers = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.answers.put(line.rstrip("\n"))

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        return self.answers.get(timeout=SECONDS)

    def ask(self, line):
        self.send(line)
        return self.answer()

    def end(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(SECONDS)
        self.process.stdout.close()


def fill(seed, length):
    """Returns the bytes that partner.c documents."""
    mask, made = (1 << 64) - 1, b""
    while len(made) < length:
        seed = z = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        made += (z ^ z >> 31).to_bytes(8, "little")
    return made[:length]


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


def described(tag, shape, content):
    """Returns the beginning and the end of the answer for a message."""
    words = b"".join(number.to_bytes(4, "little") for number in (tag, *shape))
    head = f"ok tag={tag:#x} shape={','.join(map(str, shape))} length={len(content)} sequence="
    return head, f" hash=0x{fnv(words + content):016x}" + (
        f" content={content.hex()}" if content else ""
    )


class TwoPartners(unittest.TestCase):
    """Starts two partners for each test, and has a name that no other test uses."""

    number = 0

    def setUp(self):
        TwoPartners.number += 1
        self.name = f"gsm-test-partner-{os.getpid()}-{TwoPartners.number}"
        # A partner that died may have left the name.
        self.addCleanup(pathlib.Path("/dev/shm", self.name).unlink, missing_ok=True)
        self.partners = [Partner(COMMAND), Partner(OTHER)]
        for partner in self.partners:
            self.addCleanup(partner.end)


class Messages(TwoPartners):
    def attach(self, attach):
        one, two = self.partners
        self.assertEqual(one.ask(f"create {self.name} 100000 local"), "ok")
        self.assertEqual(one.ask(attach), "ok")
        self.assertEqual(two.ask(f"open {self.name} rw"), "ok")
        self.assertEqual(two.ask(attach.split()[0] + " 0 0"), "ok")
        self.assertEqual(one.ask("geometry"), two.ask("geometry"))
        return one, two

    MESSAGES = (
        ("bytes 00ff10", 1, (0, 0, 0, 0), b"\0\xff\x10"),
        ("bytes -", 1, (0, 0, 0, 0), b""),
        ("text 68c3a9", 2, (0, 0, 0, 0), "hé".encode()),
        ("value fill:7:20", 5, (0, 0, 0, 0), fill(7, 20)),
        ("array:3:1:2x3 fill:1:24", 0x02010303, (2, 3, 0, 0), fill(1, 24)),
        ("array:2:0:2 fill:1:16", 0x01000203, (2, 0, 0, 0), fill(1, 16)),
        ("image:2x2:4 fill:9:12", 4, (2, 2, 4, 6), fill(9, 12)),
        ("image:2x2:257:10 fill:9:20", 4, (2, 2, 257, 10), fill(9, 20)),
        ("tag:0x1000303:1:0:0:0 0000803f", 0x01000303, (1, 0, 0, 0), b"\0\0\x80?"),
    )

    def test_stream_brings_each_kind(self):
        one, two = self.attach("stream 0 2")
        self.assertEqual(two.ask("read"), "error EMPTY")
        for i, (text, *message) in enumerate(self.MESSAGES):
            sequence = one.ask(("write ", "draw ")[i % 2] + text).removeprefix("ok ")
            self.assertEqual(
                [two.ask("new"), two.ask("wait 0"), two.ask("writer")],
                ["ok 1", "ok", "ok 1"],
            )
            head, tail = described(*message)
            self.assertEqual(two.ask("peek"), head + sequence)
            self.assertEqual(two.ask("read"), head + sequence + tail)
            self.assertEqual(
                [two.ask("new"), two.ask("sequence")], ["ok 0", f"ok {sequence}"]
            )
        self.assertEqual(
            [two.ask("missed"), two.ask("wait 20")], ["ok 0", "error TIMEOUT"]
        )
        self.assertRegex(two.ask("age"), r"^ok \d+$")

    def test_queue_brings_each_kind(self):
        one, two = self.attach("queue 0 2")
        self.assertEqual(two.ask("dequeue 0"), "error EMPTY")
        for text, *_message in self.MESSAGES:
            self.assertEqual(one.ask(f"enqueue 0 {text}"), "ok")
        self.assertEqual(
            [two.ask("count"), two.ask("producers"), two.ask("wait 0")],
            ["ok 9", "ok 1", "ok"],
        )
        for _text, *message in self.MESSAGES:
            head, tail = described(*message)
            self.assertEqual(two.ask("peek"), head + "0")
            self.assertEqual(two.ask("dequeue 0"), head + "0" + tail)
        self.assertEqual([two.ask("count"), one.ask("consumer")], ["ok 0", "ok 1"])
        self.assertEqual(one.ask("produce 1 1 64 0")[:4], "ok 1")
        self.assertEqual(one.ask("dequeue 0"), "error ERROR_IN_USE")

    def test_wrong_messages_are_refused(self):
        one, _two = self.attach("queue 1024 1")
        for kind in (
            "image:2x2:4 00",
            "array:3:0:2 00",
            "array:9:0:1 -",
            "tag:6:0:0:0:0 00",
        ):
            self.assertEqual(one.ask(f"enqueue 0 {kind}"), "error ERROR_MESSAGE")
        self.assertEqual(one.ask("enqueue 0 bytes fill:1:489"), "error ERROR_TOO_LONG")
        self.assertEqual(one.ask("enqueue 0 bytes fill:1:488"), "ok")
        self.assertEqual(one.ask("enqueue 0 bytes fill:1:488"), "ok")
        self.assertEqual(one.ask("enqueue 0 bytes fill:1:488"), "error FULL")
        self.assertEqual(one.ask("enqueue 20 bytes fill:1:488"), "error TIMEOUT")

    def test_thousands_of_random_messages_arrive(self):
        one, two = self.attach("queue 4096 1")
        two.send("consume 5000 10000")
        made = one.ask("produce 5000 77 1900 10000")
        self.assertRegex(made, r"^ok 5000 chain=0x\w+$")
        self.assertEqual(two.answer(), made + " last=4999")

    def test_stream_gives_whole_random_messages(self):
        one, two = self.attach("stream 4096 1")
        two.send("consume 20 10000")
        for seed in range(100):
            self.assertTrue(one.ask(f"produce 100 {seed} 4096 0").startswith("ok 100"))
        if two.answers.empty():
            one.send("produce 100000 100 4096 0")
        self.assertRegex(two.answer(), r"^ok 20 chain=0x\w+ last=\d+$")

    def test_roles_end_with_the_process(self):
        one, two = self.attach("stream 1000 2")
        self.assertTrue(one.ask("write bytes 01").startswith("ok "))
        self.assertEqual(two.ask("write bytes 02"), "error ERROR_IN_USE")
        self.assertEqual(two.ask("reset"), "error ERROR_IN_USE")
        two.send("read")
        self.assertTrue(two.answer().startswith("ok tag=0x1 "))
        two.send("wait 10000")
        time.sleep(1)  # until it waits
        one.send("die")
        one.process.wait(SECONDS)
        self.assertEqual(two.answer(), "error GONE")
        self.assertEqual(two.ask("writer"), "ok 0")
        self.assertTrue(two.ask("write bytes 02").startswith("ok "))
        self.assertEqual(two.ask("reset"), "ok")
        self.assertEqual(two.ask("read"), "error EMPTY")
        # The dead one has left its name.
        two.ask("close")
        two.ask(f"remove {self.name}")

    def test_peers_talk_in_either_order_and_learn_of_a_death(self):
        for one, two in (self.partners, self.partners[::-1]):
            self.assertEqual(one.ask(f"peer {self.name} 65536"), "ok")
            self.assertEqual(one.ask("status"), "ok waiting")
            self.assertEqual(two.ask(f"peer {self.name} 4096"), "ok")
            two.send("echo 1000")
            self.assertEqual(one.ask("connect 10000"), "ok")
            for text, *message in self.MESSAGES:
                head, tail = described(*message)
                answer = "answer " + head + "0" + tail
                self.assertEqual(one.ask(f"request 10000 {text}"), answer)
            self.assertRegex(two.answer(), "^ok 9 gone=0$")
            two.send("echo 1500")
            found = one.ask("talk 1000 5 20000")
            self.assertRegex(found, r"^ok \d{2,} requests=\d+ gone=0$")
            two.answer()
            self.assertEqual([two.ask("part"), one.ask("part")], ["ok", "ok"])
        one.ask(f"peer {self.name} 65536")
        two.ask(f"peer {self.name} 65536")
        two.send("connect 10000")
        self.assertEqual([one.ask("connect 10000"), two.answer()], ["ok", "ok"])
        self.assertEqual(one.ask("send 0 text 61"), "ok")
        one.send("die")
        one.process.wait(SECONDS)
        self.assertRegex(two.ask("receive 10000"), "^message ok .* content=61$")
        self.assertEqual(two.ask("receive 10000"), "error GONE")
        self.assertEqual(two.ask("receive 0"), "error EMPTY")
        self.assertEqual(two.ask("send 0 text 61"), "error NO_PARTNER")
        self.assertEqual(two.ask("part"), "ok")

    def test_a_closed_or_repeated_name_is_noticed(self):
        one, two = self.attach("queue 0 1")
        self.assertEqual(two.ask("current"), "ok 1")
        self.assertEqual(
            Partner.ask(two, f"create {self.name} 4096 local"), "error ERROR_EXISTS"
        )
        self.assertEqual(one.ask("close"), "ok")
        self.assertEqual(two.ask(f"open {self.name} rw"), "error ERROR_NOT_FOUND")
        self.assertEqual(two.ask("nonsense"), "error USAGE")

    def test_read_only_memory_is_read(self):
        one, two = self.attach("stream 1000 2")
        one.ask("write text 61")
        self.assertEqual(two.ask(f"open {self.name} ro"), "ok")
        self.assertEqual(two.ask("stream 0 0"), "ok")
        self.assertRegex(two.ask("read"), r"content=61$")
        self.assertEqual(two.ask("write bytes 01"), "error ERROR_READ_ONLY")
        two.send("wait 10000")
        one.ask("write text 62")
        self.assertEqual(two.answer(), "ok")
        self.assertTrue(re.fullmatch("ok 1", two.ask("writer")))


def main(case):
    """Runs the tests of a class, and exits."""
    result = unittest.TextTestRunner().run(
        unittest.defaultTestLoader.loadTestsFromTestCase(case)
    )
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(bad != 0)


if __name__ == "__main__":
    main(Messages)
