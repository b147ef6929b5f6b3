extends "res://test_case.gd"
## get_last_error() and its message: of which call they tell, and for how long.


func test_new_object_has_no_error() -> void:
	assert_last_error(SharedMemory.new(), OK)


func test_call_that_can_not_fail_keeps_the_error() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	memory.open(name)
	assert_last_error(memory, ERR_DOES_NOT_EXIST, [name])
	memory.get_name()
	memory.is_open()
	memory.close()
	SharedMemory.exists(name)
	SharedMemory.remove(name)
	assert_last_error(memory, ERR_DOES_NOT_EXIST, [name])
	memory.clear_last_error()
	assert_last_error(memory, OK)
	memory.clear_last_error()
	assert_last_error(memory, OK)


## After each call that works there is no error, whatever the call before did.
func test_success_clears_the_error() -> void:
	var memory := created(16)
	var buffer := bytes([0])
	var calls: Array[Callable] = [
		memory.write.bind(bytes([1])),
		memory.read.bind(1),
		memory.fill.bind(2),
		memory.read_into.bind(buffer),
		memory.encode_u32.bind(0, 1),
		memory.decode_u32.bind(0),
		memory.write_string.bind("a"),
		memory.read_string,
		memory.pack.bind("<I", [1]),
		memory.unpack.bind("<I"),
		memory.unpack_dictionary.bind("<I:id:"),
		memory.encode_var.bind(0, 1),
		memory.decode_var.bind(0),
		memory.has_encoded_var.bind(0),
		memory.write_int32_array.bind(PackedInt32Array([1])),
		memory.read_int32_array,
		memory.set_persistent.bind(false),
		memory.unlink,
	]
	for call in calls:
		expect_error("SharedMemory.write(): ")
		memory.write(bytes([1]), 16)
		assert_last_error(memory, ERR_INVALID_PARAMETER)
		call.call()
		assert_last_error(memory, OK)


func test_create_and_open_clear_the_error() -> void:
	for method: String in ["create", "open_or_create", "open"]:
		var memory := SharedMemory.new()
		var other := created(16)
		memory.open(unique_name())
		assert_last_error(memory, ERR_DOES_NOT_EXIST)
		var name := String(other.get_name()) if method == "open" else unique_name()
		assert_code(memory.call(method, name, 16), OK, method)
		assert_last_error(memory, OK)


func test_backend_and_lock_timeout_clear_the_error() -> void:
	var memory := SharedMemory.new()
	memory.open(unique_name())
	memory.backend = SharedMemory.BACKEND_FILE
	assert_last_error(memory, OK)
	var stream := SharedMemoryStream.new()
	expect_error("SharedMemoryStream.set_lock_timeout_msec(): ")
	stream.lock_timeout_msec = -1
	assert_code(stream.get_last_error(), ERR_INVALID_PARAMETER, "a wrong one")
	stream.lock_timeout_msec = 1
	assert_code(stream.get_last_error(), OK, "a right one")


func test_error_is_that_of_the_last_failure() -> void:
	var memory := created(16)
	expect_error("SharedMemory.write(): ")
	memory.write(bytes([1]), 16)
	assert_last_error(memory, ERR_INVALID_PARAMETER)
	expect_error("SharedMemory.create(): ")
	memory.create(unique_name(), 16)
	assert_last_error(memory, ERR_ALREADY_IN_USE)
	memory.close()
	expect_error("SharedMemory.fill(): ")
	memory.fill(1)
	assert_last_error(memory, ERR_UNCONFIGURED)


func test_each_object_has_its_own_error() -> void:
	var memory := SharedMemory.new()
	var other := SharedMemory.new()
	memory.open(unique_name())
	assert_last_error(memory, ERR_DOES_NOT_EXIST)
	assert_last_error(other, OK)


func test_other_threads_see_the_error() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	var thread := Thread.new()
	thread.start(func() -> Error: return memory.open(name))
	assert_code(thread.wait_to_finish(), ERR_DOES_NOT_EXIST, "open in a thread")
	assert_last_error(memory, ERR_DOES_NOT_EXIST, [name])


func test_message_names_system_call_and_cause() -> void:
	var memory := SharedMemory.new()
	assert_code(memory.create(unique_name(), 1 << 40), ERR_OUT_OF_MEMORY, "create")
	if is_linux():
		assert_last_error(memory, ERR_OUT_OF_MEMORY, ["MemAvailable", "Cannot allocate memory"])
	else:
		assert_last_error(memory, ERR_OUT_OF_MEMORY)
