extends "res://test_case.gd"
## Memory in files, of System V, and without a name.

const FILE := SharedMemory.BACKEND_FILE
const SYSV := SharedMemory.BACKEND_SYSV
const MEMFD := SharedMemory.BACKEND_MEMFD

## Then each test object is its own.
static var _has_no_runtime_folder := OS.get_environment("XDG_RUNTIME_DIR").is_empty()

var _folder := "user://%s" % Crypto.new().generate_random_bytes(8).hex_encode()


func _init() -> void:
	DirAccess.make_dir_absolute(_folder)
	if _has_no_runtime_folder:
		OS.set_environment("XDG_RUNTIME_DIR", ProjectSettings.globalize_path(_folder))


func _notification(what: int) -> void:
	if what == NOTIFICATION_PREDELETE:
		DirAccess.remove_absolute(_folder)


## Each that this system has, with a name in it that nobody has.
func backends() -> Dictionary:
	var all := {FILE: _folder.path_join(unique_name())}
	if is_linux():
		all.merge({SYSV: unique_name(), MEMFD: unique_name()})
	return all


func made(backend: SharedMemory.Backend) -> SharedMemory:
	var memory := SharedMemory.new()
	memory.backend = backend
	return memory


func test_bytes_are_read_as_written() -> void:
	var all := backends()
	for backend: SharedMemory.Backend in all:
		var name: String = all[backend]
		var ours := made(backend)
		assert_code(ours.open(name), ERR_DOES_NOT_EXIST, "open of nothing")
		assert_code(ours.create(name, 100), OK, "create in %d" % backend)
		assert_eq(ours.get_status(), SharedMemory.STATUS_CREATED, "status")
		assert_eq(ours.get_size(), 100, "size")
		assert_eq(ours.read(), zeros(100), "all zero")
		assert_true(SharedMemory.exists(name, 0, backend), "exists")
		assert_false(SharedMemory.exists(name), "not among the others")
		var theirs := made(backend)
		assert_code(theirs.create(name, 100), ERR_ALREADY_EXISTS, "taken")
		assert_code(theirs.open(name), OK, "open")
		ours.write_string("to them")
		assert_eq(theirs.read_string(), "to them", "read")
		theirs.encode_u32(50, 7)
		assert_eq(ours.decode_u32(50), 7, "written")
		assert_true(ours.is_current() and theirs.is_current(), "is_current")
		ours.unlink()
		assert_false(ours.is_current(), "unlinked")
		assert_eq(theirs.decode_u32(50), 7, "an opener keeps the bytes")
		assert_code(made(backend).open(name), ERR_DOES_NOT_EXIST, "open after unlink")
		assert_code(
			SharedMemory.remove(name, 0, backend), ERR_DOES_NOT_EXIST, "remove after unlink"
		)


func test_open_or_create_makes_or_opens() -> void:
	var all := backends()
	for backend: SharedMemory.Backend in all:
		var first := made(backend)
		var second := made(backend)
		assert_code(first.open_or_create(all[backend], 100), OK, "first")
		assert_code(second.open_or_create(all[backend], 100), OK, "second")
		assert_eq(second.get_status(), SharedMemory.STATUS_OPEN, "second")
		first.write_string("x")
		assert_eq(second.read_string(), "x", "one memory")
		first.unlink()


func test_read_only_refuses_write() -> void:
	var all := backends()
	for backend: SharedMemory.Backend in all:
		var owner := made(backend)
		owner.create(all[backend], 100)
		var reader := made(backend)
		assert_code(reader.open(all[backend], 0, SharedMemory.ACCESS_READ_ONLY), OK, "open")
		assert_code(reader.write_string("x"), ERR_UNAUTHORIZED, "write")
		assert_eq(reader.get_access(), SharedMemory.ACCESS_READ_ONLY, "access")
		owner.unlink()


func test_bad_arguments_fail_with_each_backend() -> void:
	var all := backends()
	for backend: SharedMemory.Backend in all:
		var memory := made(backend)
		expect_error('SharedMemory.create(): the name "" is empty')
		assert_code(memory.create("", 100), ERR_INVALID_PARAMETER, "no name")
		expect_error("SharedMemory.create(): size must be 1 or more")
		assert_code(memory.create(all[backend], 0), ERR_INVALID_PARAMETER, "no size")
		assert_code(memory.create(all[backend], 1 << 46), ERR_OUT_OF_MEMORY, "too much")
		assert_false(SharedMemory.exists(all[backend], 0, backend), "nothing is left")
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
		expect_error("SharedMemory.read(): no segment is open, since an earlier call failed")
		memory.read()
		memory.create(all[backend], 100)
		assert_code(made(backend).open(all[backend], 101), ERR_INVALID_PARAMETER, "more than all")
		memory.unlink()


func test_name_stays_or_goes_by_backend() -> void:
	var all := backends()
	for backend: SharedMemory.Backend in all:
		var name: String = all[backend]
		var memory := made(backend)
		memory.create(name, 100)
		memory.close()
		assert_eq(SharedMemory.exists(name, 0, backend), backend == FILE, "after close")
		if backend == FILE:
			assert_code(SharedMemory.remove(name, 0, backend), OK, "remove")
		memory.create(name, 100)
		memory = null
		assert_eq(SharedMemory.exists(name, 0, backend), backend == FILE, "after free")
		if backend == FILE:
			assert_code(SharedMemory.remove(name, 0, backend), OK, "remove")
		if backend == SYSV:
			memory = made(backend)
			memory.persistent = true
			memory.create(name, 100)
			memory.close()
			assert_true(SharedMemory.exists(name, 0, backend), "persistent")
			assert_code(SharedMemory.remove(name, 0, backend), OK, "remove")


func test_memfd_warns_that_it_is_not_persistent() -> void:
	if not is_linux():
		return skip("there is none here")
	var memory := made(MEMFD)
	memory.persistent = true
	allow_errors(
		"SharedMemory.persistent: this backend's memory is freed when the last process closes it"
	)
	assert_code(memory.create(unique_name(), 100), OK, "create")
	settle()
	assert_true(memory.persistent, "the property stays as it was set")
	memory.close()
	assert_code(memory.create(unique_name(), 100), OK, "warns once")
	memory.persistent = false
	assert_code(memory.get_last_error(), OK, "works")
	var global := made(MEMFD).create(unique_name(), 9, SharedMemory.GLOBAL_SCOPE)
	assert_code(global, ERR_UNAVAILABLE, "for others")


func test_paths_of_files_are_globalized() -> void:
	var path := _folder.path_join(unique_name())
	var memory := made(FILE)
	assert_code(memory.create(path, 100), OK, "user://")
	assert_eq(memory.get_name(), ProjectSettings.globalize_path(path), "get_name")
	memory.write_string("in the file")
	assert_true(FileAccess.get_file_as_string(path).begins_with("in the file"), "FileAccess")
	assert_code(made(FILE).open(ProjectSettings.globalize_path(path)), OK, "the system's path")
	FileAccess.open(path, FileAccess.READ_WRITE).store_string("from")
	assert_eq(memory.read_string(), "fromhe file", "the same memory")
	memory.close()
	assert_true(FileAccess.file_exists(path), "a file stays")
	assert_code(made(FILE).create("user://no/such/folder", 100), ERR_CANT_CREATE, "no folder")
	assert_code(made(FILE).open(_folder), ERR_CANT_OPEN, "a folder")
	assert_code(SharedMemory.remove(path, 0, FILE), OK, "remove")
	assert_false(FileAccess.file_exists(path), "the file exists")


func test_backends_of_other_systems_are_unavailable() -> void:
	if is_linux():
		return skip("all of them are")
	for backend: SharedMemory.Backend in [SYSV, MEMFD]:
		var name := unique_name()
		assert_code(made(backend).create(name, 100), ERR_UNAVAILABLE, "create")
		assert_code(made(backend).open(name), ERR_UNAVAILABLE, "open")
		assert_code(made(backend).open_or_create(name, 100), ERR_UNAVAILABLE, "open_or_create")
		assert_false(SharedMemory.exists(name, 0, backend), "exists")
		assert_code(SharedMemory.remove(name, 0, backend), ERR_UNAVAILABLE, "remove")


func test_streams_work_over_each_backend() -> void:
	var all := backends()
	for backend: SharedMemory.Backend in all:
		var memory := made(backend)
		memory.create(all[backend], 100)
		var stream := SharedMemoryStream.new()
		assert_code(stream.attach(memory, SharedMemoryStream.LAYOUT_LSM_V2), OK, "attach")
		stream.write("over %d" % backend)
		var other := made(backend)
		other.open(all[backend])
		var reader := SharedMemoryStream.new()
		reader.attach(other, SharedMemoryStream.LAYOUT_LSM_V2)
		assert_eq(reader.read(), "over %d" % backend, "read")
		memory.unlink()


func test_untyped_calls_from_threads_work() -> void:
	var all := backends()
	for backend: SharedMemory.Backend in all:
		var thread := Thread.new()
		thread.start(
			func() -> Array:
				var memory: Variant = made(backend)
				var codes := [memory.call("create", all[backend], 100)]
				codes.append(memory.write_string("x"))
				memory.unlink()
				return codes
		)
		assert_eq(thread.wait_to_finish(), [OK, OK], "in a thread")


func zeros(size: int) -> PackedByteArray:
	var all := PackedByteArray()
	all.resize(size)
	return all
