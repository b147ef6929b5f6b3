extends "res://test_case.gd"
## Names: which may be made, which may be opened, and what the system calls them.

## The longest name in bytes.
var limit := 30 if OS.get_name() == "macOS" else 255


func test_leading_slash_is_dropped() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	assert_code(memory.create("/" + name, 16), OK, "create")
	assert_eq(memory.get_name(), name, "the plain name")
	assert_true(SharedMemory.exists(name), "without it")
	assert_true(SharedMemory.exists("/" + name), "with it")
	var peer := SharedMemory.new()
	assert_code(peer.open(name), OK, "open without it")
	assert_eq(peer.get_name(), name, "the plain name")
	peer.close()
	assert_code(peer.open("/" + name), OK, "open with it")
	assert_eq(peer.get_name(), name, "the plain name")
	assert_code(SharedMemory.remove("/" + name), OK, "remove")
	assert_false(SharedMemory.exists(name), "removed")


func test_native_name_is_that_of_the_system() -> void:
	var memory := created(16)
	if OS.get_name() != "Windows":
		assert_eq(memory.get_native_name(), "/" + memory.get_name(), "on POSIX")
	else:
		assert_true(memory.get_native_name().ends_with(memory.get_name()), "on Windows")


func test_native_name_opens() -> void:
	var memory := created(16)
	var peer := SharedMemory.new()
	assert_code(peer.open(memory.get_native_name()), OK, "open")


func test_create_takes_valid_names() -> void:
	for label: String in [
		" ",
		"a b",
		"ünï",
		"日本",
		"🙂",
		"a.b",
		"...",
		"a:b",
		"a\nb",
		"%s",
		"a\tb",
		"-rf",
		"*",
		"'\"`$",
		"~",
		"con",
		"nul.txt",
		"tail ",
		"tail.",
	]:
		var name := unique_name(label)
		var memory := SharedMemory.new()
		assert_code(memory.create(name, 16), OK, "create '%s'" % name)
		assert_eq(memory.get_name(), name, "name")
		assert_true(SharedMemory.exists(name), "exists '%s'" % name)
		assert_code(SharedMemory.new().open(name), OK, "open '%s'" % name)
		if is_linux():
			assert_true(is_in_system(name), "its file '%s'" % name)
			assert_true(name in SharedMemory.list_names(), "list_names '%s'" % name)


func test_names_with_odd_beginnings_work() -> void:
	# Without the prefix of this run: made and gone at once.
	for name: String in ["-" + unique_name(), ".%s" % unique_name(), " %s" % unique_name()]:
		var memory := SharedMemory.new()
		assert_code(memory.create(name, 16), OK, "create '%s'" % name)
		memory.close()
		assert_false(SharedMemory.exists(name), "exists")


func test_create_refuses_invalid_names() -> void:
	var long := "x".repeat(limit + 1)
	for name: String in [
		"",
		"/",
		"//",
		"//a",
		"a/b",
		"a/",
		"/a/b",
		"\\",
		"a\\b",
		".",
		"..",
		"/.",
		"/..",
		"../a",
		long
	]:
		var memory := SharedMemory.new()
		expect_error("SharedMemory.create(): ")
		assert_code(memory.create(name, 16), ERR_INVALID_PARAMETER, "create '%s'" % name)
		assert_last_error(memory, ERR_INVALID_PARAMETER)
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
		expect_error("SharedMemory.open_or_create(): ")
		assert_code(memory.open_or_create(name, 16), ERR_INVALID_PARAMETER, "or open '%s'" % name)


func test_messages_name_the_problem() -> void:
	var memory := SharedMemory.new()
	expect_error("SharedMemory.create(): ")
	memory.create("one/two", 16)
	assert_last_error(memory, ERR_INVALID_PARAMETER, ["one/two"])
	expect_error("SharedMemory.create(): ")
	memory.create("x".repeat(limit + 45), 16)
	assert_last_error(memory, ERR_INVALID_PARAMETER, ["300", str(limit)])


func test_length_is_counted_in_bytes() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	name += "x".repeat(limit - name.length())
	assert_code(memory.create(name, 16), OK, "%d bytes" % limit)
	assert_true(SharedMemory.exists(name), "exists")
	memory.close()
	assert_code(memory.create("/" + name, 16), OK, "the slash does not count")
	assert_eq(memory.get_name(), name, "the plain name")
	memory.close()
	expect_error("SharedMemory.create(): ")
	assert_code(memory.create(name + "x", 16), ERR_INVALID_PARAMETER, "one more")

	# Two bytes each.
	var wide := unique_name()
	wide += "x".repeat((limit - wide.length()) % 2)
	wide += "é".repeat((limit - wide.length()) / 2)
	assert_eq(wide.to_utf8_buffer().size(), limit, "the test's own name")
	assert_code(memory.create(wide, 16), OK, "%d bytes of fewer letters" % limit)
	assert_eq(memory.get_name(), wide, "the plain name")
	assert_eq(opened(memory).get_name(), wide, "the opener's")
	memory.close()
	expect_error("SharedMemory.create(): ")
	assert_code(memory.create(wide + "x", 16), ERR_INVALID_PARAMETER, "one more byte")
	expect_error("SharedMemory.create(): ")
	assert_code(memory.create("é".repeat(128), 16), ERR_INVALID_PARAMETER, "128 letters")


func test_open_refuses_invalid_names() -> void:
	for name: String in [
		"", "/", "//", "a/b", "a/", "../a", "x".repeat(limit + 1), "é".repeat(128)
	]:
		var memory := SharedMemory.new()
		expect_error("SharedMemory.open(): ")
		assert_code(memory.open(name), ERR_INVALID_PARAMETER, "open '%s'" % name)
		assert_last_error(memory, ERR_INVALID_PARAMETER)
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")
	var memory := SharedMemory.new()
	assert_code(memory.open("x".repeat(limit)), ERR_DOES_NOT_EXIST, "long, but allowed")


func test_dots_are_not_segments() -> void:
	if not is_linux():
		return skip("they are folders in /dev/shm")
	for name: String in [".", "..", "/.", "/.."]:
		var memory := SharedMemory.new()
		assert_code(memory.open(name), ERR_CANT_OPEN, "open '%s'" % name)
		assert_last_error(memory, ERR_CANT_OPEN)
		assert_false(SharedMemory.exists(name), "exists '%s'" % name)
