extends "res://test_case.gd"
## The pixels of images, straight from the memory and into it.


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
