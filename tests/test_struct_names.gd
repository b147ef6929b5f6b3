extends "res://test_case.gd"
## Groups, names and packings in the formats of structs. The segment crate compares the bytes with
## those of a C compiler; these tests are about what scripts see of them.

# same for every user

## struct { uint8_t count; struct { uint16_t id; float position[3]; char name[4]; } cars[2]; }
const CARS := "<pack(4) B:count: 2T{H:id: 3f:position: 4s:name:}:cars:"


func _cars() -> Dictionary:
	return {
		"count": 2,
		"cars":
		[
			{"id": 7, "position": [0.5, 1.0, -2.0], "name": bytes([65, 66, 0, 0])},
			{"id": 65535, "position": [0.0, 4.0, 8.0], "name": bytes([67, 68, 69, 70])},
		],
	}


func test_struct_by_name_comes_back_as_packed() -> void:
	var memory := created(64)
	memory.fill(255)
	assert_eq(SharedMemory.calcsize(CARS), 44, "calcsize")
	var code: Error = memory.pack(CARS, _cars(), 8)
	assert_code(code, OK, "pack")
	var expected := PackedByteArray()
	expected.resize(44)
	expected.encode_u8(0, 2)
	for car: int in 2:
		var values: Dictionary = _cars().cars[car]
		var at := 4 + 20 * car
		expected.encode_u16(at, values.id)
		for axis: int in 3:
			expected.encode_float(at + 4 + 4 * axis, values.position[axis])
		for letter: int in 4:
			expected.encode_u8(at + 16 + letter, values.name[letter])
	assert_eq(memory.read(44, 8), expected, "the bytes")
	var typed: Dictionary = memory.unpack_dictionary(CARS, 8)
	assert_eq(typed, _cars(), "typed")
	assert_eq(typed.keys(), ["count", "cars"], "the keys are texts, in the order of the format")
	assert_eq(typed.cars[1].position[2], 8.0, "as a script reads it")
	var untyped: Variant = memory
	assert_eq(untyped.call("unpack_dictionary", CARS, 8), _cars(), "untyped")
	assert_code(untyped.callv("pack", [CARS, _cars()]), OK, "untyped")
	assert_eq(memory.read(44), expected, "at the beginning")


func test_groups_are_arrays_in_arrays() -> void:
	var memory := created(64)
	var values := [2, [[7, 0.5, 1.0, -2.0, "AB"], [65535, 0.0, 4.0, 8.0, bytes([67, 68, 69, 70])]]]
	assert_code(memory.pack(CARS, values), OK, "pack")
	assert_eq(memory.unpack_dictionary(CARS), _cars(), "the same by name")
	values[1][0][4] = bytes([65, 66, 0, 0])
	assert_eq(memory.unpack(CARS), values, "unpack ignores names")
	for line: Array in [
		["<T{B}", [[1]]],
		["<1T{B}", [[[1]]]],
		["<B T{T{B} 2T{B B}} 2B", [1, [[2], [[3, 4], [5, 6]]], 7, 8]],
		["<0T{B} B", [1]],
	]:
		assert_code(memory.pack(line[0], line[1]), OK, line[0])
		assert_eq(memory.unpack(line[0]), line[1], line[0])


func test_values_by_name_follow_the_format() -> void:
	var memory := created(64)
	memory.write(PackedByteArray(range(64)))
	for line: Array in [
		["B:a: 3B:b: B", {"a": 0, "b": [1, 2, 3]}],
		["B 2x ?:flag:", {"flag": true}],
		[
			"1B:a: 2s:text: 2c:letters:",
			{"a": [0], "text": bytes([1, 2]), "letters": [bytes([3]), bytes([4])]}
		],
		["2T{2B}:points:", {"points": [[0, 1], [2, 3]]}],
		["T{B:x: B}:group: 2B", {"group": {"x": 0}}],
		["T{B:x:} T{B:x:}:second:", {"second": {"x": 1}}],
		["1T{1T{B:x:}:in:}:out:", {"out": [{"in": [{"x": 0}]}]}],
		['B:é"\\ }:', {'é"\\ }': 0}],
	]:
		assert_eq(memory.unpack_dictionary(line[0]), line[1], line[0])
		assert_last_error(memory, OK)


func test_pack_takes_arrays_and_dictionaries_at_each_level() -> void:
	var memory := created(64)
	var first: Dictionary = _cars().cars[0]
	var second := [65535, 0, 4, 8, "CDEF"]
	var packed := PackedFloat32Array([0.5, 1, -2])
	first.position = packed
	var typed: Array[Dictionary] = [first, _cars().cars[1]]
	for values: Variant in [
		{"count": 2, "cars": [first, second]},
		{&"count": 2, &"cars": typed},
		[2, [first, _cars().cars[1]]],
	]:
		memory.fill(0)
		assert_code(memory.pack(CARS, values), OK, str(values))
		assert_eq(memory.unpack_dictionary(CARS), _cars(), str(values))
	assert_code(memory.pack("<3f", packed), OK, "a packed array of floats")
	assert_eq(memory.unpack("<3f"), [0.5, 1.0, -2.0], "unpack")
	assert_code(memory.pack("<2s2s", PackedStringArray(["ab", "cd"])), OK, "and of texts")
	assert_eq(memory.read(4), "abcd".to_utf8_buffer(), "the bytes")


func test_errors_name_the_value_by_its_place() -> void:
	var memory := created(64)
	memory.write(pattern(64))
	var id := func(value: Variant) -> Dictionary:
		var values := _cars()
		values.cars[1].id = value
		return values
	var without := func(key: String) -> Dictionary:
		var values := _cars()
		values.cars[1].erase(key)
		return values
	var with := func(key: Variant, value: Variant) -> Dictionary:
		var values := _cars()
		values.cars[1][key] = value
		return values
	for line: Array in [
		[
			CARS,
			id.call(65536),
			'values["cars"][1]["id"] must be from 0 to 65535 for \'H\', not 65536'
		],
		[CARS, id.call("x"), 'values["cars"][1]["id"] must be an integer for \'H\', not bytes'],
		[CARS, id.call(null), 'values["cars"][1]["id"] must be a number, a bool, a String or'],
		[CARS, id.call([1]), 'values["cars"][1]["id"] must be a number, a bool, a String or'],
		[CARS, without.call("id"), 'values["cars"][1] must have the key "id"'],
		[CARS, with.call("ID", 1), 'values["cars"][1] has the key "ID", a name that format lacks'],
		[CARS, with.call(3, 1), 'values["cars"][1] has the key 3, a name that format lacks'],
		[
			CARS,
			with.call("position", 1),
			'values["cars"][1]["position"] must be an Array of 3 elements'
		],
		[CARS, with.call("position", [1, 2]), '["position"] must have 3 elements, not 2'],
		[
			CARS,
			with.call("position", [1, 2, "x"]),
			"[\"position\"][2] must be a number for 'f', not bytes"
		],
		[CARS, [1, [_cars().cars[0], 5]], "values[1][1] must be an Array of 5 elements, not INT"],
		[CARS, [1, [_cars().cars[0], []]], "values[1][1] must have 5 elements, not 0"],
		[CARS, [1], "values must have 2 elements, not 1"],
		[CARS, 5, "values must be an Array of 2 elements, not INT"],
		["B", {}, "values is a Dictionary, but not every value of its struct has"],
		[
			"B B:b:",
			{"b": 1},
			"values is a Dictionary, but not every value of its struct has a name"
		],
		["T{B}:a:", {"a": {}}, 'values["a"] is a Dictionary, but not every value of its struct'],
		["B:a", {"a": 1}, "format: the name at 1 must have"],
		["3B", [1, 2, null], "values[2] must be a number, a bool, a String or a"],
	]:
		expect_error("SharedMemory.pack(): ")
		assert_code(memory.pack(line[0], line[1]), ERR_INVALID_PARAMETER, str(line))
		assert_last_error(memory, ERR_INVALID_PARAMETER, [line[2]])
	assert_eq(memory.read(), pattern(64), "not a byte was written")


func test_unpack_dictionary_refuses_what_it_can_not_name() -> void:
	var memory := created(16)
	for line: Array in [
		["", "no value has a name"],
		["4B", "no value has a name"],
		["T{B:x:}", "no value has a name"],
		["T{B:x:B:x:}:a:", 'the name "x" at 7 is at 3 already'],
		["T{B", "the group at 0 has no '}' at its end"],
		["17B:x:", "reach past the end"],
		["1000000T{B}:x:", "reach past the end"],
		[
			"100000000T{B}:x:",
			"with the code at 0, a format with groups has more than 16777216 values"
		],
	]:
		expect_error("SharedMemory.unpack_dictionary(): ")
		assert_eq(memory.unpack_dictionary(line[0]), {}, line[0])
		assert_last_error(memory, ERR_INVALID_PARAMETER, [line[1]])
	expect_error("SharedMemory.unpack_dictionary(): byte_offset")
	assert_eq(memory.unpack_dictionary("B:x:", -1), {}, "a negative offset")
	memory.close()
	expect_error("SharedMemory.unpack_dictionary(): no segment is open")
	assert_eq(memory.unpack_dictionary("B:x:"), {}, "closed")
	assert_last_error(memory, ERR_UNCONFIGURED)


## C's natural alignment, and each pragma: the sizes are those of gcc on x86_64 and arm64.
func test_packings_are_those_of_c() -> void:
	for line: Array in [
		["<pack(1) B d H", 11],
		["<pack(2) B d H", 12],
		["<pack(4) B d H", 16],
		["<pack(8) B d H", 24],
		["@pack(16) B d H", 24],
		["@ B d H", 18],
		["@ T{B d H}", 24],
		["<T{B d H}", 11],
		["<pack(8) B 3T{pack(1) B d H}", 34],
		["<pack(1) B 3T{pack(8) B d H}", 73],
	]:
		assert_eq(SharedMemory.calcsize(line[0]), line[1], line[0])
	for format: String in ["<pack(3)B", "pack()B", "B pack(4)", "T{", "}", ":a:", "B:a::b:"]:
		expect_error("SharedMemory.calcsize(): format: ")
		assert_eq(SharedMemory.calcsize(format), -1, format)


func test_array_of_structs_takes_dictionaries() -> void:
	var array := SharedMemoryArray.new()
	assert_code(array.attach(created(16 + 3 * 16), "<pack(4) H:id: 3f:position:"), OK, "attach")
	assert_eq(array.get_element_count(), 3, "elements of 16 bytes")
	assert_code(array.set_element(1, {"id": 5, "position": [1, 2, 3]}), OK, "a Dictionary")
	assert_eq(array.get_element(1), [5, 1.0, 2.0, 3.0], "comes back as an Array")
	assert_code(array.fill([6, 4, 5, 6]), OK, "fill")
	assert_eq(array.to_array(), [[6, 4.0, 5.0, 6.0], [6, 4.0, 5.0, 6.0], [6, 4.0, 5.0, 6.0]])
	expect_error('SharedMemoryArray.set_element(): value["position"][1] must be a number for')
	var code := array.set_element(0, {"id": 5, "position": [1, "x", 3]})
	assert_code(code, ERR_INVALID_PARAMETER, "a text")
	assert_code(array.attach(created(16 + 2 * 4), "<2T{B:x: B:y:}"), OK, "a single group")
	assert_code(array.set_element(0, [{"x": 1, "y": 2}, [3, 4]]), OK, "its structs are the value")
	assert_eq(array.get_element(0), [[1, 2], [3, 4]], "the value")
	expect_error("SharedMemoryArray.set_element(): value must have 2 elements, not 1")
	assert_code(array.set_element(0, [[1, 2]]), ERR_INVALID_PARAMETER, "one of two")


## Each struct is whole in itself: all its values are the same, or it was read while it was written.
func test_threads_pack_and_unpack_by_name() -> void:
	var memory := created(4 * 4096)
	var format := "<pack(8) 64T{I:first: q:second: 2H:pair:}:all:"
	var stop := [false]
	var results := [0, 0, 0, 0]
	var read := func(index: int) -> void:
		while not stop[0]:
			var values := memory.unpack_dictionary(format, 4096 * index)
			var last: Dictionary = values.all[63]
			if last.keys() == ["first", "second", "pair"] and last.first == last.pair[1]:
				results[index] += 1
			var all := []
			all.resize(64)
			var next: int = (last.first + 1) % 65536
			all.fill({"first": next, "second": -next, "pair": [0, next]})
			if memory.pack(format, {"all": all}, 4096 * index) != OK:
				return
	var threads: Array[Thread] = []
	for index: int in 4:
		threads.append(Thread.new())
		threads[index].start(read.bind(index))
	OS.delay_msec(200)
	stop[0] = true
	for thread in threads:
		thread.wait_to_finish()
	for index: int in 4:
		var last: Dictionary = memory.unpack_dictionary(format, 4096 * index).all[63]
		assert_true(results[index] > 0, "thread %d ran" % index)
		assert_eq(last.first, results[index] % 65536, "each of its structs came back as packed")
