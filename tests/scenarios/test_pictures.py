"""Pictures whose rows are not packed from the top: a Python partner's bytes, in Godot and back."""

import mmap

import pytest
from harness.constants import OK
from harness.marks import segments_are_files

SIZE = WIDTH, HEIGHT = 37, 11
ROW = 4 * WIDTH
PADDED = (ROW + 63) // 64 * 64
# A picture of 100 columns and 40 rows around it, and its place there.
LARGER, COLUMN, LINE = 400, 21, 17

READ = """
func run(name: String, size: Array, offset: int, stride: int) -> PackedByteArray:
	var memory := SharedMemory.new()
	var image := Image.create_empty(size[0], size[1], false, Image.FORMAT_RGBA8)
	if memory.open_read_only(name) != OK or memory.read_image(image, offset, stride) != OK:
		return PackedByteArray()
	return image.get_data()
"""
WRITE = """
func run(name: String, size: Array, offset: int, stride: int, pixels: PackedByteArray) -> Error:
	var memory := SharedMemory.new()
	var image := Image.create_from_data(size[0], size[1], false, Image.FORMAT_RGBA8, pixels)
	var error := memory.open(name)
	return error if error != OK else memory.write_image(image, offset, stride)
"""


def rows(start=0):
    """Returns the rows of a picture in which each byte differs from its neighbours."""
    return [
        bytes((start + 31 * line + 7 * at) % 251 for at in range(ROW))
        for line in range(HEIGHT)
    ]


def padded(lines):
    return b"head" + b"".join(line.ljust(PADDED, b"-") for line in lines)


def upwards(lines):
    return b"head" + b"".join(line.ljust(PADDED, b"-") for line in reversed(lines))


def inside(lines):
    larger = bytearray(b"." * (40 * LARGER))
    for number, line in enumerate(lines):
        at = (LINE + number) * LARGER + COLUMN * 4
        larger[at : at + ROW] = line
    return bytes(larger)


# The picture as the partner writes it, the place of its first row, and the stride.
LAYOUTS = {
    "rows_padded_to_64_bytes": (padded, 4, PADDED),
    "rows_upwards": (upwards, 4 + (HEIGHT - 1) * PADDED, -PADDED),
    "picture_inside_larger_one": (inside, LINE * LARGER + COLUMN * 4, LARGER),
}


@segments_are_files
@pytest.mark.parametrize("layout", LAYOUTS)
def test_partners_rows_are_read_and_written(agent, name, make_foreign, layout):
    arranged, offset, stride = LAYOUTS[layout]
    path = make_foreign(name, arranged(rows()))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        assert agent.run(READ, name, SIZE, offset, stride) == b"".join(rows())
        pixels = b"".join(rows(100))
        assert agent.run(WRITE, name, SIZE, offset, stride, pixels) == OK
        # The padding, and what lies around the picture, are as before.
        assert view[:] == arranged(rows(100))
