extends RefCounted
## An argument of a method: the values it accepts, the values to try, and the method's answer to
## each.

const MIN := -9223372036854775808
const MAX := 9223372036854775807
const TWO_31 := 1 << 31
const TWO_32 := 1 << 32
# In bytes.
const MORE_THAN_ANY_SYSTEM_HAS := 1 << 44

## The bytes of the segment that all calls use.
const SIZE := 64
## Of a segment of that size: the bytes of a stream's longest message, and those of a queue's.
## Then the number of elements of [constant GOOD_FORMATS] in an array.
const CAPACITY := 44
const LONGEST_MESSAGE := 5
## The bytes of the segment for calls with a native layout. There, those of the longest messages are
## [constant CAPACITY] in a stream, and this many in a queue.
const NATIVE_SIZE := 32768
const LONGEST_NATIVE := 8
## The bytes of a peer's buffer, and of the longest message in it.
const BUFFER := 4096
const LONGEST_SENT := 2016
const ELEMENTS := 12

# The values that an argument accepts. Others accept a range [lowest, highest] of values, or of
# numbers of elements. A third number stands for multiples of it only.
const ANY_VALUE := "any value"
const NEW_SIZE := "a size for a new segment"
## The bytes of the longest message of a new stream, or of the buffer of a new queue.
const NEW_LENGTH := "a length for a new layout"
## An offset at which an element of the method's type fits: `u32` of `decode_u32`.
const ELEMENT_OFFSET := "an offset of an element"
## An offset at which a word of the method's type fits, a multiple of its size.
const WORD_OFFSET := "an offset of a word"
## A number of 32 bits that is not the word at the segment's beginning, which is 0.
const OTHER_WORD := "a number that is not the word"
const TIMEOUT := "a timeout"
## A number of such elements that fit, 0 included; or an array of 1 or more.
const ELEMENT_COUNT := "a number of elements"
const TEXT_THAT_FITS := "a text that fits"
const IMAGE_THAT_FITS := "an image that fits"
## Of an image of one row of one byte: any number of bytes is a stride.
const STRIDE := "a stride"
## The format of a struct of 4 bytes, and its values.
const FORMAT := "a format"
const ANY_FORMAT := "a format, or any other text"
const VALUES := "values"
## The format of a struct of 4 bytes in which a value has a name.
const NAMED_FORMAT := "a format with names"
## The offset of a value in the engine's encoding. The segment has one, at its beginning.
const ENCODED_OFFSET := "the offset of a value"
const VALUE_THAT_FITS := "a value that fits"
const OPEN_MEMORY := "an object with an open segment"
const MESSAGE := "a message of a stream"
const QUEUED := "a message of a queue"
const SENT := "a message of a peer"
const BUFFER_SIZE := "a size of a peer's buffer"
## A value that put_var() sends in the engine's form.
const SENT_AS_VAR := "a value of a packet"
## An array with room for the newest message, an image that becomes that message, and its format.
const BUFFER_FOR_MESSAGE := "a buffer for a message"
const ANY_IMAGE := "an image"
const FORMAT_OF_MESSAGE := "a format of an image"
const LAYOUT := "a layout"
const NEW_NAME := "a name for a new segment"
const EXISTING_NAME := "the name of a segment"
const ANY_NAME := "the name of a segment, or any other"
const PREFIX := "a prefix for names"
const BACKEND := "a backend"

## The other types whose values the engine converts, for an argument of this type.
const CONVERTS := {
	TYPE_BOOL: [TYPE_INT, TYPE_FLOAT],
	TYPE_INT: [TYPE_BOOL, TYPE_FLOAT],
	TYPE_FLOAT: [TYPE_BOOL, TYPE_INT],
	TYPE_STRING: [TYPE_STRING_NAME, TYPE_NODE_PATH],
	TYPE_STRING_NAME: [TYPE_STRING],
	TYPE_PACKED_BYTE_ARRAY: [TYPE_ARRAY],
	TYPE_PACKED_INT32_ARRAY: [TYPE_ARRAY],
	TYPE_PACKED_INT64_ARRAY: [TYPE_ARRAY],
	TYPE_PACKED_FLOAT32_ARRAY: [TYPE_ARRAY],
	TYPE_PACKED_FLOAT64_ARRAY: [TYPE_ARRAY],
	TYPE_PACKED_VECTOR2_ARRAY: [TYPE_ARRAY],
	TYPE_PACKED_VECTOR3_ARRAY: [TYPE_ARRAY],
	TYPE_PACKED_VECTOR4_ARRAY: [TYPE_ARRAY],
	TYPE_PACKED_COLOR_ARRAY: [TYPE_ARRAY],
	TYPE_ARRAY:
	[
		TYPE_PACKED_BYTE_ARRAY,
		TYPE_PACKED_INT32_ARRAY,
		TYPE_PACKED_INT64_ARRAY,
		TYPE_PACKED_FLOAT32_ARRAY,
		TYPE_PACKED_FLOAT64_ARRAY,
		TYPE_PACKED_STRING_ARRAY,
		TYPE_PACKED_VECTOR2_ARRAY,
		TYPE_PACKED_VECTOR3_ARRAY,
		TYPE_PACKED_VECTOR4_ARRAY,
		TYPE_PACKED_COLOR_ARRAY,
	],
	TYPE_OBJECT: [TYPE_NIL],
}
const GOOD_FORMATS := ["<4B", "2B 2B", "pack(4) 4B:bytes:"]
const NAMED_FORMATS := ["<4B:bytes:", "3B B:last:", "<pack(8) 2T{H:x:}:pairs:"]
const BAD_FORMATS := ["y", "5", "<P", "ä", "B:a", "T{B", "T{}", "4B}", "<pack(3)4B", "B:a:B:a:2x"]
const GOOD_VALUES := [1, 2, 3, 255]
## The method fills an argument of this name, so the engine must not convert a copy.
const FILLED_IN_PLACE := "buffer"

const INTS: Array[int] = [
	MIN,
	MIN + 1,
	-TWO_32 - 1,
	-TWO_32,
	-TWO_32 + 1,
	-TWO_31,
	-1,
	0,
	1,
	TWO_31 - 1,
	TWO_31,
	TWO_32 - 1,
	TWO_32,
	TWO_32 + 1,
	MORE_THAN_ANY_SYSTEM_HAS,
	1 << 56,
	MAX - 4096,
	MAX - 1,
	MAX,
]
const FLOATS: Array[float] = [NAN, INF, -INF, 1e300, -1e300, 5e-324, -1.5, 64.5]
## More characters or bytes than a name has on any system.
const TOO_LONG := 256

## The object for [constant OPEN_MEMORY]; set by the test.
static var memory: SharedMemory
## True if the object's layout is LAYOUT_NATIVE, and otherwise the one of libsharedmemory's V2.
static var is_native := false

var name: String
var type: int
## The class of an object.
var class_of_it: StringName
## A range, or one of the constants.
var accepts: Variant


## A value of a type: 0, or one with nothing in it.
static func empty(of_type: int) -> Variant:
	match of_type:
		TYPE_STRING:
			return ""
		TYPE_STRING_NAME:
			return &""
		TYPE_NODE_PATH:
			return ^""
		TYPE_OBJECT:
			return RefCounted.new()
	return type_convert(null, of_type)


## An image of this many bytes.
static func image_of(size: int) -> Image:
	return Image.create_empty(size, 1, false, Image.FORMAT_L8)


## The values to try: the edges of the range, and hostile values.
func values() -> Array:
	if accepts is Array:
		var edges := [accepts[0] - 1, accepts[0], accepts[1], accepts[1] + 1]
		if type == TYPE_INT:
			return INTS + edges
		var sizes := (edges + [100_000]).filter(func(size: int) -> bool: return size >= 0)
		return sizes.map(_array_of)
	var names := [
		"", "/", "//", "a/b", "x".repeat(TOO_LONG), "é".repeat(TOO_LONG / 2), "x".repeat(70_000)
	]
	var values_of := {
		ANY_VALUE: {TYPE_INT: INTS, TYPE_FLOAT: FLOATS}.get(type, [empty(type)]),
		NEW_SIZE: INTS,
		NEW_LENGTH: INTS,
		TEXT_THAT_FITS:
		["", "x".repeat(SIZE), "x".repeat(SIZE + 1), "é".repeat(SIZE), "x".repeat(70_000)],
		IMAGE_THAT_FITS: [null, Image.new(), image_of(SIZE), image_of(SIZE + 1), image_of(100_000)],
		STRIDE: INTS,
		BACKEND: INTS + [3, 4],
		OTHER_WORD: INTS,
		TIMEOUT: [MIN, -1, 0, 1, 20],
		ENCODED_OFFSET: INTS + [SIZE - 4, SIZE - 1, SIZE],
		VALUE_THAT_FITS:
		[
			null,
			MAX,
			RefCounted.new(),
			"x".repeat(SIZE - 8),
			"x".repeat(SIZE - 7),
			PackedInt64Array([1, 2, 3, 4, 5, 6, 7]),
			range(SIZE / 8),
			{"x": [Vector4()]},
			PackedByteArray(range(70_000)),
		],
		OPEN_MEMORY: [null, SharedMemory.new(), memory],
		MESSAGE:
		[
			"x".repeat(CAPACITY),
			"x".repeat(CAPACITY + 1),
			"ä".repeat(CAPACITY),
			"x".repeat(70_000),
			PackedFloat32Array(range(CAPACITY / 4)),
			PackedFloat64Array(range(CAPACITY / 8 + 1)),
			PackedInt32Array([1]),
			RefCounted.new(),
			null,
			NAN,
			[],
			{},
		],
		QUEUED:
		[
			PackedByteArray(),
			_bytes(LONGEST_MESSAGE),
			_bytes(LONGEST_MESSAGE + 1),
			_bytes(LONGEST_NATIVE),
			_bytes(LONGEST_NATIVE + 1),
			_bytes(70_000),
			"x",
			PackedInt32Array([1]),
			RefCounted.new(),
			null,
			7,
		],
		SENT_AS_VAR:
		[null, 7, "x".repeat(LONGEST_SENT), _bytes(LONGEST_SENT - 8), _bytes(LONGEST_SENT)],
		SENT:
		[
			_bytes(0),
			_bytes(LONGEST_SENT),
			_bytes(LONGEST_SENT + 1),
			_bytes(70_000),
			"x".repeat(LONGEST_SENT),
			"x".repeat(LONGEST_SENT + 1),
			RefCounted.new(),
			[[RefCounted.new()]],
			{"a": PackedInt32Array([1])},
			null,
			NAN,
		],
		BUFFER_SIZE: INTS + [BUFFER - 1, BUFFER, BUFFER + 1, 65536],
		BUFFER_FOR_MESSAGE: [_bytes(CAPACITY), _bytes(70_000)],
		ANY_IMAGE: [null, Image.new(), image_of(1), image_of(100_000)],
		FORMAT_OF_MESSAGE: INTS + [4, 5, 6],
		LAYOUT: INTS + [2, 3, 4],
		FORMAT: GOOD_FORMATS + BAD_FORMATS + ["9".repeat(30) + "B", "y".repeat(70_000)],
		ANY_FORMAT: GOOD_FORMATS + BAD_FORMATS + ["y".repeat(70_000)],
		NAMED_FORMAT:
		(
			NAMED_FORMATS
			+ BAD_FORMATS
			+ ["<4B", "9".repeat(15) + "T{B}", "T{".repeat(17) + "B:a:" + "}".repeat(17)]
		),
		VALUES:
		[
			GOOD_VALUES,
			[],
			[1, 2, 3],
			[1, 2, 3, 4, 5],
			[1, 2, 3, 256],
			[-1, 2, 3, 4],
			[1.0, 2, 3, 4],
			["1", 2, 3, 4],
			[null, 2, 3, 4],
			[RefCounted.new(), 2, 3, 4],
			PackedByteArray(GOOD_VALUES),
			{"a": 1},
			"1234",
			null,
			7,
		],
		NEW_NAME: names + ["a\\b", ".", ".."],
		EXISTING_NAME: names + ["../x"],
		ANY_NAME: names + ["../x"],
		PREFIX: names + ["a".repeat(13), "a".repeat(14), ".."],
	}
	return values_of[accepts]


## Returns the error of the method for one of [method values], if the other arguments are good.
## Returns null if the error is unknown, or the call costs too much.
func verdict(value: Variant) -> Variant:
	var is_allowed := false
	var refusal := ERR_INVALID_PARAMETER
	if _is_unknown(value):
		return null
	if accepts is Array:
		var amount: int = value if type == TYPE_INT else len(value)
		var is_multiple: bool = accepts.size() < 3 or amount % accepts[2] == 0
		return _code(amount >= accepts[0] and amount <= accepts[1] and is_multiple)
	match accepts:
		ANY_VALUE, ANY_NAME, ANY_FORMAT, STRIDE:
			is_allowed = true
		NEW_SIZE when value >= MORE_THAN_ANY_SYSTEM_HAS:
			return ERR_OUT_OF_MEMORY
		NEW_SIZE:
			is_allowed = value > 0
		NEW_LENGTH:
			is_allowed = value > 0 and value <= SIZE
		BUFFER_SIZE:
			is_allowed = value >= BUFFER and value <= 65536
		SENT when value is PackedByteArray or value is String:
			is_allowed = len(value) <= LONGEST_SENT
		SENT_AS_VAR:
			is_allowed = var_to_bytes(value).size() <= LONGEST_SENT
		SENT:
			is_allowed = value is Dictionary or value is float
		OTHER_WORD:
			is_allowed = value > 0 and value < TWO_32
			refusal = ERR_TIMEOUT if value == 0 else refusal
		TIMEOUT:
			is_allowed = value >= 0
		BACKEND:
			is_allowed = value == 0
		PREFIX:
			is_allowed = value.length() == 13
		FORMAT:
			is_allowed = value in GOOD_FORMATS
		VALUES:
			var is_list := value is Array or value is PackedByteArray
			is_allowed = is_list and Array(value) == GOOD_VALUES
		NAMED_FORMAT:
			is_allowed = value in NAMED_FORMATS
		ENCODED_OFFSET:
			is_allowed = value == 0
			if value > 0 and value < SIZE:
				refusal = ERR_INVALID_DATA
		VALUE_THAT_FITS:
			is_allowed = var_to_bytes(value).size() <= SIZE
		OPEN_MEMORY when value != null and not value.is_open():
			return ERR_UNCONFIGURED
		OPEN_MEMORY:
			is_allowed = value != null
		MESSAGE, QUEUED when value == null or value is Object:
			is_allowed = false
		QUEUED when value is PackedByteArray:
			is_allowed = value.size() <= (LONGEST_NATIVE if is_native else LONGEST_MESSAGE)
		BUFFER_FOR_MESSAGE:
			is_allowed = true
		ANY_IMAGE:
			is_allowed = value != null
		FORMAT_OF_MESSAGE:
			is_allowed = value in [-1, 0, 4, 5]
		LAYOUT:
			is_allowed = value in range(4)
		MESSAGE, QUEUED when is_native and not value is String:
			var content: Variant = value if value is PackedByteArray else null
			if (
				value is PackedFloat32Array
				or value is PackedFloat64Array
				or value is PackedInt32Array
			):
				content = value.to_byte_array()
			if content == null:
				content = var_to_bytes(value)
			is_allowed = content.size() <= (CAPACITY if accepts == MESSAGE else LONGEST_NATIVE)
		QUEUED when is_native:
			is_allowed = value.to_utf8_buffer().size() <= LONGEST_NATIVE
		MESSAGE when value is String:
			is_allowed = value.to_utf8_buffer().size() <= CAPACITY
		MESSAGE:
			is_allowed = value is PackedFloat32Array
		TEXT_THAT_FITS:
			is_allowed = value.to_utf8_buffer().size() <= SIZE
		IMAGE_THAT_FITS:
			is_allowed = value != null and value.get_data_size() in range(1, SIZE + 1)
	return OK if is_allowed else refusal


## Returns whether the engine converts the [method empty] value of this type to the argument's type.
func does_convert(from: int) -> bool:
	# As an argument's, TYPE_NIL stands for any type. An object is of another class than is wanted.
	if type == TYPE_NIL or type == from and type != TYPE_OBJECT:
		return true
	return name != FILLED_IN_PLACE and from in CONVERTS.get(type, [])


## A value that works together with good values of the other arguments. [param new_name] is free,
## [param old_name] is the name of a segment.
func good(new_name: String, old_name: String) -> Variant:
	if accepts is Array:
		return accepts[0] if type == TYPE_INT else _array_of(maxi(1, accepts[0]))
	var good_one := {
		NEW_SIZE: SIZE,
		NEW_LENGTH: SIZE,
		BUFFER_SIZE: BUFFER,
		SENT: "a",
		SENT_AS_VAR: 7,
		NEW_NAME: new_name,
		EXISTING_NAME: old_name,
		ANY_NAME: old_name,
		PREFIX: "a",
		OTHER_WORD: 1,
		TEXT_THAT_FITS: "a",
		ANY_FORMAT: GOOD_FORMATS[0],
		FORMAT: GOOD_FORMATS[0],
		NAMED_FORMAT: NAMED_FORMATS[0],
		VALUES: GOOD_VALUES.duplicate(),
		IMAGE_THAT_FITS: image_of(1),
		OPEN_MEMORY: memory,
		MESSAGE: "a",
		QUEUED: PackedByteArray([1]),
		BUFFER_FOR_MESSAGE: _bytes(CAPACITY),
		ANY_IMAGE: image_of(1),
		FORMAT_OF_MESSAGE: -1,
		LAYOUT: 0 if is_native else 3,
	}
	return good_one.get(accepts, empty(type))


## A random value that works, if the object's state and its segment's size allow it.
func any_good(chance: RandomNumberGenerator, a_name: String) -> Variant:
	if accepts is Array:
		if type == TYPE_INT:
			var number := chance.randi_range(accepts[0], mini(accepts[1], 2 * SIZE))
			return number - number % accepts[2] if accepts.size() > 2 else number
		return _array_of(chance.randi_range(maxi(1, accepts[0]), accepts[1]))
	if accepts == NEW_SIZE:
		return chance.randi_range(1, 2 * SIZE)
	if accepts == STRIDE:
		return chance.randi_range(-2 * SIZE, 2 * SIZE)
	return chance.randf() < 0.5 if type == TYPE_BOOL else good(a_name, a_name)


func _is_unknown(value: Variant) -> bool:
	match accepts:
		NEW_SIZE:
			return value > SIZE and value < MORE_THAN_ANY_SYSTEM_HAS
		NEW_LENGTH, BUFFER_SIZE:
			# There may be no memory for it.
			var is_length: bool = accepts == NEW_LENGTH
			return (
				value > (SIZE if is_length else 65536) and value <= 1 << (46 if is_length else 30)
			)
		BACKEND:
			# Its names are others.
			return value in [1, 2, 3]
		LAYOUT:
			# The memory may be laid out already, or too small.
			return value in range(4) and value != good("", "")
		MESSAGE, QUEUED when is_native and value != null and not value is Object:
			# Only the lengths of these are checked here. A native message may have many types.
			return not (value is String if accepts == MESSAGE else value is PackedByteArray)
	return false


func _code(is_allowed: bool) -> Error:
	return OK if is_allowed else ERR_INVALID_PARAMETER


static func _bytes(size: int) -> PackedByteArray:
	var all := PackedByteArray()
	all.resize(size)
	return all


func _array_of(size: int) -> Variant:
	var array: Variant = empty(type)
	array.resize(size)
	return array
