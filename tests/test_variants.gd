extends "res://test_case.gd"
## Values of any type in the memory: decode_var() and its companions.
##
## SHM_TEST_ROUNDS sets how much of the randomised tests is done.

const SomeValues := preload("res://harness/some_values.gd")

const MIN := -9223372036854775808
const MAX := 9223372036854775807
const THREADS := 6
## As in marshalls.h: the number of a type, and a flag beside it.
const FLAG := 1 << 16


func test_values_of_every_type_are_decoded_as_encoded() -> void:
	var random_seed := randi()
	note("seed %d" % random_seed)
	var some := SomeValues.new(random_seed)
	var values := some.one_of_each()
	for number in int(effort("SHM_TEST_ROUNDS", 500)):
		values.append(some.some(number % TYPE_MAX, 3))
	var memory := created(1 << 16)
	for index in values.size():
		var value: Variant = values[index]
		var offset := some.rng.randi() % 64
		var encoded := var_to_bytes(value)
		var why := "value %d, %s" % [index, type_string(typeof(value))]
		memory.fill(0xff)
		assert_eq(memory.encode_var(offset, value), encoded.size(), why)
		assert_true(memory.read(encoded.size(), offset) == encoded, why + ": as the engine")
		var before := memory.read(offset + 1).slice(0, offset)
		assert_eq(before.count(0xff), offset, why + ": nothing before it")
		assert_eq(memory.decode_u8(offset + encoded.size()), 0xff, why + ": nothing behind it")
		assert_true(memory.has_encoded_var(offset), why)
		assert_eq(memory.decode_var_size(offset), encoded.size(), why)
		_assert_same(memory.decode_var(offset), bytes_to_var(encoded), why)
	assert_last_error(memory, OK)


func test_values_are_decoded_as_encoded() -> void:
	var memory := created(256)
	var ints: Array[int] = [1, 2]
	var values := [
		null,
		true,
		-5,
		1 << 40,
		0.5,
		0.1,
		"Grüße 😀",
		&"name",
		^"/root/a:b",
		Vector3(1, 2, 3),
		Color.RED,
		ints,
		[1, "a", null, [2.5, {}]],
		{"score": 10, 3: [Vector2i(1, 2)]},
		PackedStringArray(["a", "", "ß"]),
		PackedVector4Array([Vector4(1, 2, 3, 4)]),
	]
	for value: Variant in values:
		assert_true(memory.encode_var(3, value) > 0, str(value))
		assert_eq(memory.decode_var(3), value, str(value))
	memory.encode_var(0, ints)
	var back: Array[int] = memory.decode_var(0)
	assert_eq(back, ints, "a typed array")
	assert_true(back.is_typed(), "is one")


func test_objects_are_never_decoded() -> void:
	var memory := created(512)
	var image := Image.create_empty(1, 1, false, Image.FORMAT_L8)
	assert_eq(memory.encode_var(0, image), 12, "an id")
	var back: Variant = memory.decode_var(0)
	assert_true(back is EncodedObjectAsID, "stays one")
	assert_eq(back.object_id, image.get_instance_id(), "the same")
	assert_eq(memory.encode_var(0, [memory]), 20, "in an array")
	assert_true(memory.decode_var(0)[0] is EncodedObjectAsID, "in an array")
	# With its properties, as var_to_bytes_with_objects() writes it.
	var properties := var_to_bytes_with_objects([RefCounted.new(), 7])
	memory.write(properties)
	assert_false(memory.has_encoded_var(0), "has_encoded_var")
	assert_eq(memory.decode_var(0), null, "decode_var")
	assert_last_error(memory, ERR_INVALID_DATA, ["object at offset 8"])
	assert_true(memory.has_encoded_var(properties.size() - 8), "has_encoded_var of the next value")


func test_values_fit_to_the_last_byte() -> void:
	var memory := created(64)
	var before := pattern(64)
	memory.write(before)
	for text: String in ["", "abcd", "x".repeat(56)]:
		var size := 8 + text.length()
		assert_eq(memory.encode_var(64 - size, text), size, text)
		assert_eq(memory.decode_var(64 - size), text, text)
		memory.write(before)
		expect_error(
			(
				"SharedMemory.encode_var(): the value has %d bytes; from byte %d on there are %d"
				% [size, 65 - size, size - 1]
			)
		)
		assert_eq(memory.encode_var(65 - size, text), -1, text)
		assert_last_error(memory, ERR_INVALID_PARAMETER)
		assert_eq(memory.read(), before, "nothing was written")


func test_values_that_are_far_too_long_are_refused() -> void:
	var memory := created(64)
	memory.write(pattern(64))
	var large := PackedByteArray()
	large.resize(1 << 20)
	var nulls := []
	nulls.resize(100_000)
	# More elements than any memory has bytes.
	var doubled := [1]
	for number in 60:
		doubled = [doubled, doubled]
	var texts := PackedStringArray(["x".repeat(100)])
	for value: Variant in [large, nulls, doubled, {1: doubled}, texts, "x".repeat(1 << 20)]:
		expect_error("SharedMemory.encode_var(): the value has ")
		assert_eq(memory.encode_var(8, value), -1, type_string(typeof(value)))
		assert_last_error(
			memory, ERR_INVALID_PARAMETER, ["bytes or more; from byte 8 on there are 56"]
		)
	assert_eq(memory.read(), pattern(64), "nothing was written")


func test_values_nested_too_deep_are_refused() -> void:
	var memory := created(1 << 16)
	memory.write(pattern(1 << 16))
	var some := SomeValues.new(0)
	var itself := []
	itself.append(itself)
	var in_itself := {}
	in_itself[1] = [{2: in_itself}]
	var in_a_value := {1: some.nested(1025)}
	for case: Array in [
		["has more than 1024 arrays and dictionaries inside each other", some.nested(1026)],
		["has more than 1024 arrays and dictionaries inside each other", in_a_value],
		["value[0] is value itself, and a value that contains itself can't be encoded", itself],
		["value[1][0][2] is value itself", in_itself],
	]:
		expect_error("SharedMemory.encode_var(): value")
		assert_eq(memory.encode_var(0, case[1]), -1, case[0])
		assert_last_error(memory, ERR_INVALID_PARAMETER, [case[0]])
	itself.clear()
	in_itself.clear()
	assert_eq(memory.read(), pattern(1 << 16), "nothing was written")
	# Bytes that a peer could write.
	var deep := PackedByteArray()
	for level in 1025:
		deep.append_array(bytes([TYPE_ARRAY, 0, 0, 0, 1, 0, 0, 0]))
	memory.write(deep)
	memory.encode_u32(deep.size(), 0)
	assert_false(memory.has_encoded_var(0), "a null in 1025 arrays")
	assert_true(memory.has_encoded_var(8), "a null in 1024")
	assert_eq(memory.decode_var(0), null, "is not decoded")
	assert_last_error(memory, ERR_INVALID_DATA, ["1024"])
	assert_eq(memory.decode_var(8).size(), 1, "is decoded")


func test_hostile_bytes_are_refused() -> void:
	var memory := created(64)
	var hostile := {
		"no type": [39],
		"a type and bits": [TYPE_BOOL | FLAG, 1],
		"a text that goes on": [TYPE_STRING, 57],
		"a text of 4 GiB": [TYPE_STRING, 0xffffffff],
		"a text that is none": [TYPE_STRING, 4, 0xffffffff],
		"a text with a NUL": [TYPE_STRING, 4, 0x61006161],
		"many bytes": [TYPE_PACKED_BYTE_ARRAY, 0x7fffffff],
		"many numbers": [TYPE_PACKED_INT64_ARRAY, 0x20000001],
		"many texts": [TYPE_PACKED_STRING_ARRAY, 0xffffffff],
		"many vectors": [TYPE_PACKED_VECTOR3_ARRAY, 0x15555556],
		"many values": [TYPE_ARRAY, 0x7fffffff],
		"many entries": [TYPE_DICTIONARY, 0x40000000],
		"an old path": [TYPE_NODE_PATH, 4, 0],
		"many names": [TYPE_NODE_PATH, 0xffffffff, 0xffffffff, 0],
		"an object": [TYPE_OBJECT, 4, 0x65646f4e, 0],
		"an element of another type": [TYPE_ARRAY | FLAG, TYPE_INT, 1, TYPE_BOOL, 1],
		"elements of no type": [TYPE_ARRAY | FLAG, 77, 0],
	}
	for what: String in hostile:
		memory.fill(0xee)
		var words: Array = hostile[what]
		for index in words.size():
			memory.encode_u32(4 * index, words[index])
		memory.clear_last_error()
		assert_false(memory.has_encoded_var(0), what)
		assert_last_error(memory, OK)
		assert_eq(memory.decode_var_size(0), 0, what)
		assert_last_error(memory, ERR_INVALID_DATA, ["no value at byte 0: "])
		memory.clear_last_error()
		assert_eq(memory.decode_var(0), null, what)
		assert_last_error(memory, ERR_INVALID_DATA, ["no value at byte 0: "])


## The engine reads the bytes that pass without an error, and counts the same number of them.
func test_changed_bytes_are_decoded_or_refused() -> void:
	var random_seed := randi()
	var some := SomeValues.new(random_seed)
	var rng := some.rng
	var encoded := []
	for value: Variant in some.one_of_each():
		encoded.append(var_to_bytes(value))
	for number in 500:
		encoded.append(var_to_bytes(some.some(number % TYPE_MAX, 3)))
	var memory := created(1 << 16)
	var rounds := int(effort("SHM_TEST_ROUNDS", 5000))
	var passed := 0
	var wrong := []
	for number in rounds:
		var data: PackedByteArray = encoded[rng.randi() % encoded.size()].duplicate()
		for change in rng.randi_range(1, 3):
			var at := rng.randi() % data.size()
			match rng.randi() % 4:
				0:
					data[at] = data[at] ^ (1 << rng.randi() % 8)
				1:
					data[at] = rng.randi() % TYPE_MAX
				2:
					data[at & ~3] = rng.randi() % 5
				3:
					var other: PackedByteArray = encoded[rng.randi() % encoded.size()]
					data = data.slice(0, at & ~3) + other + data.slice(at & ~3)
		data = data.slice(0, 1 << 15)
		memory.fill(rng.randi() % 256)
		memory.write(data)
		var value: Variant = memory.decode_var(0)
		var size := memory.decode_var_size(0)
		if memory.has_encoded_var(0) != (size > 0):
			wrong.append(data.hex_encode())
		if size == 0:
			if value != null:
				wrong.append(data.hex_encode())
			continue
		passed += 1
		var all := memory.read()
		if all.decode_var_size(0) != size or not _are_same(all.decode_var(0), value):
			wrong.append(data.hex_encode())
	assert_eq(wrong, [], "values that the engine reads differently")
	assert_true(passed > rounds / 10, "passed: %d of %d" % [passed, rounds])
	note("seed %d: %d of %d changes passed" % [random_seed, passed, rounds])


## From another thread, all the time.
func test_bytes_that_change_concurrently_are_decoded_or_refused() -> void:
	var memory := created(4096)
	var ends := [false]
	var values := ["x".repeat(1000), range(200), {"a": [1, 2, {3: PackedInt32Array(range(90))}]}]
	var writer := Thread.new()
	writer.start(
		func() -> void:
			var encoded: Array = values.map(var_to_bytes)
			var chance := RandomNumberGenerator.new()
			while not ends[0]:
				memory.write(encoded[chance.randi() % 3])
				memory.encode_u32(chance.randi() % 20 * 4, chance.randi() % 40)
	)
	var decoded := 0
	var codes := {}
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", 1.0) * 1000)
	while Time.get_ticks_msec() < until:
		memory.clear_last_error()
		if memory.decode_var(0) != null:
			decoded += 1
		else:
			codes[memory.get_last_error()] = true
	ends[0] = true
	writer.wait_to_finish()
	# A null is a value too.
	codes.erase(OK)
	assert_true(codes.keys() in [[], [ERR_INVALID_DATA]], str(codes))
	assert_true(decoded > 0, "decoded: %d" % decoded)


func test_threads_can_encode_and_decode() -> void:
	var owner := created(THREADS * 1024)
	var random_seed := randi()
	note("seed %d" % random_seed)
	var work := func(number: int) -> Array:
		var some := SomeValues.new(random_seed + number)
		var memory := owner if number % 2 else SharedMemory.new()
		if memory != owner:
			memory.open(owner.get_name())
		var problems := []
		for round_number in 300:
			var value: Variant = some.some(round_number % TYPE_MAX, 2)
			var encoded := var_to_bytes(value)
			if encoded.size() > 1024:
				continue
			var size := memory.encode_var(number * 1024, value)
			var back: Variant = memory.decode_var(number * 1024)
			if size != encoded.size() or not _are_same(back, bytes_to_var(encoded)):
				problems.append([number, round_number, type_string(typeof(value))])
		return problems
	var threads: Array[Thread] = []
	for number in THREADS:
		var thread := Thread.new()
		thread.start(work.bind(number))
		threads.append(thread)
	for thread in threads:
		assert_eq(thread.wait_to_finish(), [], "problems")
	assert_last_error(owner, OK)


func test_untyped_calls_work() -> void:
	var memory: Variant = created(64)
	assert_eq(memory.callv("encode_var", [4, {"a": [1, 2.5]}]), 44, "encode_var")
	assert_eq(memory.call("decode_var", 4), {"a": [1, 2.5]}, "decode_var")
	assert_eq(memory.call("decode_var_size", 4), 44, "decode_var_size")
	assert_eq(memory.call("has_encoded_var", 4), true, "has_encoded_var")
	assert_eq(memory.call("encode_var", 0, null), 4, "a null")
	assert_eq(memory.call("decode_var", 0), null, "a null")
	assert_last_error(memory, OK)


func test_access_outside_is_refused() -> void:
	var memory := created(8)
	for offset: int in [8, 9, -1, MAX, MIN]:
		var calls := {
			"decode_var": [[offset], null],
			"decode_var_size": [[offset], 0],
			"has_encoded_var": [[offset], false],
			"encode_var": [[offset, 1], -1],
		}
		for method: String in calls:
			expect_error("SharedMemory.%s(): byte_offset must be " % method)
			assert_eq(memory.callv(method, calls[method][0]), calls[method][1], method)
			assert_last_error(memory, ERR_INVALID_PARAMETER, [str(offset)])


func test_encode_fails_for_reader_and_closed_object() -> void:
	var owner := created(64)
	owner.encode_var(0, [1, "a"])
	var reader := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	assert_eq(reader.decode_var(0), [1, "a"], "a reader")
	assert_eq(reader.encode_var(0, 5), -1, "does not write")
	assert_last_error(reader, ERR_UNAUTHORIZED)
	assert_eq(owner.decode_var(0), [1, "a"], "it is as it was")
	owner.close()
	expect_error("SharedMemory.decode_var(): no segment is open")
	assert_eq(owner.decode_var(0), null, "closed")
	expect_error("SharedMemory.decode_var_size(): no segment is open")
	assert_eq(owner.decode_var_size(0), 0, "closed")
	expect_error("SharedMemory.has_encoded_var(): no segment is open")
	assert_eq(owner.has_encoded_var(0), false, "closed")
	expect_error("SharedMemory.encode_var(): no segment is open")
	assert_eq(owner.encode_var(0, 1), -1, "closed")
	assert_last_error(owner, ERR_UNCONFIGURED)


func _assert_same(actual: Variant, expected: Variant, why: String) -> void:
	assert_eq(typeof(actual), typeof(expected), why)
	assert_true(_are_same(actual, expected), why)


## Also of values that are not equal to themselves. Of objects, it is the id that counts: both
## values have been decoded, so the objects in them are instances of [EncodedObjectAsID].
func _are_same(one: Variant, other: Variant) -> bool:
	return var_to_bytes_with_objects(one) == var_to_bytes_with_objects(other)
