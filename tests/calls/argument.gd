extends RefCounted
## An argument of a method: what it takes, what there is to try on it, and what the method says to
## each of that.

const MIN := -9223372036854775808
const MAX := 9223372036854775807
const TWO_31 := 1 << 31
const TWO_32 := 1 << 32
## No system has so much; below it, one may.
const TOO_MUCH := 1 << 44

## The bytes of the segment on which all is tried.
const SIZE := 64
## What a stream takes there (see [constant MESSAGE]), how long a queue's messages may be, and
## how many elements of [constant GOOD_FORMATS] an array has.
const CAPACITY := 44
const LONGEST := 5
const ELEMENTS := 12

# What an argument takes, where it isn't a range [lowest, highest] of its value, or of its number of
# elements.
const ANY := "any value"
## A number of bytes to make.
const ROOM := "room"
## An offset from which on there is place for one of what the method is named for.
const FITS := "fits"
## A number of them, none included; or an array of them.
const SOME := "some"
## As many bytes of text as there are in the segment.
const TEXT := "text"
## Pixels that fit.
const IMAGE := "an image"
## The format of a struct of 4 bytes, and its values.
const FORMAT := "a format"
const VALUES := "values"
## The offset of a value in the engine's form, which is the first and the only one there.
const ENCODED := "the offset of a value"
## A value that takes no more bytes than there are.
const ENCODABLE := "a value that fits"
## An object that has a segment open.
const MEMORY := "memory"
## A value for a stream.
const MESSAGE := "a message"
const NEW_NAME := "a name for a new segment"
const OLD_NAME := "the name of a segment"
## The same, but a bad one is just the name of none.
const ASKED_NAME := "the name of a segment, or of none"
const PREFIX := "a prefix for names"
const BACKEND := "a backend"

## Of what other types the engine's own methods take values, for an argument of this type.
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
const GOOD_FORMATS := ["<4B", "2B 2B"]
const GOOD_VALUES := [1, 2, 3, 255]
## An argument of this name is filled, so a converted copy would not do.
const FILLED := "buffer"

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
	TOO_MUCH,
	1 << 56,
	MAX - 4096,
	MAX - 1,
	MAX,
]
const FLOATS: Array[float] = [NAN, INF, -INF, 1e300, -1e300, 5e-324, -1.5, 64.5]
## Longer than any system allows, in characters or in bytes.
const LONG := 256

## What is good for [constant MEMORY]; set by the test.
static var memory: SharedMemory

var name: String
var type: int
## Of an object.
var class_of_it: StringName
## A range, or one of the constants.
var takes: Variant


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


## One of so many bytes.
static func image_of(size: int) -> Image:
	return Image.create_empty(size, 1, false, Image.FORMAT_L8)


## What to try: the edges of what it takes, and hostile values.
func values() -> Array:
	if takes is Array:
		var edges := [takes[0] - 1, takes[0], takes[1], takes[1] + 1]
		if type == TYPE_INT:
			return INTS + edges
		var sizes := (edges + [100_000]).filter(func(size: int) -> bool: return size >= 0)
		return sizes.map(_array_of)
	var names := ["", "/", "//", "a/b", "x".repeat(LONG), "é".repeat(LONG / 2), "x".repeat(70_000)]
	var values_of := {
		ANY: {TYPE_INT: INTS, TYPE_FLOAT: FLOATS}.get(type, [empty(type)]),
		ROOM: INTS,
		TEXT: ["", "x".repeat(SIZE), "x".repeat(SIZE + 1), "é".repeat(SIZE), "x".repeat(70_000)],
		IMAGE: [null, Image.new(), image_of(SIZE), image_of(SIZE + 1), image_of(100_000)],
		BACKEND: INTS + [3, 4],
		ENCODED: INTS + [SIZE - 4, SIZE - 1, SIZE],
		ENCODABLE:
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
		MEMORY: [null, SharedMemory.new(), memory],
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
		FORMAT: GOOD_FORMATS + ["y", "5", "<P", "ä", "9".repeat(30) + "B", "y".repeat(70_000)],
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
		],
		NEW_NAME: names + ["a\\b", ".", ".."],
		OLD_NAME: names + ["../x"],
		ASKED_NAME: names + ["../x"],
		PREFIX: names + ["a".repeat(13), "a".repeat(14), ".."],
	}
	return values_of[takes]


## What the method says to one of [method values], if nothing else is wrong; null if that can't be
## known, or costs too much to try.
func verdict(value: Variant) -> Variant:
	var is_allowed := false
	var refusal := ERR_INVALID_PARAMETER
	if takes is Array:
		var amount: int = value if type == TYPE_INT else len(value)
		return _code(amount >= takes[0] and amount <= takes[1])
	match takes:
		ANY, ASKED_NAME:
			is_allowed = true
		ROOM when value >= TOO_MUCH:
			return ERR_OUT_OF_MEMORY
		ROOM when value > SIZE:
			return null
		ROOM:
			is_allowed = value > 0
		BACKEND when value in [1, 2, 3]:
			# Its names are others.
			return null
		BACKEND:
			is_allowed = value == 0
		PREFIX:
			is_allowed = value.length() == 13
		FORMAT:
			is_allowed = value in GOOD_FORMATS
		VALUES:
			is_allowed = value is Array and value == GOOD_VALUES
		ENCODED:
			is_allowed = value == 0
			if value > 0 and value < SIZE:
				refusal = ERR_INVALID_DATA
		ENCODABLE:
			is_allowed = var_to_bytes(value).size() <= SIZE
		MEMORY when value != null and not value.is_open():
			return ERR_UNCONFIGURED
		MEMORY:
			is_allowed = value != null
		MESSAGE when value is String:
			is_allowed = value.to_utf8_buffer().size() <= CAPACITY
		MESSAGE:
			is_allowed = value is PackedFloat32Array
		TEXT:
			is_allowed = value.to_utf8_buffer().size() <= SIZE
		IMAGE:
			is_allowed = value != null and value.get_data_size() in range(1, SIZE + 1)
	return OK if is_allowed else refusal


## Whether the engine takes the [method empty] value of this type for one of the argument's.
func does_convert(from: int) -> bool:
	# As an argument's, TYPE_NIL stands for any type. An object is of another class than is wanted.
	if type == TYPE_NIL or type == from and type != TYPE_OBJECT:
		return true
	return name != FILLED and from in CONVERTS.get(type, [])


## A value that works with the good ones of the others. [param new_name] and [param old_name] are of
## a segment that can be made, and of one that is there.
func good(new_name: String, old_name: String) -> Variant:
	if takes is Array:
		return takes[0] if type == TYPE_INT else _array_of(maxi(1, takes[0]))
	var good_one := {
		ROOM: SIZE,
		NEW_NAME: new_name,
		OLD_NAME: old_name,
		ASKED_NAME: old_name,
		PREFIX: "a",
		TEXT: "a",
		FORMAT: GOOD_FORMATS[0],
		VALUES: GOOD_VALUES.duplicate(),
		IMAGE: image_of(1),
		MEMORY: memory,
		MESSAGE: "a",
	}
	return good_one.get(takes, empty(type))


## Some value that works, if the object's state and its segment's size let it.
func any_good(chance: RandomNumberGenerator, a_name: String) -> Variant:
	if takes is Array:
		if type == TYPE_INT:
			return chance.randi_range(takes[0], mini(takes[1], 2 * SIZE))
		return _array_of(chance.randi_range(maxi(1, takes[0]), takes[1]))
	if takes == ROOM:
		return chance.randi_range(1, 2 * SIZE)
	return chance.randf() < 0.5 if type == TYPE_BOOL else good(a_name, a_name)


func _code(is_allowed: bool) -> Error:
	return OK if is_allowed else ERR_INVALID_PARAMETER


func _array_of(size: int) -> Variant:
	var array: Variant = empty(type)
	array.resize(size)
	return array
