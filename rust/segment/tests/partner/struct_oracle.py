"""An oracle for `tests/it/structs.rs`: the answers of Python's `struct`.

A question is a line of three words: the format, the values to pack, and the bytes to unpack. The format is
UTF-8 in hexadecimal, and so are the bytes. "-" stands for nothing to pack or unpack. Values are separated
by commas: "i-5", "b1", "f" with the bits of a double, "s" with bytes, both in hexadecimal. The answer is a
line of three words, too: the size, the packed bytes in hexadecimal, and the unpacked values. A word is
"error" where the module raises one, and "-" where nothing was asked. Nothing at all is written as ".".
"""

import struct
import sys

ERRORS = (struct.error, OverflowError, UnicodeEncodeError)


def read_value(word):
    kind, rest = word[0], word[1:]
    if kind == "i":
        return int(rest)
    if kind == "b":
        return rest == "1"
    if kind == "f":
        return struct.unpack(">d", bytes.fromhex(rest))[0]
    return bytes.fromhex(rest)


def write_value(value):
    if isinstance(value, bool):
        return f"b{int(value)}"
    if isinstance(value, int):
        # The other side has no unsigned 64 bits: the same bits, with a sign.
        return f"i{value - (1 << 64) if value >= 1 << 63 else value}"
    if isinstance(value, float):
        return f"f{struct.pack('>d', value).hex()}"
    return f"s{value.hex()}"


def size_of(layout):
    return str(struct.calcsize(layout))


def packed(layout, values):
    return struct.pack(layout, *values).hex() or "."


def unpacked(layout, data):
    return ",".join(write_value(value) for value in struct.unpack(layout, data)) or "."


def tried(function, *arguments):
    try:
        return function(*arguments)
    except ERRORS:
        return "error"


def main():
    for line in sys.stdin:
        layout, values, data = ("" if word == "." else word for word in line.split())
        layout = bytes.fromhex(layout).decode()
        answer = [tried(size_of, layout), "-", "-"]
        if values != "-":
            words = values.split(",") if values else []
            answer[1] = tried(packed, layout, [read_value(word) for word in words])
        if data != "-":
            answer[2] = tried(unpacked, layout, bytes.fromhex(data))
        print(*answer, flush=True)


if __name__ == "__main__":
    main()
