extends "res://test_case.gd"
## The calls that remove a name: close, unlink, persistent, freed objects; and successors of a name.


func test_close_removes_the_name_of_its_creator() -> void:
	var memory := created(16)
	var name := memory.get_name()
	memory.close()
	assert_false(SharedMemory.exists(name), "the name goes with the creator")
	assert_false(is_linux() and is_in_system(name), "from the system too")
	assert_eq(memory.get_status(), SharedMemory.STATUS_UNINITIALIZED, "status")
	assert_false(memory.is_open(), "is_open")
	assert_eq(memory.get_name(), "", "name")
	assert_eq(memory.get_native_name(), "", "native name")
	assert_eq(memory.get_size(), 0, "size")
	assert_eq(memory.get_mapped_size(), 0, "mapped size")
	assert_false(memory.is_current(), "is_current")
	memory.close()
	memory.close()
	assert_eq(memory.get_status(), SharedMemory.STATUS_UNINITIALIZED, "closed again")
	assert_last_error(memory, OK)


func test_close_of_new_object_does_nothing() -> void:
	var memory := SharedMemory.new()
	memory.close()
	assert_eq(memory.get_status(), SharedMemory.STATUS_UNINITIALIZED, "status")
	assert_last_error(memory, OK)


func test_close_clears_the_status_of_an_error() -> void:
	var memory := SharedMemory.new()
	memory.open(unique_name())
	assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
	memory.close()
	assert_eq(memory.get_status(), SharedMemory.STATUS_UNINITIALIZED, "status after close")
	assert_last_error(memory, ERR_DOES_NOT_EXIST)


func test_getters_of_closed_global_segment_have_defaults() -> void:
	var memory := created(16, SharedMemory.GLOBAL_SCOPE)
	memory.close()
	assert_eq(memory.get_scope(), SharedMemory.LOCAL_SCOPE, "scope")
	var owner := created(16)
	memory = opened(owner, SharedMemory.ACCESS_READ_ONLY)
	memory.close()
	assert_eq(memory.get_access(), SharedMemory.ACCESS_READ_WRITE, "access")


func test_freed_creator_removes_the_name() -> void:
	var memory := created(16)
	var name := memory.get_name()
	memory = null
	assert_false(SharedMemory.exists(name), "the name goes with the object")


func test_freed_opener_keeps_the_name() -> void:
	var owner := created(16)
	var memory := opened(owner)
	memory = null
	assert_true(SharedMemory.exists(owner.get_name()), "the name stays")
	assert_true(owner.is_current(), "is_current")


func test_opener_keeps_memory_after_close_of_creator() -> void:
	var owner := created(16)
	owner.write(pattern(16))
	var memory := opened(owner)
	owner.close()
	assert_true(memory.is_open(), "is_open")
	assert_false(memory.is_current(), "is_current")
	assert_eq(memory.read(), pattern(16), "its bytes")
	assert_code(memory.write(bytes([1])), OK, "write")
	assert_eq(memory.read(1), bytes([1]), "read after write")
	assert_eq(memory.get_status(), SharedMemory.STATUS_OPEN, "status")


func test_is_current_follows_the_name() -> void:
	var first := created(16)
	var name := first.get_name()
	var peer := opened(first)
	assert_true(peer.is_current(), "at first")
	first.close()
	assert_false(peer.is_current(), "the name is gone")
	var second := SharedMemory.new()
	assert_code(second.create(name, 16), OK, "create again")
	assert_false(peer.is_current(), "the name leads to another one")
	assert_true(second.is_current(), "the new one")
	peer.write(pattern(16))
	assert_eq(second.read(1), bytes([0]), "they are two")
	peer.close()
	assert_code(peer.open(name), OK, "reopened")
	assert_true(peer.is_current(), "reopened")


func test_creator_can_unlink() -> void:
	var memory := created(16)
	var name := memory.get_name()
	var peer := opened(memory)
	memory.unlink()
	assert_false(SharedMemory.exists(name), "the name is gone")
	assert_true(memory.is_open(), "is_open")
	assert_false(memory.is_current(), "is_current")
	assert_eq(memory.get_status(), SharedMemory.STATUS_CREATED, "status")
	memory.write(bytes([5]))
	assert_eq(peer.read(1), bytes([5]), "an opener keeps the bytes")
	memory.unlink()
	memory.close()
	memory.unlink()
	assert_eq(peer.read(1), bytes([5]), "an opener keeps the bytes after close")
	assert_last_error(memory, OK)


func test_opener_can_unlink() -> void:
	var owner := created(16)
	var peer := opened(owner)
	peer.unlink()
	assert_false(SharedMemory.exists(owner.get_name()), "the name is gone")
	assert_false(owner.is_current(), "is_current")
	assert_code(owner.write(bytes([5])), OK, "the owner keeps it")
	assert_eq(peer.read(1), bytes([5]), "the opener keeps it")


func test_unlink_of_new_object_does_nothing() -> void:
	var memory := SharedMemory.new()
	memory.unlink()
	assert_last_error(memory, OK)
	assert_eq(memory.get_status(), SharedMemory.STATUS_UNINITIALIZED, "status")


func test_unlink_after_close_removes_persistent_name() -> void:
	var memory := SharedMemory.new()
	memory.persistent = true
	var name := unique_name()
	memory.create(name, 16)
	memory.close()
	assert_true(SharedMemory.exists(name), "it is persistent")
	memory.unlink()
	assert_false(SharedMemory.exists(name), "unlinked")


func test_opener_can_unlink_after_close() -> void:
	var owner := created(16)
	var peer := opened(owner)
	peer.close()
	assert_true(owner.is_current(), "close removes nothing")
	peer.unlink()
	assert_false(SharedMemory.exists(owner.get_name()), "unlinked")


func test_unlink_after_close_tries_once() -> void:
	var name := unique_name()
	var memory := SharedMemory.new()
	memory.create(name, 16)
	memory.close()
	memory.unlink()
	var successor := SharedMemory.new()
	assert_code(successor.create(name, 16), OK, "a successor")
	memory.unlink()
	assert_true(successor.is_current(), "the second call does nothing")


func test_unlink_after_close_spares_successor() -> void:
	var name := unique_name()
	var memory := SharedMemory.new()
	memory.create(name, 16)
	memory.close()
	var successor := SharedMemory.new()
	assert_code(successor.create(name, 16), OK, "a successor")
	memory.unlink()
	assert_true(successor.is_current(), "not what this object had")


func test_unlink_spares_successor() -> void:
	var memory := created(16)
	var name := memory.get_name()
	var peer := opened(memory)
	memory.unlink()
	var successor := SharedMemory.new()
	assert_code(successor.create(name, 16), OK, "a successor")
	memory.unlink()
	peer.unlink()
	assert_true(successor.is_current(), "not what these objects had")
	memory.close()
	assert_true(successor.is_current(), "nor does close() remove it")
	assert_true(SharedMemory.exists(name), "it is there")


func test_freed_object_spares_successor() -> void:
	var memory := created(16)
	var name := memory.get_name()
	memory.unlink()
	var successor := SharedMemory.new()
	assert_code(successor.create(name, 16), OK, "a successor")
	memory = null
	assert_true(successor.is_current(), "not what that object had")


func test_close_and_unlink_spare_other_programs_segment() -> void:
	if not is_linux():
		return skip("makes a file in /dev/shm")
	var memory := created(16)
	var name := memory.get_name()
	remove_foreign(name)
	make_foreign(name, 16)
	assert_false(memory.is_current(), "is_current")
	memory.close()
	assert_true(is_in_system(name), "close")
	memory.unlink()
	assert_true(is_in_system(name), "unlink")
	remove_foreign(name)


func test_persistent_segment_stays_after_its_creator() -> void:
	var memory := SharedMemory.new()
	memory.persistent = true
	var name := unique_name()
	assert_code(memory.create(name, 16), OK, "create")
	memory.write(pattern(16))
	memory.close()
	assert_true(SharedMemory.exists(name), "the name stays after close")
	assert_true(memory.persistent, "the property stays")
	memory = null
	assert_true(SharedMemory.exists(name), "the name stays after the object")

	var other := SharedMemory.new()
	assert_code(other.create(name, 16), ERR_ALREADY_EXISTS, "it is never reclaimed")
	assert_code(other.open_or_create(name, 16), OK, "open_or_create")
	assert_eq(other.get_status(), SharedMemory.STATUS_OPEN, "it was opened")
	assert_eq(other.read(), pattern(16), "its bytes")
	other.close()
	assert_true(SharedMemory.exists(name), "an opener's close removes nothing")
	assert_code(SharedMemory.remove(name), OK, "remove")
	assert_false(SharedMemory.exists(name), "removed")


func test_persistent_can_change_while_open() -> void:
	var memory := created(16)
	var name := memory.get_name()
	memory.persistent = true
	memory.close()
	assert_true(SharedMemory.exists(name), "the name stays")
	memory.unlink()

	memory.persistent = true
	assert_code(memory.create(name, 16), OK, "create")
	memory.persistent = false
	memory.close()
	assert_false(SharedMemory.exists(name), "the name goes")


func test_persistent_of_opener_has_no_effect() -> void:
	var owner := created(16)
	var peer := opened(owner)
	peer.persistent = true
	peer.close()
	owner.close()
	assert_false(SharedMemory.exists(owner.get_name()), "an opener can't keep it")

	owner.persistent = true
	assert_code(owner.create(unique_name(), 16), OK, "create")
	var name := owner.get_name()
	assert_code(peer.open(name), OK, "open")
	peer.persistent = false
	peer.close()
	owner.close()
	assert_true(SharedMemory.exists(name), "an opener can't end it")
	owner.unlink()


func test_mode_follows_scope_and_persistent() -> void:
	if not is_linux():
		return skip("reads a mode in /dev/shm")
	const STICKY := FileAccess.UNIX_RESTRICTED_DELETE
	const OWNER := FileAccess.UNIX_READ_OWNER | FileAccess.UNIX_WRITE_OWNER
	const GROUP := FileAccess.UNIX_READ_GROUP | FileAccess.UNIX_WRITE_GROUP
	const OTHER := FileAccess.UNIX_READ_OTHER | FileAccess.UNIX_WRITE_OTHER
	var local := created(16)
	assert_eq(_mode(local), STICKY | OWNER, "local")
	var global := created(16, SharedMemory.GLOBAL_SCOPE)
	assert_eq(_mode(global), STICKY | OWNER | GROUP | OTHER, "global")
	local.persistent = true
	assert_eq(_mode(local), OWNER, "local and persistent")
	local.persistent = false
	assert_eq(_mode(local), STICKY | OWNER, "local and no longer persistent")
	global.close()
	global.persistent = true
	global.create(unique_name(), 16, SharedMemory.GLOBAL_SCOPE)
	assert_eq(_mode(global), OWNER | GROUP | OTHER, "global and persistent")
	global.unlink()


func test_properties_outlive_close() -> void:
	var memory := SharedMemory.new()
	memory.persistent = true
	memory.backend = SharedMemory.BACKEND_MEMFD
	memory.close()
	assert_true(memory.persistent, "persistent")
	assert_eq(memory.backend, SharedMemory.BACKEND_MEMFD, "backend")
	assert_true(memory.is_persistent(), "is_persistent")
	memory.set_persistent(false)
	assert_false(memory.persistent, "set_persistent")
	memory.set_backend(SharedMemory.BACKEND_NATIVE)
	assert_eq(memory.get_backend(), SharedMemory.BACKEND_NATIVE, "set_backend")


func test_set_backend_refuses_unknown_backend() -> void:
	var memory := SharedMemory.new()
	memory.backend = SharedMemory.BACKEND_FILE
	for backend: int in numbers_outside("Backend") + [-9223372036854775808]:
		memory.clear_last_error()
		expect_error("SharedMemory.set_backend(): ")
		memory.set_backend(backend)
		assert_last_error(memory, ERR_INVALID_PARAMETER, [str(backend)])
		assert_eq(memory.backend, SharedMemory.BACKEND_FILE, "unchanged")
		expect_error("SharedMemory.set_backend(): ")
		memory.set("backend", backend)
		assert_eq(memory.backend, SharedMemory.BACKEND_FILE, "unchanged")
	assert_eq(memory.get_status(), SharedMemory.STATUS_UNINITIALIZED, "status")


func test_set_backend_fails_while_open() -> void:
	var memory := created(16)
	for backend: SharedMemory.Backend in [SharedMemory.BACKEND_FILE, SharedMemory.BACKEND_NATIVE]:
		expect_error("SharedMemory.set_backend(): ")
		memory.backend = backend
		assert_last_error(memory, ERR_ALREADY_IN_USE)
		assert_eq(memory.backend, SharedMemory.BACKEND_NATIVE, "unchanged")
	assert_eq(memory.get_status(), SharedMemory.STATUS_CREATED, "status")
	memory.close()
	memory.backend = SharedMemory.BACKEND_FILE
	assert_eq(memory.backend, SharedMemory.BACKEND_FILE, "once it is closed")


func _mode(memory: SharedMemory) -> int:
	return FileAccess.get_unix_permissions(file_of(memory.get_name()))
