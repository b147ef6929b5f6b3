extends "res://test_case.gd"
## Numbers in the memory, by the rules of PackedByteArray: its own methods say what is right.

# same for every user

const INTEGERS := {"u8": 1, "s8": 1, "u16": 2, "s16": 2, "u32": 4, "s32": 4, "u64": 8, "s64": 8}
const FRACTIONS := {"half": 2, "float": 4, "double": 8}
const MIN := -9223372036854775808
const MAX := 9223372036854775807
## Both sides of every limit of every width.
const WHOLE: Array[int] = [
	0,
	1,
	-1,
	127,
	128,
	-128,
	-129,
	255,
	256,
	32767,
	32768,
	-32768,
	-32769,
	65535,
	65536,
	0x12345678,
	0x7FFFFFFF,
	0x80000000,
	-0x80000000,
	0xFFFFFFFF,
	1 << 32,
	MAX,
	MIN,
]

## The engine's own methods; a PackedByteArray has no call().
var _encode := {
	"u8": func(array: Variant, at: int, value: int) -> void: array.encode_u8(at, value),
	"s8": func(array: Variant, at: int, value: int) -> void: array.encode_s8(at, value),
	"u16": func(array: Variant, at: int, value: int) -> void: array.encode_u16(at, value),
	"s16": func(array: Variant, at: int, value: int) -> void: array.encode_s16(at, value),
	"u32": func(array: Variant, at: int, value: int) -> void: array.encode_u32(at, value),
	"s32": func(array: Variant, at: int, value: int) -> void: array.encode_s32(at, value),
	"u64": func(array: Variant, at: int, value: int) -> void: array.encode_u64(at, value),
	"s64": func(array: Variant, at: int, value: int) -> void: array.encode_s64(at, value),
	"half": func(array: Variant, at: int, value: float) -> void: array.encode_half(at, value),
	"float": func(array: Variant, at: int, value: float) -> void: array.encode_float(at, value),
	"double": func(array: Variant, at: int, value: float) -> void: array.encode_double(at, value),
}
var _decode := {
	"u8": func(array: PackedByteArray, at: int) -> int: return array.decode_u8(at),
	"s8": func(array: PackedByteArray, at: int) -> int: return array.decode_s8(at),
	"u16": func(array: PackedByteArray, at: int) -> int: return array.decode_u16(at),
	"s16": func(array: PackedByteArray, at: int) -> int: return array.decode_s16(at),
	"u32": func(array: PackedByteArray, at: int) -> int: return array.decode_u32(at),
	"s32": func(array: PackedByteArray, at: int) -> int: return array.decode_s32(at),
	"u64": func(array: PackedByteArray, at: int) -> int: return array.decode_u64(at),
	"s64": func(array: PackedByteArray, at: int) -> int: return array.decode_s64(at),
}


func test_integers_of_every_width_are_read_as_written() -> void:
	var memory := created(32)
	var array := PackedByteArray()
	array.resize(32)
	for kind: String in INTEGERS:
		for offset: int in [0, 1, 3, 7, 32 - INTEGERS[kind]]:
			for value in WHOLE:
				var why := "%s of %d at %d" % [kind, value, offset]
				assert_code(memory.call("encode_" + kind, offset, value), OK, why)
				_encode[kind].call(array, offset, value)
				assert_eq(memory.read(), array, "the bytes: " + why)
				var back: int = memory.call("decode_" + kind, offset)
				assert_eq(back, _decode[kind].call(array, offset), "back: " + why)


func test_fractions_of_every_width_are_read_as_written() -> void:
	var memory := created(32)
	var array := PackedByteArray()
	array.resize(32)
	# All of them can be held by a half.
	for value: float in [0.0, -0.0, 1.0, -1.5, 0.333251953125, 65504.0, INF, -INF, NAN]:
		for kind: String in FRACTIONS:
			for offset: int in [0, 1, 32 - FRACTIONS[kind]]:
				var why := "%s of %s at %d" % [kind, value, offset]
				assert_code(memory.call("encode_" + kind, offset, value), OK, why)
				var back: float = memory.call("decode_" + kind, offset)
				assert_true(back == value or is_nan(back) and is_nan(value), "back: " + why)
				if not is_nan(value):
					_encode[kind].call(array, offset, value)
					assert_eq(memory.read(), array, "the bytes: " + why)
	for value: float in [1e300, -1e-300, 5e-324, PI]:
		memory.encode_double(5, value)
		assert_eq(memory.decode_double(5), value, "a double is kept whole")


func test_every_half_is_read_as_the_engine_does() -> void:
	var memory := created(2)
	var array := PackedByteArray([0, 0])
	var different := []
	for code in 65536:
		memory.encode_u16(0, code)
		array.encode_u16(0, code)
		var ours := memory.decode_half(0)
		var engine := array.decode_half(0)
		if ours != engine and not (is_nan(ours) and is_nan(engine)):
			different.append(code)
		# And it comes out as it went in.
		memory.encode_half(0, ours)
		if not is_nan(ours) and memory.decode_u16(0) != code:
			different.append(-code)
	assert_eq(different, [], "halfs")


func test_halves_and_floats_are_rounded_to_nearest() -> void:
	var memory := created(4)
	for values: Array in [[1.0 / 3.0, 0.333251953125], [2049.0, 2048.0], [2051.0, 2052.0]]:
		memory.encode_half(0, values[0])
		assert_eq(memory.decode_half(0), values[1], "half of %s" % values[0])
	memory.encode_half(0, 1e6)
	assert_eq(memory.decode_half(0), INF, "too large for a half")
	memory.encode_float(0, 1e39)
	assert_eq(memory.decode_float(0), INF, "too large for a float")
	memory.encode_float(0, 0.1)
	assert_eq(memory.decode_float(0), 0.10000000149011612, "0.1")


func test_every_width_ends_where_the_segment_ends() -> void:
	var memory := created(9)
	memory.write(pattern(9))
	var all: Dictionary = INTEGERS.merged(FRACTIONS)
	for kind: String in all:
		for offset: int in [10 - all[kind], 9, -1, MIN, MAX]:
			expect_error("SharedMemory.decode_%s(): " % kind)
			assert_true(memory.call("decode_" + kind, offset) == 0, "decode_%s" % kind)
			assert_last_error(memory, ERR_INVALID_PARAMETER, [str(offset)])
			expect_error("SharedMemory.encode_%s(): " % kind)
			var code: Error = memory.call("encode_" + kind, offset, 1)
			assert_code(code, ERR_INVALID_PARAMETER, "encode_%s at %d" % [kind, offset])
	assert_eq(memory.read(), pattern(9), "untouched")


func test_typed_calls_work() -> void:
	var memory := created(8)
	var code: Error = memory.encode_double(0, 3)
	var whole: int = memory.decode_s64(0)
	var fraction: float = memory.decode_double(0)
	assert_code(code, OK, "an integer where a fraction is wanted")
	assert_eq(fraction, 3.0, "decode_double")
	assert_eq(whole, 0x4008000000000000, "its bits")


func test_agrees_with_packed_byte_array() -> void:
	var memory := created(16)
	var array := PackedByteArray()
	array.resize(16)
	for offset in 13:
		for value: int in [0, 1, 0x12345678, 0x80000000, 0xFFFFFFFF]:
			assert_code(memory.encode_u32(offset, value), OK, "encode at %d" % offset)
			array.encode_u32(offset, value)
			assert_eq(memory.read(), array, "the bytes of %d at %d" % [value, offset])
			assert_eq(memory.decode_u32(offset), value, "back")
			assert_eq(memory.decode_u32(offset), array.decode_u32(offset), "as the array has it")


func test_values_are_cut_to_the_width() -> void:
	var memory := created(8)
	for value: int in [-1, 1 << 32, (1 << 32) + 5, -(1 << 40) - 3, 9223372036854775807]:
		memory.fill(7)
		assert_code(memory.encode_u32(2, value), OK, "encode %d" % value)
		assert_eq(memory.decode_u32(2), value & 0xFFFFFFFF, "decode %d" % value)
		assert_eq(memory.read(2), bytes([7, 7]), "before it")
		assert_eq(memory.read(2, 6), bytes([7, 7]), "behind it")


func test_untyped_calls_work() -> void:
	var memory: Variant = created(8)
	assert_code(memory.encode_u32(1, 77), OK, "encode")
	assert_eq(memory.call("decode_u32", 1), 77, "decode")
	assert_eq(memory.callv("decode_u32", [1.0]), 77, "a number without a fraction will do")
	expect_error("Cannot convert argument")
	assert_eq(memory.callv("decode_u32", ["one"]), null, "a text")
	expect_error("expected 1 argument")
	assert_eq(memory.callv("decode_u32", []), null, "none")


func test_access_outside_is_refused() -> void:
	var memory := created(8)
	memory.write(pattern(8))
	for offset: int in [5, 8, 1 << 32, 9223372036854775807, -1, -9223372036854775808]:
		memory.clear_last_error()
		expect_error("SharedMemory.decode_u32(): ")
		assert_eq(memory.decode_u32(offset), 0, "decode at %d" % offset)
		assert_last_error(memory, ERR_INVALID_PARAMETER, [str(offset)])
		memory.clear_last_error()
		expect_error("SharedMemory.encode_u32(): ")
		assert_code(memory.encode_u32(offset, 1), ERR_INVALID_PARAMETER, "encode at %d" % offset)
		assert_last_error(memory, ERR_INVALID_PARAMETER, [str(offset)])
	assert_eq(memory.read(), pattern(8), "untouched")


func test_zero_differs_from_an_error() -> void:
	var memory := created(8)
	assert_eq(memory.decode_u32(0), 0, "a zero")
	assert_eq(memory.get_last_error(), OK, "is none")
	memory.close()
	expect_error("SharedMemory.decode_u32(): ")
	assert_eq(memory.decode_u32(0), 0, "not open")
	assert_last_error(memory, ERR_UNCONFIGURED)
	expect_error("SharedMemory.encode_u32(): ")
	assert_code(memory.encode_u32(0, 1), ERR_UNCONFIGURED, "not open")


func test_encode_fails_for_reader() -> void:
	var owner := created(8)
	owner.encode_u32(4, 99)
	var reader := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	assert_eq(reader.decode_u32(4), 99, "decode")
	assert_code(reader.encode_u32(4, 1), ERR_UNAUTHORIZED, "encode")
	assert_eq(owner.decode_u32(4), 99, "untouched")
