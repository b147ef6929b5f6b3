extends "res://test_case.gd"
## exists(), remove(), list_names() and generate_name(): what needs no object.


func test_exists_follows_the_name() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	assert_false(SharedMemory.exists(name), "exists before create")
	memory.create(name, 16)
	assert_true(SharedMemory.exists(name), "while it is there")
	assert_true(SharedMemory.exists(name, SharedMemory.LOCAL_SCOPE), "local")
	var native := SharedMemory.BACKEND_NATIVE
	assert_true(SharedMemory.exists(name, SharedMemory.LOCAL_SCOPE, native), "native")
	memory.close()
	assert_false(SharedMemory.exists(name), "exists after close")


func test_exists_refuses_bad_arguments() -> void:
	for name: String in ["", "/", "a/b", "x".repeat(300)]:
		assert_false(SharedMemory.exists(name), "exists '%s'" % name)
	var memory := created(16)
	for value in numbers_outside("Scope"):
		expect_error("SharedMemory.exists(): ")
		assert_false(SharedMemory.exists(memory.get_name(), value), "scope %d" % value)
	for value in numbers_outside("Backend"):
		expect_error("SharedMemory.exists(): ")
		assert_false(SharedMemory.exists(memory.get_name(), 0, value), "backend %d" % value)


func test_segment_without_a_size_exists() -> void:
	if not is_linux():
		return skip("makes a file in /dev/shm")
	var name := unique_name()
	make_foreign(name, 0)
	assert_true(SharedMemory.exists(name), "exists")
	assert_code(SharedMemory.remove(name), OK, "remove")
	assert_false(is_in_system(name), "removed")


func test_remove_removes_the_name() -> void:
	var memory := created(16)
	var name := memory.get_name()
	assert_code(SharedMemory.remove(name), OK, "remove")
	assert_false(SharedMemory.exists(name), "removed")
	assert_false(memory.is_current(), "is_current")
	assert_code(memory.write(bytes([1])), OK, "an opener can still write")
	assert_code(SharedMemory.remove(name), ERR_DOES_NOT_EXIST, "remove again")
	var next := SharedMemory.new()
	assert_code(next.create(name, 16), OK, "the name is free")
	memory.close()
	assert_true(next.is_current(), "and another's close does not remove it")


func test_remove_removes_global_segment() -> void:
	var memory := created(16, SharedMemory.GLOBAL_SCOPE)
	var code := SharedMemory.remove(memory.get_name(), SharedMemory.GLOBAL_SCOPE)
	assert_code(code, OK, "remove")
	assert_false(SharedMemory.exists(memory.get_name()), "removed")


func test_remove_refuses_bad_arguments() -> void:
	for name: String in ["", "/", "a/b", "x".repeat(300)]:
		expect_error("SharedMemory.remove(): ")
		assert_code(SharedMemory.remove(name), ERR_INVALID_PARAMETER, "remove '%s'" % name)
	var memory := created(16)
	for value in numbers_outside("Scope"):
		expect_error("SharedMemory.remove(): ")
		var code := SharedMemory.remove(memory.get_name(), value)
		assert_code(code, ERR_INVALID_PARAMETER, "scope %d" % value)
	for value in numbers_outside("Backend"):
		expect_error("SharedMemory.remove(): ")
		var code := SharedMemory.remove(memory.get_name(), 0, value)
		assert_code(code, ERR_INVALID_PARAMETER, "backend %d" % value)
	assert_true(memory.is_current(), "nothing is removed")


func test_folder_is_not_a_segment() -> void:
	if not is_linux():
		return skip("makes files in /dev/shm")
	var name := unique_name()
	DirAccess.make_dir_absolute(file_of(name))
	assert_code(SharedMemory.remove(name), ERR_CANT_OPEN, "remove a folder")
	assert_true(DirAccess.dir_exists_absolute(file_of(name)), "it is left alone")
	assert_false(SharedMemory.exists(name), "exists")
	assert_false(name in SharedMemory.list_names(), "list_names")
	var memory := SharedMemory.new()
	assert_code(memory.open(name), ERR_CANT_OPEN, "open")
	assert_code(memory.create(name, 16), ERR_ALREADY_EXISTS, "create")
	DirAccess.remove_absolute(file_of(name))


func test_list_names_has_each_segment() -> void:
	if not is_linux():
		return skip("the system can't list them")
	var memory := created(16)
	var foreign := unique_name()
	make_foreign(foreign, 16)
	var names := SharedMemory.list_names()
	assert_true(memory.get_name() in names, "one of our own")
	assert_true(foreign in names, "one that another program made")
	assert_false("." in names or ".." in names or "" in names, "segments only")
	assert_eq(names.count(memory.get_name()), 1, "each once")
	remove_foreign(foreign)
	# The C library keeps its named semaphores in the same place.
	var semaphore := "sem." + unique_name()
	make_foreign(semaphore, 32)
	assert_false(semaphore in SharedMemory.list_names(), "a semaphore is no segment")
	remove_foreign(semaphore)
	memory.close()
	assert_false(foreign in SharedMemory.list_names(), "listed after its removal")


func test_generate_name_is_new_each_time() -> void:
	var seen := {}
	for attempt in 1000:
		seen[SharedMemory.generate_name()] = true
	assert_eq(seen.size(), 1000, "each is another")
	for name: String in seen:
		var fits := name.begins_with("godot") and name.to_utf8_buffer().size() <= 30
		if not assert_true(fits and name.length() >= 20, "'%s' fits everywhere" % name):
			break


func test_generate_name_with_prefix() -> void:
	# The start of the run's prefix: the runner finds it if it is left.
	var start := prefix.get_slice("_", 0)
	var name := SharedMemory.generate_name(start)
	assert_true(name.begins_with(start), name)
	assert_true(name.length() > start.length() + 12, "hard to guess")
	var memory := SharedMemory.new()
	assert_code(memory.create(name, 16), OK, "create")


func test_generate_name_refuses_bad_prefix() -> void:
	for bad: String in ["x".repeat(31), "x".repeat(1000), "a/b", "a\\b", "é".repeat(15)]:
		expect_error("SharedMemory.generate_name(): ")
		assert_eq(SharedMemory.generate_name(bad), "", "prefix '%s'" % bad)


func test_static_methods_work_on_an_object() -> void:
	var memory: Variant = created(16)
	assert_true(memory.exists(memory.get_name()), "a static method of an object")
	assert_true(memory.call("exists", memory.get_name()), "by its name")
	var callable := SharedMemory.exists
	assert_true(callable.call(memory.get_name()), "a Callable of the class")
	assert_code(memory.remove(memory.get_name()), OK, "remove")
