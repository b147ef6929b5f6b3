extends "res://test_case.gd"
## Messages that another program wrote wrongly, or as no Godot would, in native streams and queues.
##
## The contents are planted by docs/FORMAT.md. A message of as many bytes is sent, and then its tag
## and its shape are replaced in the memory. Nothing may be printed about such messages, and each
## counts as read: a queue must not be blocked by one.
## [br]SHM_TEST_SECONDS sets how long the random test takes.

# same for every user

const SomeValues := preload("res://harness/some_values.gd")

const SIZE := 1 << 17
## Tags.
const BYTES := 1
const TEXT := 2
const IMAGE := 4
const VALUE := 5
const PLAIN := 0
const VECTORS := 1
const COLORS := 2
const F32 := 3
const F64 := 4
## Of a typed Array or Dictionary.
const TYPED := 1 << 16


func test_bad_values_are_refused_and_count_as_read() -> void:
	var object := var_to_bytes_with_objects(RefCounted.new())
	var bad := {
		"takes at least 4 bytes, but 0 are left": PackedByteArray(),
		"takes at least 4 bytes, but 3 are left": bytes([2, 0, 0]),
		"takes at least 4 bytes, but 0 are left ": _words([TYPE_INT]),
		"the type 39 at offset 0 is unknown": _words([39]),
		"bits without a meaning for null": _words([4096]),
		"bits without a meaning": _words([TYPE_BOOL | 1 << 16, 1]),
		"null alone": _words([0]),
		"a value of type Object at offset 0": object,
		"a value of type Object at offset 8": _words([TYPE_ARRAY, 1, TYPE_OBJECT | 1 << 16, 5, 6]),
		"a value of type RID": _words([TYPE_RID, 1, 2]),
		"a value of type Callable": _words([TYPE_CALLABLE]),
		"a value of type Signal": _words([TYPE_SIGNAL, 0, 1, 2]),
		"for Array": _words([TYPE_ARRAY | TYPED, TYPE_INT, 0]),
		"for Dictionary": _words([TYPE_DICTIONARY | TYPED, TYPE_INT, 0]),
		"takes at least": _words([TYPE_ARRAY, 0x7fffffff]),
		"takes at least ": _words([TYPE_DICTIONARY, 2, 0, 0, 0]),
		"takes at least  ": _words([TYPE_PACKED_INT64_ARRAY, 0x7fffffff, 1]),
		"old form": _words([TYPE_NODE_PATH, 4, 0, 0]),
		"not valid UTF-8": _words([TYPE_STRING, 4]) + bytes([0xff, 0xfe, 0, 0]),
		"not valid UTF-8, or has a NUL": _words([TYPE_STRING, 4]) + bytes([97, 0, 97, 0]),
		"in more than 1024 containers": _repeated([TYPE_ARRAY, 1], 1025) + _words([0]),
		"in a key of more than 100": _repeated([TYPE_DICTIONARY, 1], 102) + _words([0]),
		"4 bytes follow it": _words([TYPE_INT, 1, 0]),
		"8 bytes follow it": var_to_bytes("a") + var_to_bytes([]),
	}
	for sides: Array in [_stream(), _queue()]:
		for text: String in bad:
			var texts := ["the message is not a value: ", text.strip_edges()]
			_assert_invalid(sides, VALUE, [], bad[text], texts)


func test_unknown_kinds_are_refused_and_count_as_read() -> void:
	for sides: Array in [_stream(), _queue()]:
		for tag: int in [0, 6, 255, BYTES | 1 << 8, VALUE | 1 << 27]:
			_assert_invalid(sides, tag, [], bytes([1, 2, 3]), ["the tag", str(tag)])
		_assert_invalid(sides, _array(5, PLAIN, 1), [3, 0, 0, 0], pattern(12), ["the tag"])
		_assert_invalid(sides, _array(F32, 3, 1), [3, 0, 0, 0], pattern(12), ["the tag"])


func test_shapes_that_contradict_the_length_are_refused() -> void:
	for sides: Array in [_stream(), _queue()]:
		for line: Array in [
			[_array(F32, PLAIN, 1), [4, 0, 0, 0], 12],
			[_array(F32, PLAIN, 2), [3, 0xffffffff, 0, 0], 12],
			[_array(F64, PLAIN, 4), [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], 0],
			[_array(F32, VECTORS, 2), [1, 5, 0, 0], 20],
			[_array(F32, COLORS, 2), [1, 3, 0, 0], 12],
			[_array(F32, VECTORS, 1), [2, 0, 0, 0], 8],
			[IMAGE, [0, 1, 0, 0], 0],
			[IMAGE, [2, 2, 0, 1], 2],
			[IMAGE, [2, 2, 17, 8], 16],
			[IMAGE, [2, 2, 258, 8], 16],
			[IMAGE, [2, 2, 0xffffffff, 8], 16],
			[IMAGE, [0x40000000, 0x40000000, 0, 0], 0],
		]:
			_assert_invalid(sides, line[0], line[1], pattern(line[2]), ["the "])


func test_bad_text_is_replaced() -> void:
	for sides: Array in [_stream(), _queue()]:
		for line: Array in [
			[bytes([97, 0, 98]), "a\ufffdb"],
			[bytes([0, 0]), "\ufffd\ufffd"],
			[bytes([0xff, 97]), "\ufffda"],
			[bytes([0xed, 0xa0, 0x80]), "\ufffd\ufffd\ufffd"],
			[bytes([0xe2, 0x82, 0]), "\ufffd\ufffd"],
			[bytes([0xef, 0xbb, 0xbf, 97]), char(0xfeff) + "a"],
		]:
			_plant(sides, TEXT, [], line[0])
			assert_eq(_receive(sides[1]), line[1], str(line[0]))
			assert_last_error(sides[1], OK)


## As numpy writes them.
func test_arrays_of_any_shape_are_received_flat() -> void:
	var numbers := PackedFloat32Array(range(24))
	for sides: Array in [_stream(), _queue()]:
		for shape: Array in [[8, 3, 0, 0], [2, 3, 4, 0], [1, 2, 3, 4], [24, 0, 0, 0]]:
			var dimensions := 4 - shape.count(0)
			_plant(sides, _array(F32, PLAIN, dimensions), shape, numbers.to_byte_array())
			if sides[1] is SharedMemoryStream:
				var expected := PackedInt32Array(shape.slice(0, dimensions))
				assert_eq(sides[1].get_message_shape(), expected, "shape")
			assert_eq(_receive(sides[1]), numbers, str(shape))
		_plant(sides, _array(F32, PLAIN, 2), [0xffffffff, 0, 0, 0], PackedByteArray())
		if sides[1] is SharedMemoryStream:
			assert_eq(sides[1].get_message_shape(), PackedInt32Array([0x7fffffff, 0]), "shape")
		assert_eq(_receive(sides[1]), PackedFloat32Array(), "no elements")


## As an engine with the other precision writes them.
func test_vectors_of_the_other_precision_are_converted() -> void:
	var wide := PackedFloat64Array()
	for number in 2400:
		wide.append(number * 0.5)
	var vectors := PackedVector3Array()
	for number in range(0, 2400, 3):
		vectors.append(Vector3(number * 0.5, (number + 1) * 0.5, (number + 2) * 0.5))
	for sides: Array in [_stream(), _queue()]:
		_plant(sides, _array(F64, VECTORS, 2), [800, 3, 0, 0], wide.to_byte_array())
		assert_eq(_receive(sides[1]), vectors, "Vector3 of 64 bits")
		_plant(
			sides,
			_array(F32, VECTORS, 2),
			[800, 3, 0, 0],
			PackedFloat32Array(Array(wide)).to_byte_array()
		)
		assert_eq(_receive(sides[1]), vectors, "Vector3 of 32 bits")
		var two := PackedFloat64Array([1, -0.5, INF, 1e300]).to_byte_array()
		_plant(sides, _array(F64, VECTORS, 2), [2, 2, 0, 0], two)
		var received: PackedVector2Array = _receive(sides[1])
		assert_eq(received[0], Vector2(1, -0.5), "Vector2")
		_plant(sides, _array(F64, VECTORS, 2), [1, 4, 0, 0], two)
		assert_eq(_receive(sides[1])[0].y, -0.5, "Vector4")
		_plant(sides, _array(F64, COLORS, 2), [1, 4, 0, 0], two)
		assert_eq(_receive(sides[1]), PackedColorArray([Color(1, -0.5, INF, INF)]), "Color")
		_plant(sides, _array(F64, COLORS, 2), [0, 4, 0, 0], PackedByteArray())
		assert_eq(_receive(sides[1]), PackedColorArray(), "no colours")


func test_image_rows_of_any_stride_are_received() -> void:
	for sides: Array in [_stream(), _queue()]:
		for format in Image.FORMAT_RGBE9995 + 1:
			var row := Image.create_empty(3, 1, false, format).get_data_size()
			for stride: int in [row, row + 1, row + 13, 256]:
				var content := pattern(4 * stride, format)
				_plant(sides, IMAGE, [3, 4, format, stride], content)
				var pixels := PackedByteArray()
				for index in 4:
					pixels.append_array(content.slice(index * stride, index * stride + row))
				var image: Image = _receive(sides[1])
				assert_eq(image.get_format(), format as Image.Format, "format")
				assert_true(image.get_data() == pixels, "format %d, stride %d" % [format, stride])


func test_bgr_images_are_converted() -> void:
	for width: int in [1, 3, 1025]:
		for line: Array in [[256, 3, Image.FORMAT_RGB8], [257, 4, Image.FORMAT_RGBA8]]:
			var row: int = line[1] * width
			for stride: int in [row, row + 5]:
				var content := pattern(2 * stride)
				var pixels := PackedByteArray()
				for y in 2:
					for x in width:
						var at: int = y * stride + x * line[1]
						pixels.append_array(bytes([content[at + 2], content[at + 1], content[at]]))
						if line[1] == 4:
							pixels.append(content[at + 3])
				var expected := Image.create_from_data(width, 2, false, line[2], pixels)
				var shape := [width, 2, line[0], stride]
				for sides: Array in [_stream(), _queue()]:
					_plant(sides, IMAGE, shape, content)
					_assert_same_image(_receive(sides[1]), expected)
				_assert_read_image(shape, content, expected)


func test_values_that_would_take_too_much_memory_are_refused() -> void:
	var words := PackedInt64Array()
	# Of 8 bytes each, which become a few hundred.
	words.resize(4_500_000)
	words.fill(TYPE_ARRAY)
	words[0] = TYPE_ARRAY | (words.size() - 1) << 32
	var content := words.to_byte_array()
	for sides: Array in [_stream(160 << 20), _queue(140 << 20)]:
		_plant(sides, VALUE, [], content)
		assert_eq(_receive(sides[1]), null, "more than 1 GiB")
		assert_last_error(sides[1], ERR_OUT_OF_MEMORY, ["the limit is 1073741824"])
		_assert_goes_on(sides)


## Contents by chance, and valid ones with some other bytes.
func test_random_messages_are_refused_or_received() -> void:
	var random_seed := randi()
	note("seed %d" % random_seed)
	var some := SomeValues.new(random_seed)
	var chance := some.rng
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", 2.0) * 1000)
	var codes := {}
	var sides := [_stream(), _queue()]
	var image := Image.create_empty(1, 1, false, Image.FORMAT_L8)
	while Time.get_ticks_msec() < until:
		for side: Array in sides:
			_plant_random(side, some)
			var buffer := pattern(chance.randi() % 300)
			if side[1] is SharedMemoryStream:
				for method: Array in [
					["get_message_size"],
					["get_message_shape"],
					["read_into", buffer],
					["read_image", image, [-1, 0, 4, 5][chance.randi() % 4]],
				]:
					side[1].callv(method[0], method.slice(1))
					_count(codes, side[1].get_last_error())
			else:
				side[1].peek()
				_count(codes, side[1].get_last_error())
			var received: Variant = _receive(side[1])
			var code: Error = side[1].get_last_error()
			_count(codes, code)
			assert_eq(code == OK, received != null, "a value or an error")
		if chance.randi() % 64 == 0:
			for side: Array in sides:
				_assert_goes_on(side)
	note(str(codes))
	assert_true(codes.get(OK, 0) > 10 and codes.get(ERR_INVALID_DATA, 0) > 10, "both happen")
	var expected := [OK, ERR_INVALID_DATA, ERR_INVALID_PARAMETER, ERR_OUT_OF_MEMORY]
	for code: Error in codes:
		assert_true(code in expected, error_string(code))


## Another thread of the same process stands for a program that writes at any time.
func test_messages_that_change_while_they_are_read_are_harmless() -> void:
	var sides := _stream()
	var some := SomeValues.new(1)
	var value := []
	for number in 200:
		value.append(some.some(1 + number % 20, 1))
	_plant(sides, VALUE, [], var_to_bytes(value))
	var memory: SharedMemory = sides[0].get_memory()
	var other := opened(memory)
	var place := _content_at(sides)
	var random_seed := randi()
	note("seed %d" % random_seed)
	var is_done := [false]
	var spoil := func() -> void:
		var chance := RandomNumberGenerator.new()
		chance.seed = random_seed
		var good := var_to_bytes(value)
		while not is_done[0]:
			other.encode_u8(place + chance.randi() % good.size(), chance.randi() & 0xff)
			if chance.randi() % 4 == 0:
				other.write(good, place)
	var thread := Thread.new()
	thread.start(spoil)
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", 1.0) * 1000)
	var codes := {}
	while Time.get_ticks_msec() < until:
		sides[1].read()
		_count(codes, sides[1].get_last_error())
	is_done[0] = true
	thread.wait_to_finish()
	note(str(codes))
	for code: Error in codes:
		assert_true(code in [OK, ERR_INVALID_DATA, ERR_OUT_OF_MEMORY], error_string(code))


func _stream(size := SIZE) -> Array:
	return _attached(created(size), SharedMemoryStream.new(), SharedMemoryStream.new())


func _queue(size := SIZE) -> Array:
	return _attached(created(size), SharedMemoryQueue.new(), SharedMemoryQueue.new())


func _attached(memory: SharedMemory, sender: RefCounted, receiver: RefCounted) -> Array:
	assert_code(sender.attach(memory), OK, "attach")
	assert_code(receiver.attach(opened(memory)), OK, "attach the other side")
	return [sender, receiver]


func _receive(receiver: RefCounted) -> Variant:
	return receiver.read() if receiver is SharedMemoryStream else receiver.dequeue()


## Sends a message with any tag, shape and content. A queue must be empty.
func _plant(sides: Array, tag: int, shape: Array, content: PackedByteArray) -> void:
	var memory: SharedMemory = sides[0].get_memory()
	var words := _words(shape)
	if sides[0] is SharedMemoryStream:
		assert_code(sides[0].write(content), OK, "write")
		var header := _content_at(sides) - 0x80
		memory.encode_u32(header + 0x18, tag)
		if shape:
			memory.write(words, header + 0x20)
		return
	# Kinds with a shape have it before the content.
	var has_shape := tag & 0xff in [3, IMAGE]
	assert_eq(has_shape, not shape.is_empty(), "the shape of %d" % tag)
	assert_code(sides[0].enqueue(words + content), OK, "enqueue")
	memory.encode_u32(_content_at(sides, words.size() + content.size()) - 4, tag)


## The offset of the newest message's content, or of a record's bytes behind its header.
func _content_at(sides: Array, size := 0) -> int:
	var memory: SharedMemory = sides[0].get_memory()
	if sides[0] is SharedMemoryStream:
		var stride := 0x80 + (memory.decode_u64(0x38) + 0x7f) / 0x80 * 0x80
		var first := 0x180 + 0x80 * memory.decode_u32(0x30)
		return first + (memory.decode_u64(0x100) & 0xff) * stride + 0x80
	var record := memory.decode_u64(0x100) - 8 - (size + 7) / 8 * 8
	return 0x200 + record % memory.decode_u64(0x38) + 8


func _plant_random(sides: Array, some: SomeValues) -> void:
	var chance := some.rng
	var content := PackedByteArray()
	match chance.randi() % 4:
		0:
			for index in chance.randi() % 64:
				content.append(chance.randi())
			_plant(sides, [BYTES, TEXT, VALUE][chance.randi() % 3], [], content)
		1:
			content = var_to_bytes(some.some(1 + chance.randi() % (TYPE_MAX - 1), 3))
			for number in chance.randi() % 3:
				var values := [0, 1, 0xff, 28, chance.randi()]
				content[chance.randi() % content.size()] = values[chance.randi() % 5]
			_plant(sides, VALUE, [], content)
		2:
			var shape := range(4).map(func(_i: int) -> int: return chance.randi() % 4)
			content = pattern(4 * shape[0] * maxi(1, shape[1]))
			_plant(
				sides,
				_array(chance.randi() % 6, chance.randi() % 4, chance.randi() % 6),
				shape,
				content
			)
		3:
			var shape := [chance.randi() % 9, chance.randi() % 9, chance.randi() % 18, 1]
			shape[2] = [shape[2], 256, 257, chance.randi()][chance.randi() % 4]
			shape[3] = shape[0] * (1 + chance.randi() % 16) + chance.randi() % 3
			_plant(sides, IMAGE, shape, pattern(shape[1] * shape[3]))


## With each format that read_image() knows.
func _assert_read_image(shape: Array, content: PackedByteArray, expected: Image) -> void:
	var sides := _stream()
	_plant(sides, IMAGE, shape, content)
	for format: int in [-1, Image.FORMAT_L8, Image.FORMAT_RGB8, Image.FORMAT_RGBA8]:
		var converted: Image = expected.duplicate()
		if format != -1:
			converted.convert(format)
		var image := Image.new()
		for number in 2:
			assert_code(sides[1].read_image(image, format), OK, "to %d" % format)
			_assert_same_image(image, converted)
			image.fill(Color.BLUE)


func _assert_invalid(
	sides: Array, tag: int, shape: Array, content: PackedByteArray, texts: Array
) -> void:
	var why := "tag %d, %s: " % [tag, texts[-1]]
	_plant(sides, tag, shape, content)
	if sides[1] is SharedMemoryQueue:
		assert_eq(sides[1].peek(), null, why + "peek")
		assert_last_error(sides[1], ERR_INVALID_DATA, texts)
		assert_false(sides[1].is_empty(), why + "peeking leaves it")
	assert_eq(_receive(sides[1]), null, why + "no value")
	assert_last_error(sides[1], ERR_INVALID_DATA, texts)
	_assert_goes_on(sides)
	# poll() as well.
	_plant(sides, tag, shape, content)
	assert_code(sides[1].poll(), ERR_INVALID_DATA, why + "poll")
	_assert_goes_on(sides)


## The planted message is read, and the next message arrives.
func _assert_goes_on(sides: Array) -> void:
	if sides[1] is SharedMemoryStream:
		assert_false(sides[1].has_new_data(), "it counts as read")
		assert_code(sides[0].write("next"), OK, "write")
	else:
		assert_true(sides[1].is_empty(), "it counts as read")
		assert_code(sides[0].enqueue("next"), OK, "enqueue")
	assert_eq(_receive(sides[1]), "next", "the next one")


func _assert_same_image(received: Image, image: Image) -> void:
	var told := [received.get_width(), received.get_height(), received.get_format()]
	assert_eq(told, [image.get_width(), image.get_height(), image.get_format()], "the image")
	assert_true(received.get_data() == image.get_data(), "pixels")


func _count(codes: Dictionary, code: Error) -> void:
	codes[code] = codes.get(code, 0) + 1


func _array(element: int, meaning: int, dimensions: int) -> int:
	return 3 | element << 8 | meaning << 16 | dimensions << 24


func _words(words: Array) -> PackedByteArray:
	var all := PackedByteArray()
	all.resize(4 * words.size())
	for index in words.size():
		all.encode_u32(4 * index, words[index])
	return all


func _repeated(words: Array, times: int) -> PackedByteArray:
	var all := []
	for number in times:
		all.append_array(words)
	return _words(all)
