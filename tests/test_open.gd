extends "res://test_case.gd"
## open() and open_or_create(): what they find, and every way in which they fail.


func test_open_maps_the_whole_segment() -> void:
	var owner := created(100)
	owner.write(pattern(100))
	var memory := SharedMemory.new()
	assert_code(memory.open(owner.get_name()), OK, "open")
	assert_eq(memory.get_status(), SharedMemory.STATUS_OPEN, "status")
	assert_true(memory.is_open(), "is_open")
	assert_true(memory.is_current(), "is_current")
	assert_eq(memory.get_name(), owner.get_name(), "name")
	assert_eq(memory.get_native_name(), owner.get_native_name(), "native name")
	assert_eq(memory.get_size(), 100, "size")
	assert_eq(memory.get_mapped_size(), 100, "mapped size")
	assert_eq(memory.get_access(), SharedMemory.ACCESS_READ_WRITE, "access")
	assert_eq(memory.read(), pattern(100), "its bytes")
	assert_code(memory.write(bytes([77]), 99), OK, "write")
	assert_eq(owner.read(1, 99), bytes([77]), "read of the owner")


func test_open_accepts_the_exact_size() -> void:
	var owner := created(100)
	var memory := SharedMemory.new()
	assert_code(memory.open(owner.get_name(), 100), OK, "open")
	assert_eq(memory.get_size(), 100, "size")


func test_open_can_map_a_prefix() -> void:
	var owner := created(100)
	owner.write(pattern(100))
	var memory := SharedMemory.new()
	assert_code(memory.open(owner.get_name(), 10), OK, "open")
	assert_eq(memory.get_size(), 10, "size")
	assert_eq(memory.get_mapped_size(), 100, "mapped size")
	assert_eq(memory.read(), pattern(100).slice(0, 10), "its bytes")
	expect_error("SharedMemory.read(): ")
	assert_eq(memory.read(1, 10), PackedByteArray(), "read beyond the prefix")
	expect_error("SharedMemory.write(): ")
	assert_code(memory.write(bytes([1]), 10), ERR_INVALID_PARAMETER, "write beyond the prefix")
	assert_eq(owner.read(), pattern(100), "the owner's bytes")


func test_open_refuses_more_than_the_segment_has() -> void:
	var owner := created(100)
	for size: int in [101, 4096, 1 << 40, 9223372036854775807]:
		var memory := SharedMemory.new()
		# Not printed: the other program may be about to replace it by a larger one.
		assert_code(memory.open(owner.get_name(), size), ERR_INVALID_PARAMETER, "open")
		assert_last_error(memory, ERR_INVALID_PARAMETER, [str(size), "100"])
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")


func test_open_read_only_opens_for_reading() -> void:
	var owner := created(100)
	owner.write(pattern(100))
	for size: int in [0, 10]:
		var memory := SharedMemory.new()
		assert_code(memory.open_read_only(owner.get_name(), size), OK, "open")
		assert_eq(memory.get_access(), SharedMemory.ACCESS_READ_ONLY, "access")
		assert_eq(memory.read(), pattern(100).slice(0, size if size else 100), "bytes")
		assert_code(memory.write(bytes([1])), ERR_UNAUTHORIZED, "write")
	var untyped: Variant = SharedMemory.new()
	assert_code(untyped.open_read_only(owner.get_name()), OK, "untyped")
	assert_eq(untyped.get_size(), 100, "all of it")
	assert_code(SharedMemory.new().open_read_only(unique_name()), ERR_DOES_NOT_EXIST, "absent")
	expect_error("SharedMemory.open_read_only(): ")
	var code := SharedMemory.new().open_read_only(owner.get_name(), -1)
	assert_code(code, ERR_INVALID_PARAMETER, "a bad size")


func test_open_refuses_bad_size() -> void:
	var owner := created(100)
	for size: int in [-1, -9223372036854775808]:
		var memory := SharedMemory.new()
		expect_error("SharedMemory.open(): ")
		assert_code(memory.open(owner.get_name(), size), ERR_INVALID_PARAMETER, "open")
		assert_last_error(memory, ERR_INVALID_PARAMETER, [str(size)])
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")


func test_open_refuses_unknown_access() -> void:
	var owner := created(100)
	for access in numbers_outside("Access"):
		var memory := SharedMemory.new()
		expect_error("SharedMemory.open(): ")
		assert_code(memory.open(owner.get_name(), 0, access), ERR_INVALID_PARAMETER, "open")
		assert_last_error(memory, ERR_INVALID_PARAMETER, [str(access)])


func test_open_fails_until_name_exists() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	# Retried in a loop, it must not flood the console.
	for attempt in 3:
		assert_code(memory.open(name), ERR_DOES_NOT_EXIST, "open")
		assert_last_error(memory, ERR_DOES_NOT_EXIST, [name])
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
	var owner := SharedMemory.new()
	assert_code(owner.create(name, 8), OK, "create")
	assert_code(memory.open(name), OK, "open once it is there")
	assert_eq(memory.get_status(), SharedMemory.STATUS_OPEN, "status")
	assert_last_error(memory, OK)


func test_open_is_busy_until_segment_has_a_size() -> void:
	if not is_linux():
		return skip("makes a file in /dev/shm")
	var name := unique_name()
	make_foreign(name, 0)
	var memory := SharedMemory.new()
	var fastest := 1000
	for attempt in 5:
		var began := Time.get_ticks_msec()
		assert_code(memory.open(name), ERR_BUSY, "open")
		fastest = mini(fastest, Time.get_ticks_msec() - began)
	assert_true(fastest < 20, "at once, not after %d ms" % fastest)
	assert_last_error(memory, ERR_BUSY, [name])
	assert_code(memory.open(name, 16), ERR_BUSY, "open with a size")
	assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
	var file := FileAccess.open(file_of(name), FileAccess.READ_WRITE)
	file.resize(16)
	file.close()
	assert_code(memory.open(name), OK, "open once it has a size")
	assert_eq(memory.get_size(), 16, "size")
	remove_foreign(name)


func test_open_fails_while_object_holds_a_segment() -> void:
	var first := created(16)
	var second := created(32)
	var memory := opened(first)
	expect_error("SharedMemory.open(): ")
	assert_code(memory.open(second.get_name()), ERR_ALREADY_IN_USE, "open on an opener")
	assert_last_error(memory, ERR_ALREADY_IN_USE)
	assert_eq(memory.get_name(), first.get_name(), "name")
	assert_eq(memory.get_size(), 16, "size")
	assert_eq(memory.get_status(), SharedMemory.STATUS_OPEN, "status")
	expect_error("SharedMemory.open(): ")
	assert_code(first.open(second.get_name()), ERR_ALREADY_IN_USE, "open on an owner")
	assert_eq(first.get_status(), SharedMemory.STATUS_CREATED, "status")
	assert_true(first.is_current(), "is_current")
	expect_error("SharedMemory.open_or_create(): ")
	var code := memory.open_or_create(second.get_name(), 32)
	assert_code(code, ERR_ALREADY_IN_USE, "open_or_create on an opener")


func test_read_only_refuses_write() -> void:
	var owner := created(16)
	owner.write(pattern(16))
	var memory := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	assert_eq(memory.get_access(), SharedMemory.ACCESS_READ_ONLY, "access")
	assert_eq(memory.read(), pattern(16), "its bytes")
	var buffer := PackedByteArray()
	buffer.resize(16)
	assert_code(memory.read_into(buffer), OK, "read_into")
	assert_eq(buffer, pattern(16), "its bytes")
	assert_last_error(memory, OK)
	assert_code(memory.write(bytes([1])), ERR_UNAUTHORIZED, "write")
	assert_last_error(memory, ERR_UNAUTHORIZED)
	assert_code(memory.fill(0), ERR_UNAUTHORIZED, "fill")
	assert_eq(memory.get_status(), SharedMemory.STATUS_OPEN, "status")
	assert_eq(owner.read(), pattern(16), "nothing was written")
	memory.close()
	assert_code(memory.open(owner.get_name()), OK, "open for writing")
	assert_code(memory.write(bytes([1])), OK, "write")


func test_scope_of_opened_segment_is_known() -> void:
	if not is_linux():
		return skip("told by the permission bits of POSIX")
	var local := created(8)
	var global := created(8, SharedMemory.GLOBAL_SCOPE)
	assert_eq(opened(local).get_scope(), SharedMemory.LOCAL_SCOPE, "a local one")
	assert_eq(opened(global).get_scope(), SharedMemory.GLOBAL_SCOPE, "a global one")


func test_many_openers_share_the_bytes() -> void:
	var owner := created(16)
	var openers: Array[SharedMemory] = []
	for index in 20:
		openers.append(opened(owner))
		openers[index].write(bytes([index + 1]), 3)
		for other: SharedMemory in openers:
			assert_eq(other.read(1, 3), bytes([index + 1]), "read of another opener")
	openers.clear()
	assert_eq(owner.read(1, 3), bytes([20]), "read of the owner after they have closed")
	assert_true(owner.is_current(), "is_current")


func test_open_or_create_makes_an_absent_segment() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	assert_code(memory.open_or_create(name, 16), OK, "open_or_create")
	assert_eq(memory.get_status(), SharedMemory.STATUS_CREATED, "status")
	assert_eq(memory.get_size(), 16, "size")
	assert_eq(memory.get_scope(), SharedMemory.LOCAL_SCOPE, "scope")
	memory.close()
	assert_false(SharedMemory.exists(name), "gone with its creator")
	assert_code(memory.open_or_create(name, 16, SharedMemory.GLOBAL_SCOPE), OK, "global")
	assert_eq(memory.get_scope(), SharedMemory.GLOBAL_SCOPE, "scope")


func test_open_or_create_opens_a_segment() -> void:
	var owner := created(16)
	var memory := SharedMemory.new()
	assert_code(memory.open_or_create(owner.get_name(), 16), OK, "open_or_create")
	assert_eq(memory.get_status(), SharedMemory.STATUS_OPEN, "status")
	memory.write(bytes([5]))
	assert_eq(owner.read(1), bytes([5]), "one segment")
	memory.close()
	assert_true(owner.is_current(), "an opener's close removes nothing")


func test_open_or_create_refuses_a_larger_size() -> void:
	var owner := created(16)
	var memory := SharedMemory.new()
	assert_code(memory.open_or_create(owner.get_name(), 8), OK, "a prefix")
	assert_eq(memory.get_size(), 8, "size")
	assert_eq(memory.get_mapped_size(), 16, "mapped size")
	memory.close()
	var code := memory.open_or_create(owner.get_name(), 17)
	assert_code(code, ERR_INVALID_PARAMETER, "more than there is")
	assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")


func test_open_or_create_refuses_bad_arguments() -> void:
	var name := unique_name()
	var refused := [["", 8, 0], ["a/b", 8, 0], [name, 0, 0], [name, -1, 0]]
	for scope in numbers_outside("Scope"):
		refused.append([name, 8, scope])
	for arguments: Array in refused:
		var memory := SharedMemory.new()
		expect_error("SharedMemory.open_or_create(): ")
		var code := memory.open_or_create(arguments[0], arguments[1], arguments[2])
		assert_code(code, ERR_INVALID_PARAMETER, "open_or_create(%s)" % [arguments])
		assert_last_error(memory, ERR_INVALID_PARAMETER)
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
	assert_false(SharedMemory.exists(name), "nothing is made")


func test_open_or_create_is_busy_until_segment_has_a_size() -> void:
	if not is_linux():
		return skip("makes a file in /dev/shm")
	var name := unique_name()
	make_foreign(name, 0)
	var memory := SharedMemory.new()
	var began := Time.get_ticks_msec()
	assert_code(memory.open_or_create(name, 16), ERR_BUSY, "open_or_create")
	var took := Time.get_ticks_msec() - began
	# As much longer as a busy machine needs.
	assert_true(took >= 40 and took < 2000, "retried for about 50 ms: %d" % took)
	assert_true(is_in_system(name), "the other program's segment stays")
	remove_foreign(name)


func test_open_or_create_fails_without_room() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	assert_code(memory.open_or_create(name, 1 << 40), ERR_OUT_OF_MEMORY, "open_or_create")
	assert_false(SharedMemory.exists(name), "nothing is left")
