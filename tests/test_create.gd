extends "res://test_case.gd"
## create(): what it makes, and every way in which it fails.


func test_create_makes_zero_bytes() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	assert_code(memory.create(name, 1000), OK, "create")
	var zeros := PackedByteArray()
	zeros.resize(1000)
	assert_eq(memory.read(), zeros, "its bytes")
	assert_eq(memory.get_status(), SharedMemory.STATUS_CREATED, "status")
	assert_true(memory.is_open(), "is_open")
	assert_true(memory.is_current(), "is_current")
	assert_eq(memory.get_name(), name, "name")
	assert_eq(memory.get_size(), 1000, "size")
	assert_eq(memory.get_mapped_size(), 1000, "mapped size")
	assert_eq(memory.get_scope(), SharedMemory.LOCAL_SCOPE, "scope")
	assert_eq(memory.get_access(), SharedMemory.ACCESS_READ_WRITE, "access")
	assert_last_error(memory, OK)


func test_create_makes_global_segment() -> void:
	var memory := SharedMemory.new()
	assert_code(memory.create(unique_name(), 8, SharedMemory.GLOBAL_SCOPE), OK, "create")
	assert_eq(memory.get_scope(), SharedMemory.GLOBAL_SCOPE, "scope")


func test_create_makes_exact_size() -> void:
	for size: int in [1, 4095, 4096, 4097, 1 << 20]:
		var memory := SharedMemory.new()
		assert_code(memory.create(unique_name(), size), OK, "create %d" % size)
		assert_eq(memory.get_size(), size, "size")
		assert_eq(memory.get_mapped_size(), size, "mapped size")
		assert_eq(memory.read().size(), size, "read")
		assert_code(memory.write(bytes([9]), size - 1), OK, "the last byte")


func test_create_refuses_bad_size() -> void:
	for size: int in [0, -1, -4096, -9223372036854775808]:
		var memory := SharedMemory.new()
		var name := unique_name()
		expect_error("SharedMemory.create(): ")
		assert_code(memory.create(name, size), ERR_INVALID_PARAMETER, "size %d" % size)
		assert_last_error(memory, ERR_INVALID_PARAMETER, [str(size)])
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
		assert_false(SharedMemory.exists(name), "nothing is made")


func test_create_refuses_unknown_scope() -> void:
	for scope in numbers_outside("Scope"):
		var memory := SharedMemory.new()
		var name := unique_name()
		expect_error("SharedMemory.create(): ")
		var code := memory.create(name, 8, scope)
		assert_code(code, ERR_INVALID_PARAMETER, "scope %d" % scope)
		assert_last_error(memory, ERR_INVALID_PARAMETER, [str(scope)])
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
		assert_false(SharedMemory.exists(name), "nothing is made")


func test_create_fails_while_object_holds_a_segment() -> void:
	var memory := created(16)
	memory.write(pattern(16))
	var name := memory.get_name()
	var other := unique_name()
	expect_error("SharedMemory.create(): ")
	assert_code(memory.create(other, 32), ERR_ALREADY_IN_USE, "create on one that holds")
	assert_last_error(memory, ERR_ALREADY_IN_USE)
	assert_eq(memory.get_status(), SharedMemory.STATUS_CREATED, "status")
	assert_eq(memory.get_name(), name, "name")
	assert_eq(memory.get_size(), 16, "size")
	assert_eq(memory.read(), pattern(16), "its bytes")
	assert_true(memory.is_current(), "is_current")
	assert_false(SharedMemory.exists(other), "nothing is made")
	# A bad argument or not: the object is in use.
	expect_error("SharedMemory.create(): ")
	assert_ne(memory.create("", 0), OK, "create with bad arguments")
	assert_eq(memory.read(), pattern(16), "its bytes, again")


func test_create_fails_on_opener() -> void:
	var owner := created(16)
	var memory := opened(owner)
	expect_error("SharedMemory.create(): ")
	assert_code(memory.create(unique_name(), 32), ERR_ALREADY_IN_USE, "create on an opener")
	assert_eq(memory.get_status(), SharedMemory.STATUS_OPEN, "status")


func test_create_fails_while_owner_lives() -> void:
	var first := created(16)
	first.write(pattern(16))
	var second := SharedMemory.new()
	assert_code(second.create(first.get_name(), 16), ERR_ALREADY_EXISTS, "create")
	assert_last_error(second, ERR_ALREADY_EXISTS, [first.get_name()])
	assert_eq(second.get_status(), SharedMemory.STATUS_ERROR, "status")
	assert_false(second.is_open(), "is_open")
	assert_eq(first.read(), pattern(16), "the first one's bytes")
	assert_true(first.is_current(), "the first one is current")


func test_create_fails_while_other_program_has_the_name() -> void:
	if not is_linux():
		return skip("makes a file in /dev/shm")
	var name := unique_name()
	make_foreign(name, 16)
	var memory := SharedMemory.new()
	assert_code(memory.create(name, 16), ERR_ALREADY_EXISTS, "create")
	assert_true(is_in_system(name), "it is still there")
	remove_foreign(name)
	assert_code(memory.create(name, 16), OK, "create once it is gone")
	assert_last_error(memory, OK)


func test_create_fails_without_room() -> void:
	var memory := SharedMemory.new()
	for size: int in [1 << 40, 1 << 50]:
		var name := unique_name()
		assert_code(memory.create(name, size), ERR_OUT_OF_MEMORY, "create %d bytes" % size)
		assert_last_error(memory, ERR_OUT_OF_MEMORY, [str(size)])
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
		assert_false(SharedMemory.exists(name), "nothing is left")
		assert_false(is_linux() and is_in_system(name), "nothing is left in the system")
	assert_code(memory.create(unique_name(), 16), OK, "a smaller one")


func test_create_works_after_an_error() -> void:
	var memory := SharedMemory.new()
	assert_code(memory.open(unique_name()), ERR_DOES_NOT_EXIST, "open")
	assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
	assert_code(memory.create(unique_name(), 16), OK, "create")
	assert_eq(memory.get_status(), SharedMemory.STATUS_CREATED, "status")
	assert_last_error(memory, OK)


func test_create_works_after_close() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	for size: int in [16, 32, 8]:
		assert_code(memory.create(name, size), OK, "create")
		assert_eq(memory.get_size(), size, "size")
		memory.close()
