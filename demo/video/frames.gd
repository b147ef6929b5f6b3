extends RefCounted
## Pictures in memory, as demo/python/video.py has them.
##
## [codeblock]
## struct frames {
##     uint32_t count;   // of the pictures there were so far
##     uint32_t ready;   // which of the two below is the last one
##     uint32_t width, height;
##     uint32_t seen;    // written by the reader: the count of the last one it has read
##     uint32_t unused[11];
##     uint8_t pixels[2][height][width][4];  // red, green, blue, alpha
## };
## [/codeblock]
## The writer fills the picture that isn't ready, then makes it the ready one. So a reader has the
## time of a whole frame; whether that was enough, the count tells.

const HEADER := 64
const COUNT_AT := 0
const READY_AT := 4
const WIDTH_AT := 8
const HEIGHT_AT := 12
const SEEN_AT := 16
## A picture with sides longer than that is none.
const LONGEST := 8192

var count := 0
var size := Vector2i.ZERO
## The last picture that was read whole. Made anew only if the size changes.
var image: Image

var _memory: SharedMemory


func _init(memory: SharedMemory) -> void:
	_memory = memory


static func bytes_for(of_size: Vector2i) -> int:
	return HEADER + 2 * 4 * of_size.x * of_size.y


## Reads the last picture, if it is a new one, straight into the pixels of [member image].
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
	if _memory.read_image(image, _place_of(_memory.decode_u32(READY_AT) % 2)) != OK:
		return false
	# Two further ones, and the writer may have been at this one.
	if _memory.decode_u32(COUNT_AT) - found > 1:
		return false
	count = found
	_memory.encode_u32(SEEN_AT, count)
	return true


## Hands a picture out, in [constant Image.FORMAT_RGBA8].
func write(picture: Image) -> Error:
	if bytes_for(picture.get_size()) > _memory.get_size():
		return ERR_INVALID_PARAMETER
	size = picture.get_size()
	_memory.encode_u32(WIDTH_AT, size.x)
	_memory.encode_u32(HEIGHT_AT, size.y)
	var other := (_memory.decode_u32(READY_AT) + 1) % 2
	var error := _memory.write_image(picture, _place_of(other))
	if error == OK:
		count += 1
		_memory.encode_u32(READY_AT, other)
		_memory.encode_u32(COUNT_AT, count)
	return error


func seen() -> int:
	return _memory.decode_u32(SEEN_AT)


func _place_of(number: int) -> int:
	return HEADER + number * 4 * size.x * size.y
