extends "res://test_case.gd"
## Memory that a peer takes away while it is mapped. Without care, the system kills the process.

const SIZE := 16384


func test_read_of_truncated_segment_fails() -> void:
	_check(func(memory: SharedMemory) -> int: return _code_of_read(memory))


func test_read_into_of_truncated_segment_fails() -> void:
	var buffer := pattern(SIZE)
	_check(func(memory: SharedMemory) -> int: return memory.read_into(buffer))


func test_write_to_truncated_segment_fails() -> void:
	_check(func(memory: SharedMemory) -> int: return memory.write(pattern(SIZE)))


func test_fill_of_truncated_segment_fails() -> void:
	_check(func(memory: SharedMemory) -> int: return memory.fill(7))


func test_write_to_lost_last_byte_fails() -> void:
	_check(func(memory: SharedMemory) -> int: return memory.write(bytes([1]), SIZE - 1))


func test_opener_of_truncated_segment_fails() -> void:
	if not is_linux():
		return skip("cuts a file in /dev/shm")
	var owner := created(SIZE)
	var memory := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	_cut(owner.get_name(), 0)
	assert_code(_code_of_read(memory), ERR_FILE_CORRUPT, "read")
	assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
	assert_false(memory.is_open(), "is_open")
	assert_true(owner.is_open(), "the owner has not noticed yet")
	assert_code(owner.fill(1), ERR_FILE_CORRUPT, "the owner's fill")


func test_rest_of_truncated_segment_is_read_or_refused() -> void:
	if not is_linux():
		return skip("cuts a file in /dev/shm")
	var memory := created(SIZE)
	memory.write(pattern(16))
	_cut(memory.get_name(), 4096)
	memory.clear_last_error()
	var data := memory.read(16)
	if memory.get_last_error() == OK:
		assert_eq(data, pattern(16), "its bytes")
	else:
		assert_last_error(memory, ERR_FILE_CORRUPT)
		assert_eq(data, PackedByteArray(), "nothing")


func test_segment_that_was_cut_and_grown_works() -> void:
	if not is_linux():
		return skip("cuts a file in /dev/shm")
	var memory := created(SIZE)
	memory.write(pattern(16))
	_cut(memory.get_name(), 0)
	_cut(memory.get_name(), SIZE)
	assert_eq(memory.read().size(), SIZE, "all of it")


func test_grown_segment_keeps_its_size() -> void:
	if not is_linux():
		return skip("grows a file in /dev/shm")
	var memory := created(SIZE)
	memory.write(pattern(16))
	_cut(memory.get_name(), SIZE * 2)
	assert_eq(memory.read(16), pattern(16), "its bytes")
	assert_eq(memory.get_size(), SIZE, "get_size")
	expect_error("SharedMemory.read(): ")
	assert_eq(memory.read(1, SIZE), PackedByteArray(), "beyond that")


## Not between two calls but in the middle of one, where no check before it can see it coming.
func test_truncation_during_a_copy_fails_it() -> void:
	if not is_linux():
		return skip("cuts a file in /dev/shm")
	const LARGE := 32 << 20
	var buffer := PackedByteArray()
	buffer.resize(LARGE)
	var actions := [
		func(memory: SharedMemory) -> int: return _code_of_read(memory),
		func(memory: SharedMemory) -> int: return memory.read_into(buffer),
		func(memory: SharedMemory) -> int: return memory.write(buffer),
		func(memory: SharedMemory) -> int: return memory.fill(7),
	]
	for round_number in 80:
		var memory := created(LARGE)
		var thread := Thread.new()
		thread.start(_cut_after.bind(memory.get_name(), randi() % 3000))
		var code := OK
		while code == OK:
			code = actions[round_number % 4].call(memory)
		thread.wait_to_finish()
		if not assert_code(code, ERR_FILE_CORRUPT, "round %d" % round_number):
			return
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")


func _check(action: Callable) -> void:
	if not is_linux():
		return skip("cuts a file in /dev/shm")
	for left: int in [0, 100, 4096]:
		var memory := created(SIZE)
		var name := memory.get_name()
		_cut(name, left)
		assert_code(action.call(memory), ERR_FILE_CORRUPT, "with %d bytes left" % left)
		assert_last_error(memory, ERR_FILE_CORRUPT, [name])
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
		assert_false(memory.is_open(), "is_open")
		assert_eq(memory.get_size(), 0, "size")
		expect_error("SharedMemory.read(): ")
		assert_code(_code_of_read(memory), ERR_UNCONFIGURED, "it holds nothing")
		assert_code(memory.create(name, 32), OK, "create works again")
		assert_eq(memory.read(2), bytes([0, 0]), "the new one's bytes")
		memory.close()
		var owner := created(16)
		assert_code(memory.open(owner.get_name()), OK, "open works again")


func _code_of_read(memory: SharedMemory) -> int:
	memory.clear_last_error()
	memory.read()
	return memory.get_last_error()


func _cut(name: String, size: int) -> void:
	var file := FileAccess.open(file_of(name), FileAccess.READ_WRITE)
	file.resize(size)
	file.close()


func _cut_after(name: String, delay_usec: int) -> void:
	OS.delay_usec(delay_usec)
	_cut(name, 4096)
