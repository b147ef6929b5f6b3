"""An oracle for `tests/it/texts.rs`: the answers of Python's codecs.

A question is a line of three words: "decode" or "encode", the codec, and hexadecimal. For "decode", that is
the bytes, and for "encode" the characters as UTF-32. The answer is the other one of the two, or "error INDEX"
for a text that the codec can't encode. Nothing at all is written as ".".
"""

import sys

UNITS = "utf-32-le"


def answer(question, codec, data):
    if question == "decode":
        return data.decode(codec, errors="replace").encode(UNITS).hex()
    # "surrogatepass" makes characters of all numbers up to U+10FFFF.
    text = data.decode(UNITS, errors="surrogatepass")
    try:
        return text.encode(codec).hex()
    except UnicodeEncodeError as error:
        return f"error {error.start}"


def main():
    for line in sys.stdin:
        question, codec, data = line.split()
        data = bytes.fromhex("" if data == "." else data)
        print(answer(question, codec, data) or ".", flush=True)


if __name__ == "__main__":
    main()
