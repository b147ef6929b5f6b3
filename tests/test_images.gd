extends "res://test_case.gd"
## The pixels of images, straight from the memory and into it.

# same for every user

const Argument := preload("res://calls/argument.gd")


## Every format that the running engine has, those that are newer than the addon too.
func test_every_uncompressed_format_is_read_as_written() -> void:
	var tried := 0
	# Asked of the engine that runs, not of the one that this was compiled for.
	for format in ClassDB.class_get_integer_constant("Image", "FORMAT_MAX"):
		var image := Image.create_empty(8, 4, false, format)
		if image.is_compressed():
			continue
		tried += 1
		var size := image.get_data_size()
		var memory := created(size + 10)
		var data := pattern(size, format)
		memory.write(data, 10)
		assert_code(memory.read_image(image, 10), OK, "read format %d" % format)
		assert_eq(image.get_data(), data, "pixels of format %d" % format)
		assert_eq([image.get_width(), image.get_height()], [8, 4], "size of format %d" % format)
		memory.fill(0)
		assert_code(memory.write_image(image, 1), OK, "write format %d" % format)
		assert_eq(memory.read(size, 1), data, "bytes of format %d" % format)
		assert_eq(memory.read(1), bytes([0]), "nothing before it")
	assert_true(tried >= 17, "formats: %d" % tried)


func test_mipmaps_are_read_and_written() -> void:
	var image := Image.create_empty(8, 8, true, Image.FORMAT_RGBA8)
	var size := image.get_data_size()
	assert_true(size > 8 * 8 * 4, "there are some")
	var memory := created(size)
	memory.write(pattern(size))
	assert_code(memory.read_image(image), OK, "read")
	assert_eq(image.get_data(), pattern(size), "all of it")
	assert_true(image.has_mipmaps(), "has_mipmaps")
	var small := created(size - 1)
	expect_error("SharedMemory.read_image(): the image has %d bytes" % size)
	assert_code(small.read_image(image), ERR_INVALID_PARAMETER, "without the last byte of them")


func test_copies_of_the_image_stay() -> void:
	var image := Image.create_empty(4, 4, false, Image.FORMAT_L8)
	var copy: Image = image.duplicate()
	var data := image.get_data()
	var memory := created(16)
	memory.fill(9)
	assert_code(memory.read_image(image), OK, "read")
	assert_eq(image.get_data().count(9), 16, "the image")
	assert_eq(copy.get_data().count(9), 0, "its copy")
	assert_eq(data.count(9), 0, "its data of before")


func test_image_that_does_not_fit_is_refused() -> void:
	var image := Image.create_empty(4, 4, false, Image.FORMAT_RGBA8)
	image.fill(Color.RED)
	var before := image.get_data()
	var memory := created(64)
	for offset: int in [1, 64, 65, -1, 9223372036854775807, -9223372036854775808]:
		for method: String in ["read_image", "write_image"]:
			expect_error("SharedMemory.%s(): " % method)
			var code: Error = memory.call(method, image, offset)
			assert_code(code, ERR_INVALID_PARAMETER, "%s at %d" % [method, offset])
	expect_error(
		"read_image(): the image has 64 bytes of pixels; from byte 1 on the segment has 63"
	)
	assert_code(memory.read_image(image, 1), ERR_INVALID_PARAMETER, "both sizes are told")
	assert_eq(image.get_data(), before, "the image is unchanged")
	assert_eq(memory.read().count(0), 64, "and so is the segment")


## Each format has its own length of a row.
func test_rows_of_every_format_are_read_as_written() -> void:
	for format in ClassDB.class_get_integer_constant("Image", "FORMAT_MAX"):
		var image := Image.create_empty(7, 5, false, format)
		if image.is_compressed():
			continue
		var row := image.get_data_size() / 5
		for stride: int in [row, row + 1, (row + 63) / 64 * 64, -row, -row - 5]:
			var span := 4 * absi(stride) + row
			var memory := created(span + 7)
			var data := pattern(span + 7, format)
			memory.write(data)
			var first := 3 if stride > 0 else 3 + span - row
			assert_code(memory.read_image(image, first, stride), OK, "read, format %d" % format)
			var rows := PackedByteArray()
			for index in 5:
				rows.append_array(data.slice(first + index * stride, first + index * stride + row))
			assert_eq(image.get_data(), rows, "pixels, format %d, stride %d" % [format, stride])
			memory.fill(0xA5)
			assert_code(memory.write_image(image, first, stride), OK, "write, format %d" % format)
			var expected := PackedByteArray()
			expected.resize(span + 7)
			expected.fill(0xA5)
			for index in 5 * row:
				expected[first + index / row * stride + index % row] = rows[index]
			assert_eq(memory.read(), expected, "bytes, format %d, stride %d" % [format, stride])


func test_rows_reach_both_ends_of_segment() -> void:
	var image := Image.create_empty(4, 3, false, Image.FORMAT_L8)
	var memory := created(20)
	assert_code(memory.read_image(image, 0, 8), OK, "up to the last byte")
	assert_code(memory.read_image(image, 16, -8), OK, "down to the first byte")
	var outside := "byte_offset 1 and row_stride 8: the rows take bytes 1 to 20"
	expect_error("read_image(): %s, and the segment has bytes 0 to 19" % outside)
	assert_code(memory.read_image(image, 1, 8), ERR_INVALID_PARAMETER, "one more")
	outside = "byte_offset 15 and row_stride -8: the rows take bytes -1 to 18"
	expect_error("write_image(): %s, and the segment has bytes 0 to 19" % outside)
	assert_code(memory.write_image(image, 15, -8), ERR_INVALID_PARAMETER, "one less")
	# A single row has none that would follow it.
	var single := Image.create_empty(4, 1, false, Image.FORMAT_L8)
	for stride: int in [Argument.MIN, Argument.MAX, 4, -4]:
		assert_code(memory.read_image(single, 16, stride), OK, "one row, %d" % stride)
		assert_code(memory.write_image(single, 16, stride), OK, "one row, %d" % stride)


func test_bad_strides_are_refused() -> void:
	var image := Image.create_empty(4, 4, false, Image.FORMAT_RGBA8)
	image.fill(Color.RED)
	var copy: Image = image.duplicate()
	var memory := created(256)
	var limit := "row_stride must be 0, 16 or more, or -16 or less (an image's row has 16 bytes)"
	for method: String in ["read_image", "write_image"]:
		for stride: int in [1, 15, -1, -15]:
			expect_error("SharedMemory.%s(): %s, not %d" % [method, limit, stride])
			assert_code(memory.call(method, image, 64, stride), ERR_INVALID_PARAMETER, method)
		for stride: int in Argument.INTS:
			if absi(stride) < 16 and stride != Argument.MIN:
				continue
			for offset: int in Argument.INTS:
				expect_error("SharedMemory.%s(): " % method)
				var code: Error = memory.call(method, image, offset, stride)
				assert_code(code, ERR_INVALID_PARAMETER, "%s, %d, %d" % [method, offset, stride])
		var mipmaps := Image.create_empty(4, 4, true, Image.FORMAT_RGBA8)
		expect_error("SharedMemory.%s(): image has mipmaps" % method)
		assert_code(memory.call(method, mipmaps, 0, 16), ERR_INVALID_PARAMETER, "mipmaps")
		var compressed := Image.create_empty(4, 4, false, Image.FORMAT_DXT1)
		expect_error("SharedMemory.%s(): image is compressed" % method)
		assert_code(memory.call(method, compressed, 0, 16), ERR_INVALID_PARAMETER, "compressed")
	assert_eq(image.get_data(), copy.get_data(), "the image is unchanged")
	assert_eq(memory.read().count(0), 256, "and so is the segment")


func test_copies_of_image_stay_with_stride() -> void:
	var image := Image.create_empty(4, 4, false, Image.FORMAT_L8)
	var copy: Image = image.duplicate()
	var memory := created(32)
	memory.fill(9)
	var untyped: Variant = memory
	assert_code(untyped.read_image(image, 0, 8), OK, "read, untyped")
	assert_eq(image.get_data().count(9), 16, "the image")
	assert_eq(copy.get_data().count(9), 0, "its copy")


func test_rows_are_copied_by_threads() -> void:
	var memory := created(4 * 640)
	var threads: Array[Thread] = []
	for number in 4:
		threads.append(Thread.new())
		threads[number].start(_copy_column.bind(memory, number * 16))
	for thread in threads:
		assert_eq(thread.wait_to_finish(), 0, "pictures that came back changed")


## Each thread has a column of its own in one larger picture.
func _copy_column(memory: SharedMemory, offset: int) -> int:
	var changed := 0
	var image := Image.create_empty(4, 40, false, Image.FORMAT_RGBA8)
	for turn in 300:
		var data := pattern(640, offset + turn)
		image.set_data(4, 40, false, Image.FORMAT_RGBA8, data)
		var first := offset if turn % 2 else offset + 39 * 64
		var stride := 64 if turn % 2 else -64
		changed += int(memory.write_image(image, first, stride) != OK)
		image.fill(Color.BLACK)
		changed += int(memory.read_image(image, first, stride) != OK)
		changed += int(image.get_data() != data)
	return changed


func test_null_empty_and_compressed_images_are_refused() -> void:
	var memory := created(64)
	expect_error("SharedMemory.read_image(): image is null")
	assert_code(memory.read_image(null), ERR_INVALID_PARAMETER, "null")
	expect_error("SharedMemory.write_image(): image is null")
	assert_code(memory.write_image(null), ERR_INVALID_PARAMETER, "null")
	expect_error("SharedMemory.read_image(): image is empty")
	assert_code(memory.read_image(Image.new()), ERR_INVALID_PARAMETER, "empty")
	var compressed := Image.create_empty(4, 4, false, Image.FORMAT_DXT1)
	expect_error("SharedMemory.read_image(): image is compressed")
	assert_code(memory.read_image(compressed), ERR_INVALID_PARAMETER, "compressed")
	expect_error("SharedMemory.write_image(): image is compressed")
	assert_code(memory.write_image(compressed), ERR_INVALID_PARAMETER, "compressed")


func test_untyped_calls_work() -> void:
	var memory: Variant = created(64)
	var image: Variant = Image.create_empty(4, 4, false, Image.FORMAT_RGBA8)
	assert_code(memory.read_image(image), OK, "an image")
	expect_error("SharedMemory.read_image(): image is null")
	assert_code(memory.callv("read_image", [null]), ERR_INVALID_PARAMETER, "null")
	for value: Variant in [RefCounted.new(), memory, ImageTexture.new(), 1, "a", {}]:
		expect_error("Cannot convert argument")
		assert_eq(memory.callv("read_image", [value]), null, str(value))
	var freed: Variant = Node.new()
	freed.free()
	for method: String in ["read_image", "write_image"]:
		expect_error("Cannot convert argument")
		assert_eq(memory.callv(method, [freed]), null, "freed, " + method)
	# Declared as a class above it, so that the compiler can't know.
	var resource: Resource = image
	assert_code(memory.read_image(resource), OK, "an image all the same")


func test_write_fails_for_reader_and_closed_object() -> void:
	var image := Image.create_empty(4, 4, false, Image.FORMAT_RGBA8)
	var owner := created(64)
	var reader := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	assert_code(reader.read_image(image), OK, "a reader reads")
	assert_code(reader.write_image(image), ERR_UNAUTHORIZED, "and does not write")
	owner.close()
	expect_error("SharedMemory.read_image(): no segment is open")
	assert_code(owner.read_image(image), ERR_UNCONFIGURED, "closed")
	expect_error("SharedMemory.write_image(): no segment is open")
	assert_code(owner.write_image(image), ERR_UNCONFIGURED, "closed")
