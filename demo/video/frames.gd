extends RefCounted
## Pictures in memory, in the layout that demo/python/video.py uses as well.
##
## [codeblock]
## struct frames {
##     uint32_t count;  // of the pictures so far, so it is the number of the last one
##     uint32_t seen;   // written by the reader: the number of the last picture it has read
##     uint32_t unused[14];
##     struct {
##         uint32_t width, height;
##         uint32_t unused[14];
##         uint8_t pixels[1280 * 720 * 4];  // rows without gaps: red, green, blue, alpha
##     } slots[4];  // picture number n is in slot n % 4
## };
## [/codeblock]
## The writer fills the slot behind the last picture's, then counts. A picture is whole if the
## reader has copied it before the writer begins to fill its slot again. So the reader looks at the
## count before and after the copy, and has the time of two pictures. Each slot has a size of its
## own: one for all pictures would change while the last picture still has another one.

const SLOTS := 4
## A larger picture is refused: the other program may have written any size.
const LARGEST := Vector2i(1280, 720)
const HEADER := 64
const COUNT_AT := 0
const SEEN_AT := 4
## In a slot.
const WIDTH_AT := 0
const HEIGHT_AT := 4
const PIXELS_AT := 64
const SLOT_SIZE := PIXELS_AT + 1280 * 720 * 4
const SIZE := HEADER + SLOTS * SLOT_SIZE

## The number of the last picture that was read whole, or written.
var count := 0
var size := Vector2i.ZERO
## The last picture that was read whole. The object stays the same unless the size changes.
var image: Image

var _memory: SharedMemory


func _init(memory: SharedMemory) -> void:
	_memory = memory


## Reads the last picture into the pixels of [member image], and returns whether it is a new one.
func read() -> bool:
	var found := _memory.decode_u32(COUNT_AT)
	if found == 0 or found == count:
		return false
	var slot := _slot_of(found)
	var found_size := Vector2i(
		_memory.decode_s32(slot + WIDTH_AT), _memory.decode_s32(slot + HEIGHT_AT)
	)
	if found_size.clamp(Vector2i.ONE, LARGEST) != found_size:
		return false
	if found_size != size:
		size = found_size
		image = Image.create_empty(size.x, size.y, false, Image.FORMAT_RGBA8)
	if _memory.read_image(image, slot + PIXELS_AT) != OK:
		return false
	# Counts wrap around.
	if (_memory.decode_u32(COUNT_AT) - found) & 0xffffffff > SLOTS - 2:
		return false
	count = found
	_memory.encode_u32(SEEN_AT, count)
	return true


## Writes a picture with the format [constant Image.FORMAT_RGBA8].
func write(picture: Image) -> Error:
	if picture.get_size().clamp(Vector2i.ONE, LARGEST) != picture.get_size():
		return ERR_INVALID_PARAMETER
	size = picture.get_size()
	# A writer that was killed may have left a count.
	count = (_memory.decode_u32(COUNT_AT) + 1) & 0xffffffff
	var slot := _slot_of(count)
	_memory.encode_u32(slot + WIDTH_AT, size.x)
	_memory.encode_u32(slot + HEIGHT_AT, size.y)
	var error := _memory.write_image(picture, slot + PIXELS_AT)
	if error == OK:
		_memory.encode_u32(COUNT_AT, count)
	return error


func is_seen() -> bool:
	return count > 0 and _memory.decode_u32(SEEN_AT) == count


func _slot_of(number: int) -> int:
	return HEADER + number % SLOTS * SLOT_SIZE
