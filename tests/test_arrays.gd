extends "res://test_case.gd"
## Whole arrays of numbers, vectors and colours. PackedByteArray says what their bytes are.

# same for every user

## Each with elements that no other has, and how to get it from bytes.
var _samples := {
	"int32": PackedInt32Array([1, -2, 2147483647, -2147483648]),
	"int64": PackedInt64Array([1, -2, 9223372036854775807, -9223372036854775808]),
	"float32": PackedFloat32Array([0.5, -1.25, INF, 3.4e38]),
	"float64": PackedFloat64Array([0.1, -1e300, INF, 5e-324]),
	"vector2": PackedVector2Array([Vector2(1, -2), Vector2(0.5, INF), Vector2.ZERO]),
	"vector3": PackedVector3Array([Vector3(1, -2, 3), Vector3(0.5, INF, 7), Vector3.ONE]),
	"vector4": PackedVector4Array([Vector4(1, -2, 3, 4), Vector4(0.5, INF, 7, 8)]),
	"color": PackedColorArray([Color(0.25, 0.5, 0.75, 1), Color(2, -1, 0, 0)]),
}
var _strides := {
	"int32": 4,
	"int64": 8,
	"float32": 4,
	"float64": 8,
	"vector2": 8,
	"vector3": 12,
	"vector4": 16,
	"color": 16,
}


func test_arrays_are_read_as_written() -> void:
	var memory := created(200)
	for kind: String in _samples:
		var data: Variant = _samples[kind]
		for offset: int in [0, 1, 8, 200 - data.size() * _strides[kind]]:
			memory.fill(7)
			assert_code(_write(memory, kind, data, offset), OK, "write %s" % kind)
			assert_eq(
				_read(memory, kind, data.size(), offset), data, "read %s at %d" % [kind, offset]
			)
			var raw := memory.read(data.size() * _strides[kind], offset)
			assert_eq(raw, data.to_byte_array(), "the bytes of %s" % kind)
			assert_eq(memory.read().count(7), 200 - _without(raw, 7), "nothing else was touched")


func test_count_of_0_reads_all_that_fit() -> void:
	var memory := created(50)
	for kind: String in _samples:
		var stride: int = _strides[kind]
		assert_eq(_read(memory, kind).size(), 50 / stride, "all %s" % kind)
		assert_eq(_read(memory, kind, 0, 50 - stride).size(), 1, "the last %s" % kind)
		assert_eq(_read(memory, kind, 2, 1).size(), 2, "two %s" % kind)
		assert_eq(typeof(_read(memory, kind, 1)), typeof(_samples[kind]), "type of %s" % kind)


func test_access_outside_is_refused() -> void:
	var memory := created(50)
	memory.write(pattern(50))
	for kind: String in _samples:
		var fit: int = 50 / _strides[kind]
		var last: int = 50 - _strides[kind]
		var bad: Array[Array] = [
			[fit + 1, 0],
			[1, last + 1],
			[0, last + 1],
			[0, 50],
			[-1, 0],
			[0, -1],
			[1 << 62, 0],
			[9223372036854775807, 8],
			[1, 9223372036854775807],
		]
		for arguments in bad:
			expect_error("SharedMemory.read_%s_array(): " % kind)
			var found: Variant = memory.callv("read_%s_array" % kind, arguments)
			assert_eq(found.size(), 0, "read %s %s" % [kind, arguments])
			assert_last_error(memory, ERR_INVALID_PARAMETER)
		for offset: int in [50 - _samples[kind].to_byte_array().size() + 1, 50, -1, 1 << 62]:
			expect_error("SharedMemory.write_%s_array(): " % kind)
			var code := _write(memory, kind, _samples[kind], offset)
			assert_code(code, ERR_INVALID_PARAMETER, "write %s at %d" % [kind, offset])
		expect_error("SharedMemory.write_%s_array(): " % kind)
		var empty: Variant = _samples[kind].slice(0, 0)
		assert_code(_write(memory, kind, empty, 0), ERR_INVALID_PARAMETER, "an empty %s" % kind)
	assert_eq(memory.read(), pattern(50), "untouched")


func test_refusal_without_room_names_all_sizes() -> void:
	var memory := created(64)
	var left := "from byte_offset 57 on there are 7 bytes, fewer than an element's 8"
	expect_error("SharedMemory.read_int64_array(): " + left)
	assert_eq(memory.read_int64_array(0, 57), PackedInt64Array(), "no element")
	assert_last_error(memory, ERR_INVALID_PARAMETER, [left])


func test_write_fails_for_reader_and_closed_object() -> void:
	var owner := created(64)
	var reader := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	var closed := SharedMemory.new()
	for kind: String in _samples:
		assert_code(_write(reader, kind, _samples[kind], 0), ERR_UNAUTHORIZED, "write %s" % kind)
		assert_eq(_read(reader, kind, 1), _samples[kind].slice(0, 0) + _read(owner, kind, 1), kind)
		expect_error("SharedMemory.write_%s_array(): " % kind)
		assert_code(_write(closed, kind, _samples[kind], 0), ERR_UNCONFIGURED, "closed: %s" % kind)
		expect_error("SharedMemory.read_%s_array(): " % kind)
		assert_eq(_read(closed, kind).size(), 0, "closed: %s" % kind)
		assert_last_error(closed, ERR_UNCONFIGURED)


func test_typed_calls_work() -> void:
	var memory := created(64)
	var code: Error = memory.write_float32_array(PackedFloat32Array([1, 2]), 4)
	assert_code(code, OK, "write")
	var floats: PackedFloat32Array = memory.read_float32_array(2, 4)
	assert_eq(floats, PackedFloat32Array([1, 2]), "read")
	var vectors: PackedVector2Array = memory.read_vector2_array(1, 4)
	assert_eq(vectors, PackedVector2Array([Vector2(1, 2)]), "the same as a vector")
	# A method of one class, with what the engine makes of a literal.
	assert_code(memory.write_vector3_array([Vector3(1, 2, 3)]), OK, "a literal")
	assert_eq(memory.read_vector3_array(1), PackedVector3Array([Vector3(1, 2, 3)]), "of it")


func test_values_of_other_types_are_refused() -> void:
	var memory: Variant = created(64)
	for value: Variant in [1, "text", Vector2(), {}, null]:
		expect_error("Cannot convert argument")
		assert_eq(memory.callv("write_int32_array", [value]), null, str(value))
	assert_code(memory.callv("write_int32_array", [[1, 2]]), OK, "an Array becomes one")
	assert_eq(memory.read_int32_array(2), PackedInt32Array([1, 2]), "the Array as numbers")


func _read(memory: SharedMemory, kind: String, count := 0, offset := 0) -> Variant:
	return memory.call("read_%s_array" % kind, count, offset)


func _write(memory: SharedMemory, kind: String, data: Variant, offset: int) -> Error:
	return memory.call("write_%s_array" % kind, data, offset)


func _without(data: PackedByteArray, value: int) -> int:
	return data.size() - data.count(value)
