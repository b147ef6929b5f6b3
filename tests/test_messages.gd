extends "res://test_case.gd"
## Messages of the native layouts: values of every type through a stream and through a queue.
##
## SHM_TEST_ROUNDS sets how much of the randomised tests is done.

const SomeValues := preload("res://harness/some_values.gd")

const SIZE := 1 << 20
const MIN := -9223372036854775808
const MAX := 9223372036854775807
## These mean nothing in another process.
const REFUSED := [TYPE_OBJECT, TYPE_RID, TYPE_CALLABLE, TYPE_SIGNAL]
const THREADS := 4


func test_values_of_every_type_are_received_as_sent() -> void:
	var values := [
		"",
		"Grüße 😀",
		"a\tb\n" + char(0x10FFFF),
		PackedByteArray(),
		PackedByteArray([0, 255, 7]),
		PackedInt32Array(),
		PackedInt32Array([1, -2147483648, 2147483647]),
		PackedInt64Array(),
		PackedInt64Array([MIN, MAX, 0]),
		PackedFloat32Array(),
		PackedFloat32Array([0.5, INF, -INF]),
		PackedFloat64Array(),
		PackedFloat64Array([0.1, -1e300]),
		PackedVector2Array(),
		PackedVector2Array([Vector2(1, -2), Vector2(INF, 0.5)]),
		PackedVector3Array(),
		PackedVector3Array([Vector3(1, -2, 3)]),
		PackedVector4Array(),
		PackedVector4Array([Vector4(1, 2, 3, 4), Vector4.INF]),
		PackedColorArray(),
		PackedColorArray([Color.RED, Color(2.5, -1, 0, 0.25)]),
		PackedStringArray(),
		PackedStringArray(["", "ß", "😀"]),
		true,
		false,
		0,
		MIN,
		MAX,
		1 << 31,
		-(1 << 31) - 1,
		0.0,
		0.1,
		INF,
		-INF,
		1e300,
		&"name",
		&"",
		^"/root/a:b",
		^"",
		Vector2(1, 2),
		Vector2i(-1, 2),
		Rect2(1, 2, 3, 4),
		Rect2i(1, 2, 3, 4),
		Vector3(1, 2, 3),
		Vector3i(1, -2, 3),
		Transform2D(1, Vector2(2, 3)),
		Vector4(1, 2, 3, 4),
		Vector4i(1, 2, 3, -4),
		Plane(1, 2, 3, 4),
		Quaternion(1, 2, 3, 4),
		AABB(Vector3.ONE, Vector3.UP),
		Basis(Vector3.UP, 1),
		Transform3D(Basis(Vector3.UP, 1), Vector3.ONE),
		Projection.IDENTITY,
		Color.RED,
		[],
		{},
		[null],
		[null, [[], {}], "a", &"b", 0.5],
		{"score": 10, 3: [Vector2i(1, 2)], [1]: {}, null: null, &"name": ^"p"},
	]
	for sides: Array in [_stream(), _queue()]:
		for value: Variant in values:
			_assert_sent(sides, value, str(value))


func test_floats_keep_every_bit() -> void:
	for sides: Array in [_stream(), _queue()]:
		for value: float in [-0.0, 5e-324, NAN, 0.1]:
			for sent: Variant in [
				value,
				[value],
				{value: value},
				PackedFloat64Array([value]),
				PackedFloat32Array([value]),
				Vector2(value, 1),
				PackedVector3Array([Vector3(value, 0, value)]),
				PackedColorArray([Color(value, 0, 0)]),
			]:
				_assert_sent(sides, sent, str(sent))


func test_random_values_are_received_as_sent() -> void:
	var random_seed := randi()
	note("seed %d" % random_seed)
	var some := SomeValues.new(random_seed)
	var sides := [_stream(), _queue()]
	var sent := 0
	for number in int(effort("SHM_TEST_ROUNDS", 1000)):
		var value: Variant = some.some(1 + number % (TYPE_MAX - 1), 4)
		if value == null or _does_hold_refused(value):
			_assert_refused(sides[number % 2], value, "value")
		else:
			sent += 1
			_assert_sent(sides[number % 2], value, "value %d of seed %d" % [number, random_seed])
	note("%d sent" % sent)


## As docs/FORMAT.md describes it, for programs of other languages.
func test_messages_are_in_memory_as_described() -> void:
	var vectors := PackedVector3Array([Vector3(1, 2, 3), Vector3(4, 5, 6)])
	var image := Image.create_from_data(1, 2, false, Image.FORMAT_RGB8, bytes([1, 2, 3, 4, 5, 6]))
	var numbers: Array[int] = [7]
	var sides := _stream()
	var memory: SharedMemory = sides[0].get_memory()
	for line: Array in [
		[bytes([1, 2]), 1, [0, 0, 0, 0], bytes([1, 2])],
		["ß", 2, [0, 0, 0, 0], bytes([0xc3, 0x9f])],
		[PackedInt32Array([-2]), 0x01000103, [1, 0, 0, 0], bytes([0xfe, 0xff, 0xff, 0xff])],
		[PackedInt64Array([1]), 0x01000203, [1, 0, 0, 0], bytes([1, 0, 0, 0, 0, 0, 0, 0])],
		[PackedFloat32Array([1.5]), 0x01000303, [1, 0, 0, 0], bytes([0, 0, 0xc0, 0x3f])],
		[PackedFloat64Array([2]), 0x01000403, [1, 0, 0, 0], bytes([0, 0, 0, 0, 0, 0, 0, 0x40])],
		[PackedVector2Array(), 0x02010303, [0, 2, 0, 0], bytes([])],
		[vectors, 0x02010303, [2, 3, 0, 0], vectors.to_byte_array()],
		[PackedVector4Array(), 0x02010303, [0, 4, 0, 0], bytes([])],
		[PackedColorArray(), 0x02020303, [0, 4, 0, 0], bytes([])],
		[image, 4, [1, 2, Image.FORMAT_RGB8, 3], bytes([1, 2, 3, 4, 5, 6])],
		[true, 5, [0, 0, 0, 0], bytes([1, 0, 0, 0, 1, 0, 0, 0])],
		[numbers, 5, [0, 0, 0, 0], var_to_bytes([7])],
	]:
		assert_code(sides[0].write(line[0]), OK, str(line[0]))
		var stride := 0x80 + (memory.decode_u64(0x38) + 0x7f) / 0x80 * 0x80
		var first := 0x180 + 0x80 * memory.decode_u32(0x30)
		var slot := first + (memory.decode_u64(0x100) & 0xff) * stride
		var content: PackedByteArray = line[3]
		assert_eq(memory.decode_u64(slot + 8), content.size(), "the length of %s" % [line[0]])
		assert_eq(memory.decode_u32(slot + 0x18), line[1], "the tag of %s" % [line[0]])
		var shape := range(4).map(
			func(index: int) -> int: return memory.decode_u32(slot + 0x20 + 4 * index)
		)
		assert_eq(shape, line[2], "the shape of %s" % [line[0]])
		if content:
			assert_eq(memory.read(content.size(), slot + 0x80), content, "the content")


## The one thing that doesn't come back the same: an older Godot must be able to read it.
func test_typed_containers_are_received_untyped() -> void:
	var some := SomeValues.new(0)
	var numbers: Array[int] = [1, 2]
	var texts: Array[String] = ["a"]
	var nodes: Array[Node] = []
	var arrays: Array[Array] = [[1], [numbers]]
	var values := [numbers, nodes, arrays, [[numbers], {numbers: texts}], {"a": [{}, arrays]}]
	if SomeValues.has_typed_dictionaries():
		var typed := some.typed_dictionary(TYPE_INT, TYPE_STRING)
		values.append_array([typed, [typed], {typed: typed}])
	for sides: Array in [_stream(), _queue()]:
		for value: Variant in values:
			_assert_sent(sides, value, str(value))
			assert_false(_does_hold_typed(_sent(sides, value)), "typed: %s" % [value])


func test_values_nested_to_the_limit_are_received() -> void:
	var some := SomeValues.new(0)
	for sides: Array in [_stream(), _queue()]:
		_assert_sent(sides, some.nested(1025), "nested")
		_assert_sent(sides, {some.nested(100): some.nested(100)}, "nested keys")
		var too_deep := "value has more than 1024 arrays and dictionaries inside each other"
		_assert_refused(sides, some.nested(1026), too_deep)
		# The engine says so as well, at another depth than ours.
		allow_errors("Max recursion reached")
		var in_key := {some.nested(102): 1}
		_assert_refused(sides, in_key, "value has an encoded form that can't be decoded: ")


## With a limit that many times the value would reach, and with one that stops the count before.
func test_values_that_contain_themselves_are_refused() -> void:
	var itself := []
	itself.append(itself)
	var tree := {"name": "root", "children": [{"name": "leaf"}]}
	tree.children[0].parent = tree
	var inner := [1, {}]
	inner[1].list = inner
	var in_key := []
	in_key.append({in_key: 1})
	var long_circle := {}
	var last := long_circle
	for number in 20:
		last.next = {}
		last = last.next
	last.next = long_circle
	var refused := {
		"value[0] is value itself": itself,
		'value["children"][0]["parent"] is value itself': tree,
		'value["a"][1]["list"] is value["a"] itself': {"a": inner, "b": "x".repeat(500)},
		"value[0].keys()[0] is value itself": in_key,
		"value%s… is value itself" % '["next"]'.repeat(8): long_circle,
	}
	for sides: Array in [_stream(), _queue(), _stream(4096), _queue(4096)]:
		for text: String in refused:
			_assert_refused(sides, refused[text], text + ", and a value that contains itself can't")
		# Twice, but not inside itself.
		_assert_sent(sides, [[1], {"a": [1]}, [1]], "equal")
		var shared := {"a": 1}
		_assert_sent(sides, [shared, {"b": shared}, shared], "shared")
	itself.clear()
	tree.clear()
	inner.clear()
	in_key.clear()
	long_circle.clear()


func test_values_without_a_meaning_elsewhere_are_refused() -> void:
	var object := RefCounted.new()
	var freed: Variant = Object.new()
	freed.free()
	var refused := {
		"value is an Object": object,
		"value[0] is an Object": [object],
		"value[1][2] is an Object": [0, [1, 2, Image.create_empty(1, 1, false, 0)]],
		'value["a"] is a Callable': {"a": fail},
		"value[7] is a Signal": {1: 2, 7: Engine.get_main_loop().process_frame},
		"value[true][0] is a RID": {true: [RID()]},
		"value.keys()[1] is an Object": {1: 2, object: 3},
		"value.values()[1] is an Object": {1: 2, 0.5: object},
		"value.keys()[0][0] is an Object": {[object]: 3},
		'value["tab\\tquote\\""] is an Object': {'tab\tquote"': object},
		"value is a Callable": fail,
		"value is a Signal": Engine.get_main_loop().process_frame,
		"value is a RID": RID(),
		"value[0][0][0][0][0][0][0][0]… is an Object": [[[[[[[[[object]]]]]]]]],
	}
	for sides: Array in [_stream(), _queue()]:
		for text: String in refused:
			_assert_refused(sides, refused[text], text + ", which means nothing in another program")
		_assert_refused(sides, freed, "value is an Object")
		_assert_refused(sides, [freed], "value[0] is an Object")
		_assert_refused(sides, null, "value is null; put it into an Array to send it")


func test_values_that_are_too_long_are_refused() -> void:
	for sides: Array in [_stream(4096), _queue(4096)]:
		var limit := _limit(sides[0])
		var large := []
		large.resize(1000_000)
		# More elements than any memory has bytes.
		var doubled := [1]
		for number in 60:
			doubled = [doubled, doubled]
		for value: Variant in [
			large, doubled, "x".repeat(limit + 1), PackedInt64Array(range(limit))
		]:
			_assert_refused(sides, value, "value: ")
			assert_true(sides[0].get_last_error_message().contains("too many"), "told")
		_assert_sent(sides, "x".repeat(limit), "the longest text")
		_assert_sent(sides, ["x".repeat(limit - 16)], "the longest value")
		_assert_refused(sides, ["x".repeat(limit - 12)], "value: ")


## The script may change what it has sent.
func test_message_does_not_share_the_value() -> void:
	for sides: Array in [_stream(), _queue()]:
		var array := PackedInt32Array([1, 2, 3])
		var image := Image.create_empty(1, 1, false, Image.FORMAT_L8)
		for value: Variant in [array, image]:
			assert_code(_send(sides[0], value), OK, "sent")
			if value is Image:
				image.fill(Color.WHITE)
				assert_eq(_receive(sides[1]).get_data()[0], 0, "the pixel of before")
			else:
				array[0] = 9
				assert_eq(_receive(sides[1]), PackedInt32Array([1, 2, 3]), "the numbers of before")


func test_images_of_every_format_are_received_as_sent() -> void:
	for sides: Array in [_stream(), _queue()]:
		var tried := 0
		for format in ClassDB.class_get_integer_constant("Image", "FORMAT_MAX"):
			for size: Vector2i in [Vector2i(1, 1), Vector2i(7, 3)]:
				var image := Image.create_empty(size.x, size.y, false, format)
				if image.is_compressed():
					continue
				image.set_data(
					size.x, size.y, false, format, pattern(image.get_data_size(), format)
				)
				if format > Image.FORMAT_RGBE9995:
					_assert_refused(sides, image, "value is an Image that has the format")
					continue
				tried += 1
				assert_code(_send(sides[0], image), OK, "format %d" % format)
				var received: Image = _receive(sides[1])
				_assert_same_image(received, image)
		assert_eq(tried, 34, "images")


func test_images_without_rows_of_pixels_are_refused() -> void:
	var compressed := Image.create_empty(8, 8, false, Image.FORMAT_DXT1)
	var mipmaps := Image.create_empty(8, 8, true, Image.FORMAT_RGB8)
	for sides: Array in [_stream(), _queue()]:
		_assert_refused(sides, compressed, "value is an Image that is compressed; decompress() it")
		_assert_refused(sides, mipmaps, "value is an Image that has mipmaps; call clear_mipmaps()")
		_assert_refused(sides, Image.new(), "value is an Image that is empty")


func test_read_into_copies_the_content_of_any_kind() -> void:
	var sides := _stream()
	var reader: SharedMemoryStream = sides[1]
	var image := Image.create_from_data(2, 1, false, Image.FORMAT_L8, bytes([8, 9]))
	for line: Array in [
		["Grüße", "Grüße".to_utf8_buffer()],
		[bytes([1, 2, 3]), bytes([1, 2, 3])],
		[PackedInt32Array([5, -1]), PackedInt32Array([5, -1]).to_byte_array()],
		[image, bytes([8, 9])],
		[{"a": 1}, var_to_bytes({"a": 1})],
		["", PackedByteArray()],
	]:
		assert_code(sides[0].write(line[0]), OK, "write")
		var content: PackedByteArray = line[1]
		assert_eq(reader.get_message_size(), content.size(), "size of %s" % [line[0]])
		assert_true(reader.has_new_data(), "size takes nothing")
		var buffer := bytes([200, 201, 202]) + content
		buffer.fill(99)
		assert_code(reader.read_into(buffer), OK, "read_into")
		assert_eq(buffer.slice(0, content.size()), content, "the content")
		assert_eq(buffer.slice(content.size()), bytes([99, 99, 99]), "the rest stays")
		assert_false(reader.has_new_data(), "it was read")
		var exact := content.duplicate()
		exact.fill(0)
		assert_code(reader.call("read_into", exact), OK, "untyped")
		assert_eq(exact, content, "untyped")


func test_read_into_leaves_a_message_that_is_too_long() -> void:
	var sides := _stream()
	var reader: SharedMemoryStream = sides[1]
	var buffer := bytes([9, 9])
	assert_code(reader.read_into(buffer), ERR_DOES_NOT_EXIST, "no message")
	assert_eq([reader.get_message_size(), reader.get_message_shape()], [0, PackedInt32Array()], "")
	assert_last_error(reader, ERR_DOES_NOT_EXIST)
	sides[0].write(bytes([1, 2, 3]))
	assert_code(reader.read_into(buffer), ERR_INVALID_PARAMETER, "not printed")
	assert_last_error(
		reader, ERR_INVALID_PARAMETER, ["the message has 3 bytes, and buffer has room for 2"]
	)
	assert_eq(buffer, bytes([9, 9]), "untouched")
	assert_true(reader.has_new_data(), "unread")
	assert_eq(reader.read(), bytes([1, 2, 3]), "still there")


func test_shape_is_that_of_the_newest_message() -> void:
	var sides := _stream()
	for line: Array in [
		[PackedInt32Array([1, 2, 3]), [3]],
		[PackedFloat64Array(), [0]],
		[PackedVector2Array([Vector2.ZERO]), [1, 2]],
		[PackedVector3Array(), [0, 3]],
		[PackedVector4Array([Vector4.ZERO, Vector4.ONE]), [2, 4]],
		[PackedColorArray([Color.RED]), [1, 4]],
		[Image.create_empty(3, 2, false, Image.FORMAT_RGB8), [3, 2, Image.FORMAT_RGB8]],
		["text", []],
		[bytes([1]), []],
		[[1, 2], []],
	]:
		sides[0].write(line[0])
		assert_eq(sides[1].get_message_shape(), PackedInt32Array(line[1]), str(line[0]))
		assert_last_error(sides[1], OK)
		assert_true(sides[1].has_new_data(), "unread")


func test_read_image_sets_the_image() -> void:
	var sides := _stream()
	var reader: SharedMemoryStream = sides[1]
	var image := Image.create_empty(1, 1, true, Image.FORMAT_RF)
	for format in Image.FORMAT_RGBE9995 + 1:
		var sent := Image.create_empty(5, 4, false, format)
		sent.set_data(5, 4, false, format, pattern(sent.get_data_size(), format))
		assert_code(sides[0].write(sent), OK, "write")
		assert_true(reader.has_new_data(), "new")
		assert_code(reader.read_image(image), OK, "read_image, format %d" % format)
		_assert_same_image(image, sent)
		assert_false(reader.has_new_data(), "read")
		# In place now.
		image.fill(Color.BLACK)
		var copy: Image = image.duplicate()
		var before := copy.get_data()
		assert_code(reader.call("read_image", image, -1), OK, "in place")
		_assert_same_image(image, sent)
		assert_eq(copy.get_data(), before, "a copy of the image stays")


## As Image.convert() does.
func test_read_image_converts_as_the_engine_does() -> void:
	var sides := _stream()
	var tried := 0
	for from: int in [Image.FORMAT_L8, Image.FORMAT_LA8, Image.FORMAT_RGB8, Image.FORMAT_RGBA8]:
		for to: int in [Image.FORMAT_L8, Image.FORMAT_RGB8, Image.FORMAT_RGBA8]:
			var sent := Image.create_empty(61, 53, false, from)
			var data := PackedByteArray()
			for index in sent.get_data_size():
				data.append(randi())
			sent.set_data(61, 53, false, from, data)
			sides[0].write(sent)
			var image := Image.create_empty(61, 53, false, to)
			for number in 2:
				assert_code(sides[1].read_image(image, to), OK, "%d to %d" % [from, to])
				var expected: Image = sent.duplicate()
				expected.convert(to)
				_assert_same_image(image, expected)
				image = Image.create_empty(2, 2, false, to)
			tried += 1
	assert_eq(tried, 12, "conversions")


func test_read_image_refuses_what_it_can_not_set() -> void:
	var sides := _stream()
	var reader: SharedMemoryStream = sides[1]
	var image := Image.create_empty(1, 1, false, Image.FORMAT_L8)
	assert_code(reader.read_image(image), ERR_DOES_NOT_EXIST, "no message")
	sides[0].write(image)
	expect_error("SharedMemoryStream.read_image(): image is null or not an Image")
	assert_code(reader.read_image(null), ERR_INVALID_PARAMETER, "null")
	for format: int in [-2, 1, 2, 6, 256, 1 << 32, MIN, MAX]:
		expect_error(
			(
				"SharedMemoryStream.read_image(): format must be -1, Image.FORMAT_L8 (0), "
				+ ("FORMAT_RGB8 (4) or FORMAT_RGBA8 (5), not %d" % format)
			)
		)
		assert_code(reader.read_image(image, format), ERR_INVALID_PARAMETER, str(format))
	assert_true(reader.has_new_data(), "unread")
	# The state of the other side is not printed. Such a message counts as read.
	for value: Variant in ["text", [image.get_data()], bytes([1])]:
		sides[0].write(value)
		assert_code(reader.read_image(image), ERR_INVALID_DATA, str(value))
		assert_last_error(reader, ERR_INVALID_DATA, ["the message is not an image"])
		assert_false(reader.has_new_data(), "it counts as read")
		assert_eq(reader.read(), value, "and can be read all the same")
	sides[0].write(Image.create_empty(1, 1, false, Image.FORMAT_RF))
	assert_code(reader.read_image(image, Image.FORMAT_RGB8), ERR_INVALID_DATA, "RF")
	assert_last_error(reader, ERR_INVALID_DATA, ["the image has the format 8; read it with"])
	assert_eq(image.get_format(), Image.FORMAT_L8, "unchanged")


func test_other_layouts_have_no_kinds() -> void:
	var memory := created(256)
	var stream := SharedMemoryStream.new()
	assert_code(stream.attach(memory, SharedMemoryStream.LAYOUT_LSM_V2), OK, "attach")
	stream.write("text")
	var buffer := bytes([1])
	var image := Image.create_empty(1, 1, false, Image.FORMAT_L8)
	assert_code(stream.read_into(buffer), ERR_UNAVAILABLE, "read_into")
	assert_code(stream.read_image(image), ERR_UNAVAILABLE, "read_image")
	assert_eq(stream.get_message_size(), 0, "size")
	assert_last_error(stream, ERR_UNAVAILABLE, ["only messages of LAYOUT_NATIVE have a kind"])
	assert_eq(stream.get_message_shape(), PackedInt32Array(), "shape")
	assert_last_error(stream, ERR_UNAVAILABLE)


func test_values_pass_between_threads() -> void:
	var sides := _queue()
	var random_seed := randi()
	note("seed %d" % random_seed)
	var count := int(effort("SHM_TEST_ROUNDS", 300))
	var producer: SharedMemoryQueue = sides[0]
	var consumer: SharedMemoryQueue = sides[1]
	var produce := func(number: int) -> void:
		var some := SomeValues.new(random_seed + number)
		for index in count:
			var value: Variant = [number, index, some.some(1 + index % 22, 1), Vector3(index, 0, 0)]
			while producer.enqueue(value, 100) == ERR_TIMEOUT:
				pass
			producer.enqueue(Image.create_empty(2, 2, false, Image.FORMAT_RGB8), 10_000)
	var threads: Array[Thread] = []
	for number in THREADS:
		threads.append(Thread.new())
		threads[number].start(produce.bind(number))
	var next := []
	next.resize(THREADS)
	next.fill(0)
	var images := 0
	for number in 2 * count * THREADS:
		var value: Variant = consumer.dequeue(10_000)
		if value is Image:
			images += 1
		elif assert_eq(typeof(value), TYPE_ARRAY, consumer.get_last_error_message()):
			assert_eq(value[1], next[value[0]], "in order")
			next[value[0]] += 1
		else:
			break
	for thread in threads:
		thread.wait_to_finish()
	assert_eq([images, next.min()], [count * THREADS, count], "all came")


## Two attached objects: of the sender, and of the receiver.
func _stream(size := SIZE) -> Array:
	return _attached(created(size), SharedMemoryStream.new(), SharedMemoryStream.new())


func _queue(size := SIZE) -> Array:
	return _attached(created(size), SharedMemoryQueue.new(), SharedMemoryQueue.new())


func _attached(memory: SharedMemory, sender: RefCounted, receiver: RefCounted) -> Array:
	assert_code(sender.attach(memory), OK, "attach")
	assert_code(receiver.attach(opened(memory)), OK, "attach the other side")
	return [sender, receiver]


func _limit(sender: RefCounted) -> int:
	return sender.get_capacity() if sender is SharedMemoryStream else sender.get_max_message_size()


func _send(sender: RefCounted, value: Variant) -> Error:
	return sender.write(value) if sender is SharedMemoryStream else sender.enqueue(value)


func _receive(receiver: RefCounted) -> Variant:
	return receiver.read() if receiver is SharedMemoryStream else receiver.dequeue()


func _sent(sides: Array, value: Variant) -> Variant:
	assert_code(_send(sides[0], value), OK, "sent")
	return _receive(sides[1])


func _assert_sent(sides: Array, value: Variant, why: String) -> void:
	if not assert_code(_send(sides[0], value), OK, why):
		return
	if sides[1] is SharedMemoryQueue:
		_assert_same(sides[1].peek(), value, why + ", peeked")
	var received: Variant = _receive(sides[1])
	assert_last_error(sides[1], OK)
	_assert_same(received, value, why)


## Equal in every bit. Types of containers don't count.
func _assert_same(received: Variant, value: Variant, why: String) -> void:
	assert_eq(typeof(received), typeof(value), why)
	# Only typed containers are sent as something else.
	var encoded := var_to_bytes(received)
	var same := encoded == var_to_bytes(value) or encoded == var_to_bytes(_untyped(value))
	assert_true(same, why + ": the bytes")


func _assert_refused(sides: Array, value: Variant, text: String) -> void:
	var of_class: String = sides[0].get_class()
	var method := "write" if sides[0] is SharedMemoryStream else "enqueue"
	expect_error("%s.%s(): %s" % [of_class, method, text])
	assert_code(_send(sides[0], value), ERR_INVALID_PARAMETER, text)
	assert_last_error(sides[0], ERR_INVALID_PARAMETER, [text])
	if sides[1] is SharedMemoryQueue:
		assert_true(sides[1].is_empty(), "nothing was sent")


func _assert_same_image(received: Image, image: Image) -> void:
	var told := [received.get_width(), received.get_height(), received.get_format()]
	assert_eq(told, [image.get_width(), image.get_height(), image.get_format()], "the image")
	assert_false(received.has_mipmaps(), "mipmaps")
	assert_true(received.get_data() == image.get_data(), "pixels of format %d" % told[2])


func _untyped(value: Variant) -> Variant:
	if value is Array:
		var array := []
		for element: Variant in value:
			array.append(_untyped(element))
		return array
	if value is Dictionary:
		var dictionary := {}
		for key: Variant in value:
			dictionary[_untyped(key)] = _untyped(value[key])
		return dictionary
	return value


func _does_hold_refused(value: Variant) -> bool:
	if value is Array:
		return value.any(_does_hold_refused)
	if value is Dictionary:
		return _does_hold_refused(value.keys()) or _does_hold_refused(value.values())
	return typeof(value) in REFUSED


func _does_hold_typed(value: Variant) -> bool:
	if value is Array:
		return value.is_typed() or value.any(_does_hold_typed)
	if value is Dictionary:
		return (
			_is_typed(value) or _does_hold_typed(value.keys()) or _does_hold_typed(value.values())
		)
	return false


## The header of a typed container has more bits than the type.
func _is_typed(dictionary: Dictionary) -> bool:
	return var_to_bytes(dictionary).decode_u32(0) != TYPE_DICTIONARY
