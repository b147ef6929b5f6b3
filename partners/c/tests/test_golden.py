"""The recorded memory of tests/golden, with the partner in C: test_golden.py PARTNER [ARGUMENTS...].

The second partner does with each image what the index tells. The first one makes the states that it can make
again, and its bytes are those that were recorded. GSM_GOLDEN=write records the images of its streams, whose
order of slots is free. tests/golden/README.md describes the files.
"""

import os
import pathlib
import re

from test_partner import TwoPartners, main

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "tests/golden"
INCARNATION = (0x0123456789ABCDEF).to_bytes(8, "little")
FIRST_SEQUENCE = (1_000_000).to_bytes(8, "little")
TIME = (0x11223344).to_bytes(8, "little")
SIZES = {"stream": 1664, "queue": 768}
SLOTS, SLOT = 0x280, 256
LANE = 0x100
HEAD = LANE + 0x80

KINDS = {
    "bytes": "bytes 000102fdfeff",
    "text": "text 6772c3bcc39f65",
    "array": "array:3:1:2x2 0000803f00000040000000bf00000000",
    "image": "image:1x2:4:4 ff00000900ff0009",
    "value": "value 0200000007000000",
}
FIRST = "text " + b"first".hex()
# The images, what each is about, and the commands that lead there.
MADE = {
    "stream_fresh": ("", []),
    **{
        f"c_stream_{kind}": (
            "Made by the header for C: the newest message is of this kind.",
            ["write text 6f6c64", f"write {message}"],
        )
        for kind, message in KINDS.items()
    },
    "c_stream_around": (
        "Made by the header for C: five messages in four slots.",
        [f"write {message}" for message in KINDS.values()],
    ),
    "c_stream_writer_died": (
        "Made by the header for C: the writer has died during its second message.",
        [f"write {FIRST}", "begin"],
    ),
    "c_stream_emptied": (
        "Made by the header for C: it was reset after a message.",
        [f"write {FIRST}", "reset"],
    ),
    "queue_fresh": ("", []),
    "queue_messages": ("", [f"enqueue 0 {message}" for message in KINDS.values()]),
    "queue_around": (
        "",
        ["enqueue 0 text " + "78" * 64, "dequeue 0"] * 3
        + ["enqueue 0 text " + "79" * 40],
    ),
    "queue_full": (
        "",
        [f"enqueue 0 text {digit * 40}" for digit in ["30", "31", "32", "33", "34"]],
    ),
    "c_queue_emptied": (
        "Made by the header for C: it was reset after a message.",
        [f"enqueue 0 {FIRST}", "reset"],
    ),
}


def from_text(text):
    """Returns the bytes of an image."""
    data = bytearray()
    for line in text.splitlines():
        if line.startswith("size "):
            data = bytearray(int(line[5:]))
        elif not line.startswith("#"):
            offset, row = line.split()
            data[int(offset, 16) : int(offset, 16) + 16] = bytes.fromhex(row)
    return bytes(data)


def to_text(about, data):
    """Returns the text of an image, as golden.rs makes it."""
    lines = [f"# {about}", f"size {len(data)}"]
    for offset in range(0, len(data), 16):
        row = data[offset : offset + 16]
        if any(row):
            lines.append(f"{offset:04x} {row.hex()}")
    return "\n".join(lines) + "\n"


def read_index():
    """Returns the results that the index tells, in a list for each image and role."""
    index = {}
    for line in (FOLDER / "index.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            image, role, result = line.split(" ", 2)
            index.setdefault((image, role), []).append(result)
    return index


ATTACH_ERRORS = {
    "error NOT_LAID_OUT": "not_laid_out",
    "error ERROR_VERSION": "newer",
    "error ERROR_LAYOUT": "refused",
    "error ERROR_INVALID_DATA": "refused",
}
ERRORS = {"error EMPTY": "empty", "error FULL": "full", "error BUSY": "busy"}
MESSAGE = re.compile(
    r"ok tag=0x(\w+) shape=(\S+) length=(\d+) sequence=\d+(?: hash=\w+)?(?: content=(\w+))?"
)


def message_of(answer):
    """Returns a message as the index has it; of one without content, the length."""
    found = MESSAGE.fullmatch(answer)
    assert found, answer
    tag, shape, length, content = found.groups()
    return f"{int(tag, 16):08x} {shape} {content or length}"


class Golden(TwoPartners):
    def word(self, partner, offset):
        answer = partner.ask(f"get {offset} 8")
        return int.from_bytes(bytes.fromhex(answer.removeprefix("ok ")), "little")

    def result(self, answer, counts_as_read):
        """Returns the index's word for the answer of a call that reads."""
        if answer == "error ERROR_INVALID_DATA":
            return "unreadable" if counts_as_read() else "damaged"
        return ERRORS.get(answer) or message_of(answer)

    def read(self, two):
        return self.result(two.ask("read"), lambda: two.ask("sequence") != "ok 0")

    def write(self, two):
        for number in range(4):
            content = f"next {number}".encode().hex()
            answer = two.ask(f"write text {content}")
            if answer == "error ERROR_INVALID_DATA":
                return "damaged"
            self.assertRegex(two.ask("read"), f"content={content}$")
        return f"ok {int(answer.removeprefix('ok ')) - self.word(two, 0x28)}"

    def consume(self, two):
        while True:
            before = self.word(two, HEAD)
            answer = two.ask("dequeue 0")
            result = self.result(answer, lambda old=before: self.word(two, HEAD) != old)
            yield result
            if result in ("empty", "damaged"):
                return

    def produce(self, two):
        answer = two.ask("enqueue 0 text " + "7a" * 40)
        if answer != "ok":
            return self.result(answer, lambda: False)
        tail, pairs = self.word(two, LANE), {}
        for offset in (0x10, 0x20):
            pairs[self.word(two, LANE + offset)] = self.word(two, LANE + offset + 8)
        return f"{two.ask('count')} of {pairs[tail]}"

    def look(self, two):
        # A look tells nothing of the content, and doesn't tell the two kinds of invalid data apart.
        return self.result(two.ask("peek"), lambda: True)

    def results(self, two, layout, role):
        access = "ro" if role == "view" else "rw"
        self.assertEqual(two.ask(f"open {self.name} {access}"), "ok")
        wishes = {"stream": "64 2", "queue": "256 1"}[layout]
        answer = two.ask(f"{layout} {'0 0' if role in ('reader', 'view') else wishes}")
        if answer != "ok":
            return [ATTACH_ERRORS[answer]]
        if role == "consumer":
            return list(self.consume(two))
        if layout == "queue":
            return [self.produce(two) if role == "producer" else self.look(two)]
        return [self.write(two) if role == "writer" else self.read(two)]

    def test_each_role_does_with_each_image_what_the_index_tells(self):
        one, two = self.partners
        index = read_index()
        images = {path.stem for path in FOLDER.glob("*.hex")}
        self.assertEqual(images, {image for image, _role in index})
        for (name, role), wanted in index.items():
            if not re.match("(c_)?(stream|queue)_", name):
                continue
            image = from_text((FOLDER / f"{name}.hex").read_text(encoding="utf-8"))
            layout = "stream" if "stream" in name else "queue"
            self.assertEqual(one.ask(f"create {self.name} {len(image)} local"), "ok")
            self.assertEqual(one.ask(f"set 0 {image.hex()}"), "ok")
            found = self.results(two, layout, role)
            if (layout, role) == ("queue", "view"):
                wanted = [
                    re.sub("damaged", "unreadable", self.without_content(wanted[0]))
                ]
            self.assertEqual(found, wanted, f"{name} {role}")
            self.assertEqual([two.ask("close"), one.ask("close")], ["ok", "ok"])

    @staticmethod
    def without_content(result):
        words = result.split(" ")
        return (
            f"{words[0]} {words[1]} {len(words[2]) // 2}" if len(words) == 3 else result
        )

    def test_each_state_has_the_bytes_that_were_recorded(self):
        one = self.partners[0]
        for name, (about, commands) in MADE.items():
            layout = "stream" if "stream" in name else "queue"
            size = SIZES[layout]
            self.assertEqual(one.ask(f"create {self.name} {size} local"), "ok")
            self.assertEqual(
                one.ask({"stream": "stream 64 2", "queue": "queue 256 1"}[layout]), "ok"
            )
            # The next attachment reads them.
            self.assertEqual(one.ask(f"set 0x18 {INCARNATION.hex()}"), "ok")
            if layout == "stream":
                self.assertEqual(one.ask(f"set 0x28 {FIRST_SEQUENCE.hex()}"), "ok")
            self.assertEqual(one.ask(f"{layout} 0 0"), "ok")
            for command in commands:
                self.assertEqual(one.ask(command)[:2], "ok", command)
            data = bytearray.fromhex(one.ask(f"get 0 {size}").removeprefix("ok "))
            self.assertEqual(data[0x18:0x20] == INCARNATION, "reset" not in commands)
            data[0x18:0x20] = INCARNATION
            for slot in range(SLOTS, size, SLOT) if layout == "stream" else ():
                if any(data[slot : slot + 8]):
                    data[slot + 0x10 : slot + 0x18] = TIME
            self.assertEqual(one.ask("close"), "ok")
            path = FOLDER / f"{name}.hex"
            if os.environ.get("GSM_GOLDEN") == "write" and name.startswith("c_"):
                path.write_text(to_text(about, data), encoding="utf-8")
            recorded = path.read_text(encoding="utf-8")
            self.assertEqual(
                to_text(about or recorded[2:].split("\n")[0], data), recorded, name
            )


if __name__ == "__main__":
    main(Golden)
