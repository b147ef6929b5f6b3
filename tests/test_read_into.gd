extends "res://test_case.gd"
## read_into(): it fills the caller's own array, however it is called, and no other.

## An array inside an object: a call on it gets the object's own.
var member := PackedByteArray()


func test_read_into_fills_in_place() -> void:
	var memory := _filled(8)
	var buffer := bytes([9, 9, 9, 9, 9, 9, 9, 9])
	assert_code(memory.read_into(buffer), OK, "read_into")
	assert_eq(buffer, pattern(8), "the buffer")


func test_size_of_the_buffer_is_the_count() -> void:
	var memory := _filled(8)
	var buffer := bytes([9, 9, 9])
	assert_code(memory.read_into(buffer), OK, "the first three")
	assert_eq(buffer, pattern(8).slice(0, 3), "the first three")
	assert_code(memory.read_into(buffer, 5), OK, "the last three")
	assert_eq(buffer, pattern(8).slice(5), "the last three")
	assert_eq(memory.read(), pattern(8), "the segment")


func test_access_outside_is_refused() -> void:
	var memory := _filled(8)
	var buffer := bytes([1, 2, 3])
	for offset: int in [6, 8, 9, -1, 1 << 32, 9223372036854775807, -9223372036854775808]:
		memory.clear_last_error()
		expect_error("SharedMemory.read_into(): ")
		assert_code(memory.read_into(buffer, offset), ERR_INVALID_PARAMETER, str(offset))
		assert_last_error(memory, ERR_INVALID_PARAMETER)
	var large := pattern(9)
	expect_error("SharedMemory.read_into(): ")
	assert_code(memory.read_into(large), ERR_INVALID_PARAMETER, "a buffer that is too large")
	assert_last_error(memory, ERR_INVALID_PARAMETER, ["9", "8"])
	assert_eq(buffer, bytes([1, 2, 3]), "untouched")
	assert_eq(large, pattern(9), "untouched")


func test_empty_buffer_is_refused() -> void:
	var memory := _filled(8)
	var buffer := PackedByteArray()
	expect_error("SharedMemory.read_into(): ")
	assert_code(memory.read_into(buffer), ERR_INVALID_PARAMETER, "read_into")
	assert_eq(buffer, PackedByteArray(), "the buffer")


func test_both_variables_of_an_array_are_filled() -> void:
	var memory := _filled(4)
	var buffer := bytes([9, 9, 9, 9])
	# GDScript shares packed arrays between variables, as it does arrays.
	var same := buffer
	assert_code(memory.read_into(buffer), OK, "read_into")
	assert_eq(buffer, pattern(4), "the buffer")
	buffer[0] = 200
	assert_eq(same, buffer, "the other variable sees what the language says it does")


func test_copy_of_the_array_stays() -> void:
	var memory := _filled(4)
	var buffer := bytes([9, 9, 9, 9])
	var copy := buffer.duplicate()
	assert_code(memory.read_into(buffer), OK, "read_into")
	assert_eq(buffer, pattern(4), "the buffer")
	assert_eq(copy, bytes([9, 9, 9, 9]), "the copy")


func test_image_of_the_array_stays() -> void:
	var image := Image.create(2, 2, false, Image.FORMAT_L8)
	image.fill(Color.WHITE)
	var memory := _filled(4)
	# The bytes are the image's own until one of the two is written to.
	var buffer := image.get_data()
	assert_code(memory.read_into(buffer), OK, "read_into")
	assert_eq(buffer, pattern(4), "the buffer")
	assert_eq(image.get_data(), bytes([255, 255, 255, 255]), "the image")
	var untyped: Variant = image.get_data()
	assert_code(memory.call("read_into", untyped), OK, "read_into, untyped")
	assert_eq(image.get_data(), bytes([255, 255, 255, 255]), "the image, again")


func test_member_of_an_object_is_filled() -> void:
	var memory := _filled(4)
	member = bytes([9, 9, 9, 9])
	assert_code(memory.read_into(member), OK, "read_into")
	assert_eq(member, pattern(4), "the member")
	member = bytes([9, 9, 9, 9])
	assert_code(memory.read_into(self.member), OK, "read_into")
	assert_eq(member, pattern(4), "the member through self")


func test_element_of_an_array_is_filled() -> void:
	var memory := _filled(4)
	var list := [bytes([9, 9, 9, 9])]
	assert_code(memory.read_into(list[0]), OK, "read_into")
	assert_eq(list[0], pattern(4), "the element")
	var table := {"buffer": bytes([9, 9, 9, 9])}
	assert_code(memory.read_into(table.buffer), OK, "read_into")
	assert_eq(table.buffer, pattern(4), "the value")
	var typed: Array[PackedByteArray] = [bytes([9, 9, 9, 9])]
	assert_code(memory.read_into(typed[0]), OK, "read_into")
	assert_eq(typed[0], pattern(4), "the element of a typed array")


## In an untyped call the class gets a copy of the variable: see the class's help.
func test_untyped_calls_work() -> void:
	var memory: Variant = _filled(4)
	var buffer: Variant = bytes([9, 9, 9, 9])
	_check_untyped(memory, memory.read_into(buffer), buffer, "a call on a Variant")
	buffer = bytes([9, 9, 9, 9])
	_check_untyped(memory, memory.call("read_into", buffer), buffer, "call()")
	buffer = bytes([9, 9, 9, 9])
	_check_untyped(memory, memory.callv("read_into", [buffer]), buffer, "callv()")
	buffer = bytes([9, 9, 9, 9])
	var callable := Callable(memory, "read_into")
	_check_untyped(memory, callable.call(buffer), buffer, "a Callable")
	buffer = bytes([9, 9, 9, 9])
	_check_untyped(memory, callable.bind(0).call(buffer), buffer, "a bound Callable")
	buffer = bytes([9, 9, 9, 9])
	_check_untyped(memory, callable.callv([buffer]), buffer, "Callable.callv()")


func test_untyped_call_fills_typed_buffer() -> void:
	var memory: Variant = _filled(4)
	var buffer := bytes([9, 9, 9, 9])
	_check_untyped(memory, memory.read_into(buffer), buffer, "a call on a Variant")
	buffer = bytes([9, 9, 9, 9])
	_check_untyped(memory, memory.call(&"read_into", buffer, 0), buffer, "call()")


func test_untyped_access_outside_is_refused() -> void:
	var memory: Variant = _filled(4)
	var buffer: Variant = bytes([9, 9, 9, 9])
	expect_error("SharedMemory.read_into(): ")
	assert_code(memory.read_into(buffer, 1), ERR_INVALID_PARAMETER, "outside")
	assert_eq(buffer, bytes([9, 9, 9, 9]), "the buffer")


func test_buffers_of_other_types_are_refused() -> void:
	var memory: Variant = _filled(4)
	for value: Variant in [null, 5, "text", PackedInt32Array([1]), {}]:
		var before := var_to_str(value)
		expect_error("Cannot convert argument 1")
		assert_eq(memory.callv("read_into", [value]), null, "refused by the engine")
		assert_eq(var_to_str(value), before, "untouched")


## The engine would make bytes of it, which are not the caller's.
func test_array_of_numbers_is_not_filled() -> void:
	var memory: Variant = _filled(4)
	var numbers := [9, 9, 9, 9]
	expect_error("read_into")
	assert_ne(memory.callv("read_into", [numbers]), OK, "it can't fill them")
	assert_eq(numbers, [9, 9, 9, 9], "untouched")


## Either it filled the caller's array, or it says that it can't: it never pretends.
func _check_untyped(memory: SharedMemory, code: int, buffer: PackedByteArray, how: String) -> void:
	if code == OK:
		assert_eq(buffer, pattern(4), how)
		return
	assert_code(code, ERR_UNAVAILABLE, how)
	assert_last_error(memory, ERR_UNAVAILABLE)
	assert_eq(buffer, bytes([9, 9, 9, 9]), how)
	# From 4.4 on, Godot lets an extension reach the array inside a Variant.
	assert_true(Engine.get_version_info().hex < 0x040400, how + " works in this Godot")


func _filled(size: int) -> SharedMemory:
	var memory := created(size)
	memory.write(pattern(size))
	return memory
