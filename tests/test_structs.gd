extends "res://test_case.gd"
## Structs by the format strings of Python's module struct. The segment crate tests that all
## formats agree with the module; these tests are about what scripts see of it.

# same for every user


func test_structs_are_unpacked_as_packed() -> void:
	var memory := created(64)
	var values := [1, -2, 300, -40000, 70000, -5, 6, 0.5, 0.25, 1e300, true, bytes([65])]
	assert_code(memory.pack("<BbHiIqQefd?c", values, 3), OK, "pack")
	assert_eq(memory.unpack("<BbHiIqQefd?c", 3), values, "unpack")
	var expected := PackedByteArray()
	expected.resize(43)
	expected.encode_u8(0, 1)
	expected.encode_s8(1, -2)
	expected.encode_u16(2, 300)
	expected.encode_s32(4, -40000)
	expected.encode_u32(8, 70000)
	expected.encode_s64(12, -5)
	expected.encode_u64(20, 6)
	expected.encode_half(28, 0.5)
	expected.encode_float(30, 0.25)
	expected.encode_double(34, 1e300)
	expected.encode_u8(42, 1)
	expected.append(65)
	assert_eq(memory.read(44, 3), expected, "the bytes")


func test_calcsize_returns_the_size_of_a_format() -> void:
	for format: Array in [["", 0], ["<I", 4], ["@Ifd16s", 32], ["bq", 16], ["<bq", 9], ["b0q", 8]]:
		assert_eq(SharedMemory.calcsize(format[0]), format[1], format[0])
	for format: String in ["y", "<P", "3", "99999999999999999999i", "<n", "ä"]:
		expect_error("SharedMemory.calcsize(): format: ")
		assert_eq(SharedMemory.calcsize(format), -1, format)


func test_format_error_is_told_and_not_printed() -> void:
	for format: String in ["", "<I", "@Ifd16s", "<pack(4) I:a: 2T{f}:b:"]:
		assert_eq(SharedMemory.get_format_error(format), "", format)
	for format: String in ["y", "3", "T{", "<pack(3)B", "ä"]:
		var told := SharedMemory.get_format_error(format)
		assert_true(told.begins_with("format: "), "%s: %s" % [format, told])
		expect_error("SharedMemory.calcsize(): " + told)
		SharedMemory.calcsize(format)


func test_byte_order_and_padding_follow_the_format() -> void:
	var memory := created(16)
	memory.fill(255)
	assert_code(memory.pack(">Hxi", [258, 3]), OK, "pack")
	assert_eq(memory.read(7), bytes([1, 2, 0, 0, 0, 0, 3]), "the bytes")
	assert_eq(memory.unpack(">Hxi"), [258, 3], "unpack")
	assert_code(memory.pack("@bi", [1, 2]), OK, "native")
	assert_eq(memory.decode_s32(4), 2, "aligned as in C")


func test_texts_and_bytes_fill_their_field() -> void:
	var memory := created(32)
	assert_code(memory.pack("4s5p", ["äb", bytes([1, 2])]), OK, "pack")
	assert_eq(memory.read(9), bytes([0xC3, 0xA4, 98, 0, 2, 1, 2, 0, 0]), "the bytes")
	assert_eq(memory.unpack("4s5p"), [bytes([0xC3, 0xA4, 98, 0]), bytes([1, 2])], "unpack")
	assert_code(memory.pack("2s", ["abc"]), OK, "too long")
	assert_eq(memory.unpack("2s"), [bytes([97, 98])], "is cut")


func test_unsigned_64_bits_wrap_to_signed() -> void:
	var memory := created(8)
	assert_code(memory.pack("<Q", [-1]), OK, "pack")
	assert_eq(memory.decode_u64(0), -1, "all bits")
	assert_eq(memory.unpack("<Q"), [-1], "unpack")


func test_bad_formats_and_values_are_refused() -> void:
	var memory := created(16)
	memory.write(pattern(16))
	var refused := [
		["y", [1], "not a format character"],
		["<I", [], "values must have 1 elements, not 0"],
		["<I", [1, 2], "values must have 1 elements, not 2"],
		["<B", [256], "values[0] must be from 0 to 255"],
		["<bb", [0, -129], "values[1] must be from -128 to 127"],
		["<i", [1.0], "values[0] must be an integer"],
		["<f", ["1"], "values[0] must be"],
		["<f", [1e39], "values[0] is too large"],
		["c", [bytes([1, 2])], "values[0] must be one byte"],
		["<I", [null], "values[0] must be a number"],
		["<I", [Vector2()], "values[0] must be a number"],
		["<I", [memory], "values[0] must be a number"],
		["<17s", ["x"], "reach past the end"],
		["<1000000000000i", [1], "reach past the end"],
	]
	for call: Array in refused:
		expect_error("SharedMemory.pack(): ")
		assert_code(memory.pack(call[0], call[1]), ERR_INVALID_PARAMETER, str(call))
		assert_last_error(memory, ERR_INVALID_PARAMETER, [call[2]])
	for offset: int in [13, 16, -1, 9223372036854775807]:
		expect_error("SharedMemory.pack(): ")
		assert_code(memory.pack("<I", [1], offset), ERR_INVALID_PARAMETER, "at %d" % offset)
		expect_error("SharedMemory.unpack(): ")
		assert_eq(memory.unpack("<I", offset), [], "at %d" % offset)
		assert_last_error(memory, ERR_INVALID_PARAMETER)
	expect_error("SharedMemory.unpack(): ")
	assert_eq(memory.unpack("<5"), [], "a bad format")
	assert_eq(memory.read(), pattern(16), "not a byte was written")


func test_empty_format_works_at_the_end() -> void:
	var memory := created(8)
	assert_code(memory.pack("", [], 8), OK, "no bytes at the very end")
	assert_eq(memory.unpack("", 8), [], "none")
	assert_last_error(memory, OK)


func test_typed_arrays_and_untyped_calls_work() -> void:
	var memory := created(16)
	var values: Array[int] = [7, 8]
	var code: Error = memory.pack("<2i", values)
	assert_code(code, OK, "an Array[int]")
	var back: Array = memory.unpack("<2i")
	assert_eq(back, [7, 8], "unpack")
	var untyped: Variant = memory
	assert_code(untyped.callv("pack", ["<2i", values, 8]), OK, "an Array[int], untyped")
	assert_code(untyped.callv("pack", ["<2B", bytes([1, 2])]), OK, "a packed array becomes one")
	assert_eq(untyped.call("unpack", "<2B"), [1, 2], "untyped")
	for value: Variant in [1, "x", null, memory, Vector2(), ^"x"]:
		expect_error("SharedMemory.pack(): values must be an Array of 1 elements, not ")
		assert_code(untyped.callv("pack", ["<i", value]), ERR_INVALID_PARAMETER, str(value))
	expect_error("SharedMemory.pack(): values is a Dictionary, but ")
	assert_code(untyped.callv("pack", ["<i", {}]), ERR_INVALID_PARAMETER, "no names")


func test_pack_fails_for_reader_and_closed_object() -> void:
	var owner := created(8)
	owner.pack("<q", [5])
	var reader := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	assert_eq(reader.unpack("<q"), [5], "a reader")
	assert_code(reader.pack("<q", [6]), ERR_UNAUTHORIZED, "does not write")
	owner.close()
	expect_error("SharedMemory.pack(): no segment is open")
	assert_code(owner.pack("<q", [5]), ERR_UNCONFIGURED, "closed")
	expect_error("SharedMemory.unpack(): no segment is open")
	assert_eq(owner.unpack("<q"), [], "closed")
