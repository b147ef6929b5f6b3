@tool
extends RefCounted
## One look at a segment.
##
## The segment is open only as long as this object exists, and only for reading. A message is copied
## without a role, because read-only memory allows none. So the programs that use the segment don't
## notice: no byte of it changes, no reader takes a place, and no name is kept.

const Library := preload("library.gd")
const Printable := preload("printable.gd")

## An array or image that takes more bytes is not copied, since the editor would stand still.
const LONGEST_ARRAY := 1 << 25
## Other values take longer, because each part becomes a value of its own.
const LONGEST_VALUE := 1 << 23

## The result of [method open].
var error := OK
## The reason for the last failure, as the extension words it.
var problem := ""
## The bytes that can be read.
var size := 0

var _memory: RefCounted


## Opens the segment. Returns whether there are bytes to look at.
func open(segment: Dictionary) -> bool:
	_memory = ClassDB.instantiate(Library.CLASS)
	_memory.set(&"backend", segment["backend"])
	error = _memory.call(&"open_read_only", segment["name"])
	problem = _memory.call(&"get_last_error_message")
	size = _memory.call(&"get_size")
	return error == OK


## Returns up to [param count] bytes from [param offset] on. There are fewer at the segment's end.
func read(offset: int, count: int) -> PackedByteArray:
	count = mini(count, size - offset)
	if offset < 0 or count <= 0:
		return PackedByteArray()
	return _memory.call(&"read", count, offset)


## Returns the text at [param offset], up to the first NUL, of at most [param count] bytes.
func read_text(offset: int, count: int, encoding: int) -> String:
	count = mini(count, size - offset)
	if offset < 0 or count <= 0:
		return ""
	return _memory.call(&"read_string", count, offset, encoding)


## Fills an image whose bytes lie in the segment. [param stride] is as in
## [code]SharedMemory.read_image[/code].
func read_image(image: Image, offset: int, stride: int) -> Error:
	var result: Error = _memory.call(&"read_image", image, offset, stride)
	problem = _memory.call(&"get_last_error_message")
	return result


## Returns the values of a struct: by name if [param format] has names, otherwise in an array.
##
## The format must be valid, and the struct must fit: see [method size_of].
func unpack(format: String, offset: int) -> Variant:
	var method := &"unpack_dictionary" if format.contains(":") else &"unpack"
	var values: Variant = _memory.call(method, format, offset)
	error = _memory.call(&"get_last_error")
	problem = _memory.call(&"get_last_error_message")
	return values if error == OK else null


## Returns the size of a struct in bytes, or -1 if [param format] is wrong, see [member problem].
func size_of(format: String) -> int:
	# Godot would print an error for a wrong format, and a user who types has one most of the time.
	problem = _memory.call(&"get_format_error", format)
	return _memory.call(&"calcsize", format) if problem.is_empty() else -1


## Returns the newest message of a stream, or the next one of a queue, which stays there. Returns
## [code]null[/code] if there is none, see [member problem].
func read_message(layout: String) -> Variant:
	var is_stream := layout == "latest"
	var reader := &"SharedMemoryStream" if is_stream else &"SharedMemoryQueue"
	var messages: RefCounted = ClassDB.instantiate(reader)
	var value: Variant = null
	if messages.call(&"attach", _memory) == OK:
		var length: int = messages.call(&"get_message_size" if is_stream else &"get_byte_count")
		if not is_stream:
			# No message is longer than that, however many there are.
			length = mini(length, messages.call(&"get_max_message_size"))
		var is_array: bool = is_stream and not messages.call(&"get_message_shape").is_empty()
		var longest := LONGEST_ARRAY if is_array else LONGEST_VALUE
		if length > longest:
			error = ERR_OUT_OF_MEMORY
			problem = (
				"It takes %s. This panel decodes at most %s."
				% [Printable.size(length), Printable.size(longest)]
			)
			return null
		value = messages.call(&"read" if is_stream else &"peek")
	error = messages.call(&"get_last_error")
	problem = messages.call(&"get_last_error_message")
	return value
