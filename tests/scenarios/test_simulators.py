"""The texts that simulators and Mumble keep in memory: at their places in C structs, written by Python."""

import ctypes
import random

import pytest
from harness.constants import TEXT_LATIN1, TEXT_UTF8, TEXT_UTF16, TEXT_UTF32
from harness.marks import segments_are_files
from harness.session import file_of

CODECS = {
    TEXT_UTF8: "utf-8",
    TEXT_LATIN1: "latin-1",
    TEXT_UTF16: "utf-16-le",
    TEXT_UTF32: "utf-32-le",
}

# As UTF-32, for which JSON needs no escapes.
READ = """
func run(name: String, size: int, offset: int) -> Array:
	var memory := SharedMemory.new()
	memory.open(name)
	return range(4).map(
		func(encoding: int) -> PackedByteArray:
			return memory.read_string(size, offset, encoding).to_utf32_buffer()
	)
"""


def linked_mem(wchar):
    """Returns LinkedMem, the memory of Mumble's plugin Link, with a `wchar_t` of this type."""

    class LinkedMem(ctypes.LittleEndianStructure):
        _fields_ = [
            ("uiVersion", ctypes.c_uint32),
            ("uiTick", ctypes.c_uint32),
            ("fAvatarPosition", ctypes.c_float * 3),
            ("fAvatarFront", ctypes.c_float * 3),
            ("fAvatarTop", ctypes.c_float * 3),
            ("name", wchar * 256),
            ("fCameraPosition", ctypes.c_float * 3),
            ("fCameraFront", ctypes.c_float * 3),
            ("fCameraTop", ctypes.c_float * 3),
            ("identity", wchar * 256),
            ("context_len", ctypes.c_uint32),
            ("context", ctypes.c_ubyte * 256),
            ("description", wchar * 2048),
        ]

    return LinkedMem


class SPageFileStatic(ctypes.LittleEndianStructure):
    """The beginning of Assetto Corsa's memory acpmf_static. Its `wchar_t` is that of Windows."""

    _pack_ = 4
    _layout_ = "ms"
    _fields_ = [
        ("smVersion", ctypes.c_uint16 * 15),
        ("acVersion", ctypes.c_uint16 * 15),
        ("numberOfSessions", ctypes.c_int32),
        ("numCars", ctypes.c_int32),
        ("carModel", ctypes.c_uint16 * 33),
        ("track", ctypes.c_uint16 * 33),
        ("playerName", ctypes.c_uint16 * 33),
        ("playerSurname", ctypes.c_uint16 * 33),
        ("playerNick", ctypes.c_uint16 * 33),
        ("sectorCount", ctypes.c_int32),
        ("maxTorque", ctypes.c_float),
    ]


# The struct, its encoding, the offset of a field that is known from its documentation, and its texts.
LAYOUTS = [
    (
        linked_mem(ctypes.c_uint32),
        TEXT_UTF32,
        {"name": 44, "identity": 1104, "description": 2388},
        {"name": "Godot", "identity": "Jürgen 😀", "description": "x" * 2048},
    ),
    (
        linked_mem(ctypes.c_uint16),
        TEXT_UTF16,
        {"name": 44, "identity": 592, "description": 1364},
        {"name": "", "identity": "😀" * 128, "description": "Ж" * 2047},
    ),
    (
        SPageFileStatic,
        TEXT_UTF16,
        {"smVersion": 0, "carModel": 68, "playerNick": 332},
        {"smVersion": "1.7", "acVersion": "1.16.4", "carModel": "ks_ferrari_488_gt3"}
        | {"track": "monza", "playerName": "Kimi", "playerSurname": "Räikkönen"}
        | {"playerNick": "n" * 33},
    ),
]


@segments_are_files
@pytest.mark.parametrize("layout, encoding, places, texts", LAYOUTS)
def test_texts_of_simulators_are_read_and_written(
    name, make_foreign, memory, layout, encoding, places, texts
):
    struct = layout()
    for field, offset in places.items():
        assert getattr(layout, field).offset == offset, field
    for field, text in texts.items():
        field_bytes = text.encode(CODECS[encoding])
        at, size = getattr(layout, field).offset, getattr(layout, field).size
        # An earlier text has left bytes behind the NUL.
        field_bytes += bytes(4) + b"\xd8" * size
        ctypes.memmove(ctypes.byref(struct, at), field_bytes[:size], size)
    path = make_foreign(name, bytes(struct))
    assert memory.open(name) == 0
    for field, text in texts.items():
        at, size = getattr(layout, field).offset, getattr(layout, field).size
        assert memory.read_string(size, at, encoding) == text, field
        # The other way: a text of the same length, with its NUL.
        turned = text[::-1]
        assert memory.write_string(turned[:10], at, encoding) == 0
        found = path.read_bytes()[at : at + size].decode(CODECS[encoding], "replace")
        assert found.split("\0")[0] == turned[:10], field


@segments_are_files
def test_random_bytes_are_the_text_of_pythons_codecs(
    name, make_foreign, agent, record_property
):
    seed = random.randrange(1 << 32)
    record_property("note", f"seed {seed}")
    chance = random.Random(seed)
    path = make_foreign(name, bytes(64))
    for _ in range(100):
        content = bytes(
            chance.choices([0x41, 0xD8, 0xDC, 0, 0xE9, 0x10, 0xFF, 1], k=64)
        )
        path.write_bytes(content)
        size, offset = chance.randrange(1, 40), chance.randrange(20)
        told = agent.run(READ, name, size, offset)
        for encoding, codec in CODECS.items():
            found = content[offset : offset + size]
            width = (1, 1, 2, 4)[encoding]
            starts = range(0, size - width + 1, width)
            ends = [at for at in starts if found[at : at + width] == bytes(width)]
            expected = found[: ends[0] if ends else size].decode(codec, "replace")
            text = told[encoding].decode("utf-32-le")
            assert text == expected, (codec, found.hex())


@segments_are_files
def test_text_that_latin_1_lacks_is_named(agent, name, memory):
    assert memory.create(name, 16) == 0
    agent.expect_error("text: the character at index 1 is U+0416")
    assert memory.write_string("aЖ", 0, TEXT_LATIN1) == 31
    assert file_of(name).read_bytes() == bytes(16)
