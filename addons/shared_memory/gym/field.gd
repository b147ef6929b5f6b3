extends RefCounted
## One value of each agent: an action or an observation, or a part of it.
## In a message, the values of all agents follow each other.

enum { FLOAT32, FLOAT64, BYTES, INT32, INT64, INTEGER }

const TYPES := {
	"float32": FLOAT32,
	"float64": FLOAT64,
	"uint8": BYTES,
	"int8": BYTES,
	"int32": INT32,
	"int64": INT64,
}
const ELEMENT_BYTES := [4, 8, 1, 4, 8, 8]
const FORMATS := {1: Image.FORMAT_L8, 3: Image.FORMAT_RGB8, 4: Image.FORMAT_RGBA8}
const NAMES := [
	"PackedFloat32Array",
	"PackedFloat64Array",
	"PackedByteArray",
	"PackedInt32Array",
	"PackedInt64Array",
	"int"
]
const VARIANTS := [
	TYPE_PACKED_FLOAT32_ARRAY,
	TYPE_PACKED_FLOAT64_ARRAY,
	TYPE_PACKED_BYTE_ARRAY,
	TYPE_PACKED_INT32_ARRAY,
	TYPE_PACKED_INT64_ARRAY,
	TYPE_INT
]

# Empty if the space is not a Dictionary.
var key := ""
var path := ""
var kind := FLOAT32
# Elements of one agent, bytes of them, and bytes of all agents with the padding after them.
var length := 1
var size := 0
var column := 0
var padding := 0
# The shape of pictures, if the space can have them.
var height := 0
var width := 0
var format := -1
# The limits of integers from the program, which may index arrays. Empty if there are none.
var first := PackedInt64Array()
var last := PackedInt64Array()
var problem := ""
var wrong_agent := 0


# Appends the fields of a space. Returns an error.
static func read(space: Variant, path: String, count: int, fields: Array, key := "") -> String:
	if not space is Dictionary or space.is_empty():
		return "%s is not set; make it with SharedMemoryGym.box() and the like" % path
	if space.get("type") == "dict" and key.is_empty():
		var spaces: Variant = space.get("spaces")
		if not spaces is Dictionary or spaces.is_empty():
			return "%s: a dict needs at least one space" % path
		for part: Variant in spaces:
			if not part is String or part.is_empty():
				return "%s: the names in a dict must be of type String" % path
			var wrong := read(spaces[part], "%s.%s" % [path, part], count, fields, part)
			if not wrong.is_empty():
				return wrong
		return ""
	var field := new()
	field.key = key
	field.path = path
	var reason := field._read(space)
	if not reason.is_empty():
		return "%s: %s" % [path, reason]
	field.size = field.length * ELEMENT_BYTES[field.kind]
	field.column = (field.size * count + 7) & ~7
	field.padding = field.column - field.size * count
	fields.append(field)
	return ""


func _read(space: Dictionary) -> String:
	match space.get("type"):
		"box":
			return _read_box(space)
		"discrete":
			kind = INTEGER
			return _read_numbers([space.n], space.start)
		"multi_discrete":
			kind = INT64
			length = space.nvec.size()
			return _read_numbers(space.nvec, 0)
		"multi_binary":
			kind = BYTES
			length = space.n
			return "" if length > 0 else "n must be at least 1, but is %d" % length
	return "unknown type of space: %s" % space.get("type")


func _read_numbers(numbers: Array, start: int) -> String:
	for n: Variant in numbers:
		if not n is int or n < 1:
			return "the numbers of values must be at least 1, but one is %s" % n
		first.append(start)
		last.append(start + n - 1)
	return "" if not numbers.is_empty() else "nvec must not be empty"


func _read_box(space: Dictionary) -> String:
	if not TYPES.has(space.dtype):
		return "dtype must be one of %s, but is %s" % [", ".join(TYPES.keys()), space.dtype]
	kind = TYPES[space.dtype]
	for side: Variant in space.shape:
		if not side is int or side < 1:
			return "the numbers in shape must be at least 1, but one is %s" % side
		length *= side
		if length > 1 << 30:
			return "shape has more than %d elements" % (1 << 30)
	for limit: Variant in [space.low, space.high]:
		if limit is Array and limit.size() != length:
			return "limits have %d numbers, but shape %d elements" % [limit.size(), length]
	if space.dtype == "uint8" and space.shape.size() == 3 and FORMATS.has(space.shape[2]):
		height = space.shape[0]
		width = space.shape[1]
		format = FORMATS[space.shape[2]]
	return ""


# Returns the value of each agent in a message.
func decode(message: PackedByteArray, at: int, count: int) -> Array:
	var bytes := message.slice(at, at + size * count)
	var all: Variant = bytes
	match kind:
		FLOAT32:
			all = bytes.to_float32_array()
		FLOAT64:
			all = bytes.to_float64_array()
		INT32:
			all = bytes.to_int32_array()
		INT64, INTEGER:
			all = bytes.to_int64_array()
			if not first.is_empty():
				_check(all)
	if kind == INTEGER:
		return Array(all)
	return [all] if count == 1 else _cut(all, count)


func _check(integers: PackedInt64Array) -> void:
	problem = ""
	for index in integers.size():
		var value := integers[index]
		if value < first[index % length] or value > last[index % length]:
			var limits := [path, value, first[index % length], last[index % length]]
			problem = "%s: the value %d is not from %d to %d" % limits


func _cut(all: Variant, count: int) -> Array:
	var values := []
	values.resize(count)
	for index in count:
		values[index] = all.slice(index * length, (index + 1) * length)
	return values


# Writes the values of all agents into an answer. Returns whether they are of the space.
func encode(values: Array, answer: StreamPeerBuffer) -> bool:
	var type: int = VARIANTS[kind]
	for index in values.size():
		var value: Variant = values[index]
		if not key.is_empty():
			if not value is Dictionary or not value.has(key):
				return _refuse(index, "observe() has no value %s" % key)
			value = value[key]
		if format >= 0 and value is Image:
			value = _get_pixels(value)
		if typeof(value) != type:
			var names := [NAMES[kind], type_string(typeof(value))]
			return _refuse(index, "observe() must return %s, but returned %s" % names)
		if kind == INTEGER:
			answer.put_64(value)
			continue
		if value.size() != length:
			var sizes := [length, value.size()]
			return _refuse(index, "observe() must return %d elements, but returned %d" % sizes)
		answer.put_data(value if kind == BYTES else value.to_byte_array())
	if padding > 0:
		answer.seek(answer.get_position() + padding)
	return true


func _get_pixels(image: Image) -> PackedByteArray:
	if image.get_format() != format or image.has_mipmaps():
		# The picture may be the game's own.
		image = image.duplicate()
		if image.is_compressed():
			image.decompress()
		image.clear_mipmaps()
		image.convert(format)
	if image.get_width() != width or image.get_height() != height:
		return PackedByteArray()
	return image.get_data()


func _refuse(index: int, text: String) -> bool:
	problem = "%s: %s" % [path, text]
	wrong_agent = index
	return false
