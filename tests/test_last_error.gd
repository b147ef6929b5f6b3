extends "res://test_case.gd"
## get_last_error() and its message: of which call they tell, and for how long.


func test_new_object_has_no_error() -> void:
	assert_last_error(SharedMemory.new(), OK)


func test_stays_until_cleared() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	memory.open(name)
	assert_last_error(memory, ERR_DOES_NOT_EXIST, [name])
	memory.get_name()
	memory.close()
	memory.unlink()
	SharedMemory.exists(name)
	SharedMemory.remove(name)
	memory.persistent = true
	assert_last_error(memory, ERR_DOES_NOT_EXIST, [name])
	memory.clear_last_error()
	assert_last_error(memory, OK)
	memory.clear_last_error()
	assert_last_error(memory, OK)


func test_success_of_create_and_open_clears_it() -> void:
	for method: String in ["create", "open_or_create", "open"]:
		var memory := SharedMemory.new()
		var other := created(16)
		memory.open(unique_name())
		assert_last_error(memory, ERR_DOES_NOT_EXIST)
		var name := other.get_name() if method == "open" else unique_name()
		assert_code(memory.call(method, name, 16), OK, method)
		assert_last_error(memory, OK)


func test_success_of_others_leaves_it() -> void:
	var memory := created(16)
	expect_error("SharedMemory.write(): ")
	assert_code(memory.write(bytes([1]), 16), ERR_INVALID_PARAMETER, "write")
	assert_code(memory.write(bytes([1])), OK, "write")
	assert_eq(memory.read(1), bytes([1]), "read")
	assert_code(memory.fill(2), OK, "fill")
	var buffer := bytes([0])
	assert_code(memory.read_into(buffer), OK, "read_into")
	assert_last_error(memory, ERR_INVALID_PARAMETER)


func test_error_is_of_the_last_failure() -> void:
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


func test_error_is_of_its_object() -> void:
	var memory := SharedMemory.new()
	var other := SharedMemory.new()
	memory.open(unique_name())
	assert_last_error(memory, ERR_DOES_NOT_EXIST)
	assert_last_error(other, OK)


func test_error_is_seen_from_other_threads() -> void:
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
