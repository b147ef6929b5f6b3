extends "res://tests/test_case.gd"
## Numbers in the memory, by the rules of PackedByteArray.


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


func test_untyped() -> void:
	var memory: Variant = created(8)
	assert_code(memory.encode_u32(1, 77), OK, "encode")
	assert_eq(memory.call("decode_u32", 1), 77, "decode")
	assert_eq(memory.callv("decode_u32", [1.0]), 77, "a number without a fraction will do")
	expect_error("Cannot convert argument")
	assert_eq(memory.callv("decode_u32", ["one"]), null, "a text")
	expect_error("expected 1 argument")
	assert_eq(memory.callv("decode_u32", []), null, "none")


func test_outside() -> void:
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


func test_zero_can_be_told_from_an_error() -> void:
	var memory := created(8)
	assert_eq(memory.decode_u32(0), 0, "a zero")
	assert_eq(memory.get_last_error(), OK, "is none")
	memory.close()
	expect_error("SharedMemory.decode_u32(): ")
	assert_eq(memory.decode_u32(0), 0, "not open")
	assert_last_error(memory, ERR_UNCONFIGURED)
	expect_error("SharedMemory.encode_u32(): ")
	assert_code(memory.encode_u32(0, 1), ERR_UNCONFIGURED, "not open")


func test_a_reader() -> void:
	var owner := created(8)
	owner.encode_u32(4, 99)
	var reader := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	assert_eq(reader.decode_u32(4), 99, "decode")
	assert_code(reader.encode_u32(4, 1), ERR_UNAUTHORIZED, "encode")
	assert_eq(owner.decode_u32(4), 99, "untouched")
