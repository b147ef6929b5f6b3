extends RefCounted
## Pictures in memory, in the layout that demo/python/video.py uses as well.
##
## [codeblock]
## struct frames {
##     uint32_t count;  // of the pictures so far, so it is the number of the last one
##     uint32_t width, height;
##     uint32_t seen;   // written by the reader: the number of the last picture it has read
##     uint32_t unused[12];
##     uint8_t pixels[2][height][width][4];  // red, green, blue, alpha; number n is in [n % 2]
## };
## [/codeblock]
## The writer fills the place that does not have the last picture, then counts. So a reader has the
## time of a whole frame. If the count has changed after reading, the picture may be torn.

const HEADER := 64
const COUNT_AT := 0
const WIDTH_AT := 4
const HEIGHT_AT := 8
const SEEN_AT := 12
## A longer side is refused: the other program may have written anything.
const LONGEST := 8192

## The number of the last picture that was read whole, or written.
var count := 0
var size := Vector2i.ZERO
## The last picture that was read whole. The object stays the same unless the size changes.
var image: Image

var _memory: SharedMemory


func _init(memory: SharedMemory) -> void:
	_memory = memory


static func bytes_for(of_size: Vector2i) -> int:
	return HEADER + 2 * 4 * of_size.x * of_size.y


## Reads the last picture into the pixels of [member image], and returns whether it is a new one.
func read() -> bool:
	var found := _memory.decode_u32(COUNT_AT)
	if found == 0 or found == count:
		return false
	var found_size := Vector2i(_memory.decode_u32(WIDTH_AT), _memory.decode_u32(HEIGHT_AT))
	if found_size != size:
		if found_size.clampi(1, LONGEST) != found_size:
			return false
		size = found_size
		image = Image.create_empty(size.x, size.y, false, Image.FORMAT_RGBA8)
	if _memory.read_image(image, _place_of(found)) != OK:
		return false
	if _memory.decode_u32(COUNT_AT) != found:
		return false
	count = found
	_memory.encode_u32(SEEN_AT, count)
	return true


## Writes a picture with the format [constant Image.FORMAT_RGBA8].
func write(picture: Image) -> Error:
	if bytes_for(picture.get_size()) > _memory.get_size():
		return ERR_INVALID_PARAMETER
	size = picture.get_size()
	_memory.encode_u32(WIDTH_AT, size.x)
	_memory.encode_u32(HEIGHT_AT, size.y)
	# A writer that was killed may have left a count.
	count = _memory.decode_u32(COUNT_AT) + 1
	var error := _memory.write_image(picture, _place_of(count))
	if error == OK:
		_memory.encode_u32(COUNT_AT, count)
	return error


func is_seen() -> bool:
	return count > 0 and _memory.decode_u32(SEEN_AT) == count


func _place_of(number: int) -> int:
	return HEADER + number % 2 * 4 * size.x * size.y
