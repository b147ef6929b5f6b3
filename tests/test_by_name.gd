extends "res://test_case.gd"
## Streams and queues that make and find their memory under a name.
##
## scenarios/test_by_name.py has those of several programs, and kills.

const LONG_MSEC := 20_000
## The time in which an object has looked at its name, on a busy machine.
const SOON_MSEC := 1000
const CLASSES := ["SharedMemoryStream", "SharedMemoryQueue"]


func test_one_line_a_side_is_enough() -> void:
	var name := unique_name()
	var writer := SharedMemoryStream.new()
	assert_code(writer.create(name, 100), OK, "create")
	assert_eq(writer.get_capacity(), 100, "as asked for")
	var reader := SharedMemoryStream.new()
	assert_code(reader.open(name), OK, "open")
	assert_eq(reader.read(), null, "nothing yet")
	assert_last_error(reader, ERR_DOES_NOT_EXIST)
	assert_code(writer.write({"x": [1, 2.5]}), OK, "write")
	assert_true(reader.has_new_data(), "new")
	assert_eq(reader.read(), {"x": [1, 2.5]}, "read")
	var producer := SharedMemoryQueue.new()
	assert_code(producer.create(unique_name(), 1000, 2), OK, "create")
	assert_eq(producer.get_byte_capacity(), 2048, "a power of two for each")
	var consumer := SharedMemoryQueue.new()
	assert_code(consumer.open(producer.get_memory().get_name()), OK, "open")
	assert_code(producer.enqueue("a"), OK, "enqueue")
	assert_code(consumer.enqueue("b"), OK, "as a producer, too")
	assert_eq(consumer.dequeue_all(), ["a", "b"], "all")


func test_sides_may_come_in_any_order() -> void:
	for of_class: String in CLASSES:
		var name := unique_name()
		var reader := _new(of_class)
		var changes := [0]
		reader.source_changed.connect(func() -> void: changes[0] += 1)
		assert_code(reader.open(name), OK, "open")
		assert_false(reader.is_attached(), "nothing is there")
		for method: String in ["read", "has_new_data", "get_sequence", "dequeue", "peek", "reset"]:
			if reader.has_method(method):
				reader.call(method)
				assert_last_error(reader, ERR_UNAVAILABLE, [name, "does not exist"])
		assert_code(_send(reader, "x"), ERR_UNAVAILABLE, "send")
		assert_code(reader.wait(1), ERR_UNAVAILABLE, "wait")
		assert_code(reader.poll(), ERR_UNAVAILABLE, "poll")
		assert_eq(changes[0], 0, "nothing has changed")
		var writer := _made(of_class, name)
		_send(writer, "x")
		assert_true(_soon(reader.is_attached), "it is there")
		assert_code(reader.wait(0), OK, "a message")
		assert_code(reader.poll(), OK, "poll")
		assert_eq(changes[0], 1, "it has come")
		writer.close()
		assert_true(_soon(func() -> bool: return not reader.is_attached()), "it has gone")
		assert_code(reader.poll(), ERR_UNAVAILABLE, "poll")
		assert_eq(changes[0], 2, "it has gone")
		writer = _made(of_class, name, 300)
		assert_true(_soon(reader.is_attached), "another one")
		reader.poll()
		assert_eq(changes[0], 3, "it has come")
		writer.close()
		writer = _made(of_class, name, 100)
		assert_true(
			_soon(func() -> bool: return reader.poll() == OK and changes[0] == 4),
			"from one to another"
		)
		reader.close()
		reader.close()
		assert_code(reader.poll(), ERR_UNCONFIGURED, "closed")
		assert_eq(changes[0], 4, "the script has closed it")
		writer.poll()
		assert_eq(writer.is_attached(), true, "its own")


func test_last_messages_arrive_after_an_orderly_end() -> void:
	var name := unique_name()
	var producer := _made("SharedMemoryQueue", name)
	var consumer: SharedMemoryQueue = _new("SharedMemoryQueue")
	consumer.open(name)
	for number in 5:
		producer.enqueue(number)
	producer.close()
	OS.delay_msec(150)
	assert_eq(consumer.dequeue(), 0, "first")
	producer = _made("SharedMemoryQueue", name)
	producer.enqueue("new")
	OS.delay_msec(150)
	assert_eq(consumer.dequeue_all(), [1, 2, 3, 4], "the rest")
	assert_eq(consumer.dequeue(LONG_MSEC), "new", "and on")
	var writer := _made("SharedMemoryStream", name + "s")
	var reader: SharedMemoryStream = _new("SharedMemoryStream")
	reader.open(name + "s")
	writer.write("last")
	writer.close()
	OS.delay_msec(150)
	assert_eq(reader.read(), "last", "read")
	assert_true(_soon(func() -> bool: return not reader.is_attached()), "then it has gone")


func test_wait_goes_on_over_a_change_of_the_memory() -> void:
	for of_class: String in CLASSES:
		var name := unique_name()
		var reader := _new(of_class)
		reader.open(name)
		# From no memory to one, and from one to the next.
		for size: int in [100, 300]:
			var thread := _waiting(reader)
			OS.delay_msec(60)
			var writer := _made(of_class, name)
			OS.delay_msec(150)
			writer.close()
			writer = _made(of_class, name, size)
			OS.delay_msec(20)
			_send(writer, size)
			assert_eq(thread.wait_to_finish(), [OK, size], of_class)
			writer.close()


func test_wait_for_room_goes_on_over_a_change_of_the_memory() -> void:
	var name := unique_name()
	var consumer: SharedMemoryQueue = _made("SharedMemoryQueue", name)
	var producer: SharedMemoryQueue = _new("SharedMemoryQueue")
	producer.open(name)
	while producer.enqueue("full") == OK:
		pass
	assert_last_error(producer, ERR_BUSY)
	var thread := Thread.new()
	thread.start(producer.enqueue.bind("late", LONG_MSEC))
	OS.delay_msec(60)
	consumer.close()
	consumer = _made("SharedMemoryQueue", name)
	assert_code(thread.wait_to_finish(), OK, "enqueue")
	assert_eq(consumer.dequeue(), "late", "in the new memory")


func test_wait_ends_in_time() -> void:
	for of_class: String in CLASSES:
		var reader := _new(of_class)
		reader.open(unique_name())
		var start := Time.get_ticks_msec()
		assert_code(reader.wait(120), ERR_UNAVAILABLE, "nothing has come")
		var waited := Time.get_ticks_msec() - start
		assert_true(waited >= 119 and waited < SOON_MSEC, "%d ms" % waited)
		for method: String in ["close", "detach"]:
			reader.open(unique_name())
			var thread := _waiting(reader)
			OS.delay_msec(60)
			start = Time.get_ticks_msec()
			reader.call(method)
			var found: Array = thread.wait_to_finish()
			assert_code(found[0], ERR_UNCONFIGURED, method)
			assert_true(Time.get_ticks_msec() - start < SOON_MSEC, "at once")


func test_living_owner_keeps_its_name() -> void:
	for of_class: String in CLASSES:
		var name := unique_name()
		var owner := _made(of_class, name)
		var other := _made(of_class, unique_name())
		assert_code(other.create(name, 100), ERR_ALREADY_EXISTS, "create")
		assert_last_error(
			other, ERR_ALREADY_EXISTS, [name, "a running process of this user owns it"]
		)
		assert_code(owner.create(name, 100), ERR_ALREADY_EXISTS, "its own")
		for object: RefCounted in [owner, other]:
			assert_true(object.is_attached(), "it keeps what it has")
		assert_code(other.create(unique_name(), 100), OK, "another one")
		owner.close()
		assert_code(owner.create(name, 100), OK, "free")


func test_bad_arguments_are_named() -> void:
	var stream := SharedMemoryStream.new()
	stream.create(unique_name(), 10)
	for case: Array in [
		["a/b", 10, 2, 0, "a/b"],
		["", 10, 2, 0, "empty"],
		["x", 0, 2, 0, "max_message_size must be 1 or more, not 0"],
		[
			"x",
			1 << 50,
			2,
			0,
			"max_message_size must be from 1 to 70368744177664, not 1125899906842624"
		],
		["x", 10, 65, 0, "readers must be from 0 to 64, not 65"],
		["x", 10, 2, 2, "scope must be a SharedMemory.Scope (0 or 1), not 2"],
	]:
		expect_error("SharedMemoryStream.create(): ")
		assert_code(stream.callv("create", case.slice(0, 4)), ERR_INVALID_PARAMETER, str(case))
		assert_last_error(stream, ERR_INVALID_PARAMETER, [case[4]])
		assert_true(stream.is_attached(), "it keeps what it has")
	for name: String in ["", "a/b", "..", "x".repeat(300)]:
		expect_error("SharedMemoryStream.open(): the name ")
		assert_code(stream.open(name), ERR_INVALID_PARAMETER, name)
		assert_true(stream.is_attached(), "it keeps what it has")
	var queue := SharedMemoryQueue.new()
	expect_error("buffer_size must be from 1 to 1073741824, not 1073741825")
	assert_code(queue.create(unique_name(), 1 + (1 << 30)), ERR_INVALID_PARAMETER, "too large")
	expect_error("producers must be from 1 to 64, not 0")
	assert_code(queue.create(unique_name(), 100, 0), ERR_INVALID_PARAMETER, "none")


func test_memory_belongs_to_the_object() -> void:
	var name := unique_name()
	var writer := SharedMemoryStream.new()
	assert_true(writer.get_memory() == null, "none")
	writer.create(name, 100, 1, SharedMemory.GLOBAL_SCOPE)
	var memory := writer.get_memory()
	assert_eq(memory.get_name(), name, "name")
	assert_eq(memory.get_status(), SharedMemory.STATUS_CREATED, "status")
	assert_eq(memory.get_scope(), SharedMemory.GLOBAL_SCOPE, "scope")
	assert_eq(SharedMemory.get_info(name).layout, "latest", "layout")
	var reader := SharedMemoryStream.new()
	reader.open(name)
	var theirs := reader.get_memory()
	assert_eq(theirs.get_status(), SharedMemory.STATUS_OPEN, "status")
	assert_eq(theirs.get_owner_state(), SharedMemory.OWNER_ALIVE, "owner")
	writer.close()
	assert_false(memory.is_open(), "closed with it")
	assert_false(SharedMemory.exists(name), "and removed")
	assert_true(_soon(func() -> bool: return not reader.is_attached()), "gone")
	assert_false(theirs.is_open(), "it has let go")
	# An object that the script has opened again is the script's.
	assert_code(memory.create(unique_name(), 64), OK, "create")
	writer.close()
	writer = null
	assert_true(memory.is_open(), "the script's")
	# The last reference closes it, too.
	writer = SharedMemoryStream.new()
	writer.create(name, 100)
	writer = null
	assert_false(SharedMemory.exists(name), "removed")


func test_memory_that_the_script_closes_is_opened_again() -> void:
	var name := unique_name()
	var writer := SharedMemoryStream.new()
	writer.create(name, 100)
	writer.write("x")
	var reader := SharedMemoryStream.new()
	reader.open(name)
	reader.get_memory().close()
	assert_eq(reader.read(), "x", "again")


func test_other_things_under_the_name_are_told() -> void:
	var name := unique_name()
	var queue := SharedMemoryQueue.new()
	queue.create(name, 100)
	var stream := SharedMemoryStream.new()
	assert_code(stream.open(name), OK, "open")
	assert_eq(stream.read(), null, "read")
	assert_last_error(
		stream, ERR_UNAVAILABLE, [name, "the number of the layout is 2", "the memory holds a queue"]
	)
	queue.close()
	var memory := SharedMemory.new()
	memory.create(name, 4096)
	assert_true(_soon(_tells.bind(stream, "no program has finished laying it out")), "zeros")
	memory.fill(7)
	assert_true(_soon(_tells.bind(stream, "the word at byte 0 is")), "other bytes")
	memory.close()
	if not is_linux():
		return
	DirAccess.make_dir_absolute(file_of(name))
	assert_true(_soon(_tells.bind(stream, "a directory")), "a directory")
	DirAccess.remove_absolute(file_of(name))
	assert_code(stream.create(name, 100), OK, "create")


func test_attach_ends_following() -> void:
	var name := unique_name()
	var stream := SharedMemoryStream.new()
	stream.open(name)
	var memory := created(4096)
	assert_code(stream.attach(memory, SharedMemoryStream.LAYOUT_NATIVE, 100), OK, "attach")
	stream.write("x")
	var other := SharedMemoryStream.new()
	other.create(name, 100)
	OS.delay_msec(150)
	assert_eq(stream.read(), "x", "its own")
	assert_eq(stream.get_memory(), memory, "the script's")
	stream.close()
	assert_true(memory.is_open(), "the script's")
	assert_false(stream.is_attached(), "closed")


func test_truncated_memory_is_let_go() -> void:
	if not is_linux():
		return skip("segments are no files")
	var name := unique_name()
	var owner := SharedMemoryStream.new()
	owner.create(name, 10_000)
	owner.write("x")
	var reader := SharedMemoryStream.new()
	reader.open(name)
	assert_eq(reader.read(), "x", "read")
	var file := FileAccess.open(file_of(name), FileAccess.READ_WRITE)
	file.resize(100)
	file.close()
	OS.delay_msec(20)
	assert_eq(reader.read(), null, "read")
	assert_last_error(reader, ERR_FILE_CORRUPT)
	assert_eq(reader.read(), null, "read")
	assert_last_error(reader, ERR_UNAVAILABLE, [name])
	owner.close()
	owner.create(name, 100)
	owner.write("y")
	assert_true(_soon(func() -> bool: return reader.read() == "y"), "new memory")


## Threads use objects while others make, close and replace the memory under their name.
func test_threads_follow_a_name() -> void:
	var name := unique_name()
	var reader: SharedMemoryStream = _new("SharedMemoryStream")
	reader.open(name)
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", 1.0) * 1000)
	var threads: Array[Thread] = []
	for work: Callable in [_read_until, _read_until, _wait_until, _open_until]:
		var thread := Thread.new()
		thread.start(work.bind(reader, name, until))
		threads.append(thread)
	var size := 0
	while Time.get_ticks_msec() < until:
		var writer := SharedMemoryStream.new()
		size = 100 + (size + 1) % 3
		assert_code(writer.create(name, size), OK, "create")
		for number in 50:
			writer.write(str(size).repeat(20))
			OS.delay_usec(500)
	for thread in threads:
		assert_eq(thread.wait_to_finish(), "", "problem")


func _read_until(reader: SharedMemoryStream, _name: String, until: int) -> String:
	while Time.get_ticks_msec() < until:
		var text: Variant = reader.read()
		if text is String and text != text.left(3).repeat(20):
			return text
	return ""


func _wait_until(reader: SharedMemoryStream, _name: String, until: int) -> String:
	while Time.get_ticks_msec() < until:
		var code := reader.wait(10)
		if not code in [OK, ERR_TIMEOUT, ERR_UNAVAILABLE, ERR_CONNECTION_ERROR, ERR_UNCONFIGURED]:
			return error_string(code)
	return ""


func _open_until(reader: SharedMemoryStream, name: String, until: int) -> String:
	while Time.get_ticks_msec() < until:
		OS.delay_msec(20)
		if reader.open(name) != OK:
			return "open"
	return ""


func test_untyped_calls_work() -> void:
	for of_class: String in CLASSES:
		var name := unique_name()
		var writer: Variant = ClassDB.instantiate(of_class)
		assert_eq(writer.callv("create", [name, 1000.0]), OK, "create")
		var reader: Variant = ClassDB.instantiate(of_class)
		assert_eq(reader.call("open", StringName(name)), OK, "open")
		assert_eq(reader.call("is_attached"), true, "is_attached")
		expect_error("Cannot convert argument")
		assert_eq(reader.callv("open", [7]), null, "another type")
		reader.call("close")
		assert_eq(reader.call("is_attached"), false, "closed")


## A handler may close the object, or drop its last reference.
func test_source_changed_may_do_anything() -> void:
	for of_class: String in CLASSES:
		var name := unique_name()
		var writer := _made(of_class, name)
		_send(writer, "x")
		var reader := _new(of_class)
		reader.open(name)
		reader.source_changed.connect(reader.close, CONNECT_ONE_SHOT)
		assert_code(reader.poll(), OK, "closed by the handler")
		assert_last_error(reader, OK)
		assert_code(reader.poll(), ERR_UNCONFIGURED, "closed before")
		reader.open(name)
		var held := [reader]
		reader.source_changed.connect(held.clear)
		reader = null
		assert_code(held[0].poll(), OK, "dropped")
		assert_eq(held, [], "dropped")


func _tells(stream: SharedMemoryStream, text: String) -> bool:
	stream.read()
	return stream.get_last_error() == ERR_UNAVAILABLE and text in stream.get_last_error_message()


func _new(of_class: String) -> RefCounted:
	return ClassDB.instantiate(of_class)


func _made(of_class: String, name: String, size := 200) -> RefCounted:
	var object := _new(of_class)
	assert_code(object.create(name, size), OK, "create")
	return object


func _send(object: RefCounted, value: Variant) -> Error:
	return object.write(value) if object is SharedMemoryStream else object.enqueue(value)


## Waits in a thread, which returns the code and the message.
func _waiting(object: RefCounted) -> Thread:
	var thread := Thread.new()
	thread.start(
		func() -> Array:
			var code: Error = object.wait(LONG_MSEC)
			if code != OK:
				return [code, null]
			return [code, object.call("read" if object is SharedMemoryStream else "dequeue")]
	)
	return thread


## Returns whether this comes true soon.
func _soon(condition: Callable) -> bool:
	var until := Time.get_ticks_msec() + SOON_MSEC
	while Time.get_ticks_msec() < until:
		if condition.call():
			return true
		OS.delay_msec(1)
	return false
