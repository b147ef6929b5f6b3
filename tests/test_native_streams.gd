extends "res://test_case.gd"
## SharedMemoryStream in the native layout: the newest message, roles, and waits.
##
## scenarios/test_messages.py has those of two programs.

const MAX := 9223372036854775807
const MIN := -9223372036854775808
const LONG_MSEC := 20_000
## The time in which a wait ends that nothing wakes, on a busy machine.
const SOON_MSEC := 500
const V2 := SharedMemoryStream.LAYOUT_LSM_V2


func test_readers_get_the_newest_message() -> void:
	var memory := created(4096)
	var writer := attached(memory, 100)
	var reader := attached(opened(memory))
	var looker := attached(opened(memory, SharedMemory.ACCESS_READ_ONLY))
	for stream: SharedMemoryStream in [reader, looker]:
		assert_eq(stream.read(), null, "nothing yet")
		assert_last_error(stream, ERR_DOES_NOT_EXIST, ["no message"])
		assert_false(stream.has_new_data(), "nothing yet")
	for value: Variant in ["Grüße", PackedByteArray([0, 255]), "", PackedByteArray()]:
		assert_code(writer.write(value), OK, "write")
		for stream: SharedMemoryStream in [reader, looker]:
			assert_true(stream.has_new_data(), "new")
			assert_eq(stream.read(), value, "read")
			assert_last_error(stream, OK)
			assert_false(stream.has_new_data(), "not any more")
			assert_eq(stream.read(), value, "again")


func test_numbers_tell_what_a_reader_missed() -> void:
	var memory := created(4096)
	var writer := attached(memory, 100)
	var reader := attached(opened(memory))
	assert_eq(reader.get_sequence(), 0, "nothing was read")
	writer.write("a")
	reader.read()
	var first := reader.get_sequence()
	assert_true(first > 0, "a number")
	assert_eq(reader.get_missed_count(), 0, "none")
	for text: String in ["b", "c", "d"]:
		writer.write(text)
	reader.read()
	assert_eq(reader.get_sequence(), first + 3, "each has one more")
	assert_eq(reader.get_missed_count(), 2, "b and c")
	reader.read()
	assert_eq(reader.get_missed_count(), 2, "the same message again")
	# Another writer goes on counting, after a reset, too.
	writer.detach()
	writer.attach(memory)
	writer.write("e")
	reader.read()
	assert_eq(reader.get_sequence(), first + 4, "another writer")
	for stream: SharedMemoryStream in [writer, reader]:
		stream.detach()
		stream.attach(memory)
	assert_code(writer.reset(), OK, "reset")
	writer.write("f")
	reader.read()
	assert_eq(reader.get_sequence(), first + 5, "after a reset")


func test_age_grows_until_the_next_message() -> void:
	var memory := created(4096)
	var stream := attached(memory, 100)
	assert_eq(stream.get_age_usec(), -1, "no message")
	assert_last_error(stream, ERR_DOES_NOT_EXIST)
	var start := Time.get_ticks_usec()
	stream.write("x")
	OS.delay_msec(30)
	var age := stream.get_age_usec()
	var passed := Time.get_ticks_usec() - start
	assert_last_error(stream, OK)
	assert_true(age >= 30_000 and age <= passed + 1000, "%d of %d" % [age, passed])
	stream.write("y")
	assert_true(stream.get_age_usec() < 25_000, "a new one")


func test_second_writer_is_refused_until_the_first_ends() -> void:
	var memory := created(4096)
	var first := attached(memory, 100)
	var second := attached(opened(memory))
	assert_eq(second.get_writer_state(), SharedMemory.OWNER_UNKNOWN, "none yet")
	assert_code(first.write("first"), OK, "write")
	assert_eq(second.get_writer_state(), SharedMemory.OWNER_ALIVE, "alive")
	# Also one of the same SharedMemory. The other side's state: nothing is printed.
	for other: SharedMemoryStream in [second, attached(memory)]:
		assert_code(other.write("x"), ERR_ALREADY_IN_USE, "write")
		assert_last_error(other, ERR_ALREADY_IN_USE, ["the writer"])
		assert_eq(other.read(), "first", "unchanged")
	for way: String in ["detach", "attach", "free"]:
		second.detach()
		second.attach(memory)
		assert_code(first.write(way), OK, "the first")
		assert_code(second.write("x"), ERR_ALREADY_IN_USE, "before " + way)
		match way:
			"detach":
				first.detach()
			"attach":
				first.attach(memory)
			"free":
				first = null
		assert_eq(second.get_writer_state(), SharedMemory.OWNER_DEAD, "after " + way)
		assert_code(second.write("second"), OK, "after " + way)
		if first:
			second.detach()
			first.attach(memory)
	# Of another SharedMemory, closing it is enough.
	var theirs := opened(memory)
	var third := attached(theirs)
	second.detach()
	assert_code(third.write("third"), OK, "write")
	second.attach(memory)
	assert_code(second.write("x"), ERR_ALREADY_IN_USE, "held")
	theirs.close()
	assert_code(second.write("x"), OK, "closed")


func test_memory_lays_out_as_much_as_is_asked_for() -> void:
	var memory := created(4096)
	var early := SharedMemoryStream.new()
	var other := opened(memory)
	assert_code(early.attach(other), ERR_BUSY, "the creator decides")
	assert_code(early.attach(other, SharedMemoryStream.LAYOUT_NATIVE, 100, 3), OK, "a size")
	assert_eq(early.get_capacity(), 100, "its size")
	# Another program decided it: nothing is printed.
	assert_code(early.attach(memory, 0, 101), ERR_INVALID_PARAMETER, "a longer message")
	assert_last_error(early, ERR_INVALID_PARAMETER, ["is 100", "101"])
	assert_code(early.attach(memory, 0, 100, 4), ERR_INVALID_PARAMETER, "more readers")
	assert_last_error(early, ERR_INVALID_PARAMETER, ["the number of readers", "is 3", "4"])
	assert_eq(early.get_capacity(), 100, "still attached")
	# Without a size, the creator uses all.
	var all := attached(created(4096))
	assert_true(all.get_capacity() > 600, "of all: %d" % all.get_capacity())


func test_bad_arguments_are_refused() -> void:
	var memory := created(4096)
	var stream := SharedMemoryStream.new()
	for call: Array in [
		["max_message_size must be 0 or more, not -1", [memory, 0, -1]],
		["max_message_size must be from 0 to 70368744177664, not", [memory, 0, MAX]],
		["readers must be from 0 to 64, not -1", [memory, 0, 0, -1]],
		["readers must be from 0 to 64, not 65", [memory, 0, 0, 65]],
		["readers must be from 0 to 64, not 4294967297", [memory, 0, 0, (1 << 32) + 1]],
		["readers must be from 0 to 64, not %d" % MIN, [memory, V2, 0, MIN]],
		["max_message_size must be from 0 to 4076, not 4077", [memory, V2, 4077]],
		["4096 bytes of memory are too few", [memory, 0, 4096]],
	]:
		expect_error("SharedMemoryStream.attach(): " + call[0])
		assert_code(stream.callv("attach", call[1]), ERR_INVALID_PARAMETER, call[0])
		assert_eq(memory.read().count(0), 4096, "nothing was written")
	stream.attach(memory, 0, 100)
	expect_error("SharedMemoryStream.write(): value: 101 bytes are too many: at most 100 fit")
	assert_code(stream.write("x".repeat(101)), ERR_INVALID_PARAMETER, "too long")
	expect_error("SharedMemoryStream.wait(): timeout_msec must be 0 or more, not -1")
	assert_code(stream.wait(-1), ERR_INVALID_PARAMETER, "negative")
	assert_false(stream.has_new_data(), "nothing was written")


func test_calls_of_other_layouts_are_unavailable() -> void:
	var stream := attached(created(4096), 100)
	stream.write("x")
	assert_code(stream.mark_as_read(), OK, "does nothing")
	assert_false(stream.is_message_read(), "unknown")
	assert_last_error(stream, ERR_UNAVAILABLE)
	var other := SharedMemoryStream.new()
	other.attach(created(100), V2)
	for call: Array in [
		["get_sequence", 0],
		["get_missed_count", 0],
		["get_age_usec", -1],
		["get_writer_state", SharedMemory.OWNER_UNKNOWN],
	]:
		assert_eq(other.call(call[0]), call[1], call[0])
		assert_last_error(other, ERR_UNAVAILABLE, ["LAYOUT_NATIVE"])


func test_poll_emits_each_new_message() -> void:
	var memory := created(4096)
	var writer := attached(memory, 100)
	for access: int in [SharedMemory.ACCESS_READ_WRITE, SharedMemory.ACCESS_READ_ONLY]:
		var reader := attached(opened(memory, access))
		reader.poll()
		var got := []
		reader.message_received.connect(func(value: Variant) -> void: got.append(value))
		for value: Variant in ["one", PackedByteArray([9])]:
			writer.write(value)
			assert_code(reader.poll(), OK, "poll")
			assert_code(reader.poll(), OK, "once more")
		assert_eq(got, ["one", PackedByteArray([9])], "got")


func test_read_only_memory_takes_no_role() -> void:
	var memory := created(4096)
	var writer := attached(memory, 100)
	writer.write("to all")
	var reader := attached(opened(memory, SharedMemory.ACCESS_READ_ONLY))
	assert_eq(reader.read(), "to all", "read")
	assert_code(reader.write("x"), ERR_UNAUTHORIZED, "write")
	assert_code(reader.reset(), ERR_UNAUTHORIZED, "reset")
	assert_code(reader.mark_as_read(), OK, "does nothing")
	assert_code(reader.wait(1), ERR_TIMEOUT, "wait")
	assert_code(writer.reset(), OK, "the reader has no role")


func test_reset_needs_all_roles() -> void:
	var memory := created(4096)
	var writer := attached(memory, 100)
	var reader := attached(opened(memory))
	writer.write("x")
	assert_code(reader.reset(), ERR_ALREADY_IN_USE, "there is a writer")
	reader.read()
	assert_code(writer.reset(), ERR_ALREADY_IN_USE, "there is a reader")
	reader.detach()
	assert_code(writer.reset(), OK, "alone")
	reader.attach(memory)
	assert_eq(reader.read(), null, "empty")
	assert_last_error(reader, ERR_DOES_NOT_EXIST)
	assert_code(writer.write("y"), OK, "the role was its own")
	assert_eq(reader.read(), "y", "as before")


func test_wait_ends_with_the_next_message() -> void:
	for is_native: bool in [true, false]:
		var memory := created(4096)
		var writer := attached(memory, 100) if is_native else attached_as(memory, V2)
		for access: int in [SharedMemory.ACCESS_READ_WRITE, SharedMemory.ACCESS_READ_ONLY]:
			var reader := attached_as(opened(memory, access), 0 if is_native else V2)
			reader.read()
			var start := Time.get_ticks_usec()
			for timeout: int in [0, 1, 40]:
				assert_code(reader.wait(timeout), ERR_TIMEOUT, "%d ms" % timeout)
			assert_last_error(reader, ERR_TIMEOUT, ["40ms"])
			assert_true(Time.get_ticks_usec() - start >= 41_000, "it has waited")
			var thread := waiting(reader)
			OS.delay_msec(60)
			assert_true(thread.is_alive(), "it waits")
			start = Time.get_ticks_msec()
			writer.write("x")
			assert_code(thread.wait_to_finish()[0], OK, "wait")
			assert_true(Time.get_ticks_msec() - start < SOON_MSEC, "soon")
			assert_code(reader.wait(MAX), OK, "it is still new")


func test_wait_ends_if_the_writer_ends() -> void:
	var memory := created(4096)
	var writer := attached(memory, 100)
	writer.write("x")
	var reader := attached(opened(memory))
	reader.read()
	var thread := waiting(reader)
	OS.delay_msec(100)
	var start := Time.get_ticks_msec()
	writer.detach()
	assert_code(thread.wait_to_finish()[0], ERR_CONNECTION_ERROR, "wait")
	assert_true(Time.get_ticks_msec() - start < SOON_MSEC, "soon")
	assert_code(reader.wait(60), ERR_TIMEOUT, "the next wait is for another writer")
	assert_eq(reader.read(), "x", "the last message stays")


func test_detach_and_close_end_waits() -> void:
	for is_native: bool in [true, false]:
		for way: String in ["detach", "attach", "close"]:
			var memory := created(4096)
			if is_native:
				attached(memory, 100)
			var theirs := opened(memory)
			var reader := attached_as(theirs, 0 if is_native else V2)
			var threads := [waiting(reader), waiting(reader)]
			OS.delay_msec(60)
			var start := Time.get_ticks_usec()
			match way:
				"detach":
					reader.detach()
				"attach":
					reader.attach(memory, 0 if is_native else V2)
				"close":
					theirs.close()
			assert_true(Time.get_ticks_usec() - start < 15_000, way + " doesn't wait")
			for thread: Thread in threads:
				var found: Array = thread.wait_to_finish()
				assert_code(found[0], ERR_UNCONFIGURED, way)
			var msec := (Time.get_ticks_usec() - start) / 1000
			assert_true(msec < SOON_MSEC, "%s: %d ms" % [way, msec])
			if way == "detach":
				note("detach ended a wait after %d ms" % msec)


## To detach an object ends the calls that wait in other threads. One of them may begin a moment
## later.
func test_waits_after_detach_and_close_print_nothing() -> void:
	for is_native: bool in [true, false]:
		var layout := 0 if is_native else V2
		for way: String in ["detach", "close"]:
			var memory := created(4096)
			var stream := SharedMemoryStream.new()
			assert_code(stream.attach(memory, layout, 100), OK, "attach")
			if way == "detach":
				stream.detach()
			else:
				memory.close()
			assert_code(stream.wait(1), ERR_UNCONFIGURED, way)
			assert_last_error(stream, ERR_UNCONFIGURED, ["attach()"])
			# A call that can't wait is a mistake.
			expect_error("SharedMemoryStream.wait():")
			assert_code(stream.wait(0), ERR_UNCONFIGURED, way)


func test_too_little_memory_of_another_program_is_not_printed() -> void:
	for layout: int in [0, V2]:
		var memory := created(16)
		var stream := SharedMemoryStream.new()
		assert_code(stream.attach(opened(memory), layout, 100), ERR_INVALID_PARAMETER, "opened")
		assert_last_error(stream, ERR_INVALID_PARAMETER, ["16 bytes of memory are too few"])
		expect_error("SharedMemoryStream.attach(): 16 bytes of memory are too few")
		assert_code(stream.attach(memory, layout, 100), ERR_INVALID_PARAMETER, "created")
	var other := opened(created(100))
	var lsm := SharedMemoryStream.new()
	assert_code(lsm.attach(other, V2, 1000), ERR_INVALID_PARAMETER, "a longer message")
	assert_last_error(
		lsm, ERR_INVALID_PARAMETER, ["max_message_size must be from 0 to 80, not 1000"]
	)


func test_refused_reset_keeps_the_roles() -> void:
	var memory := created(4096)
	var writer := attached(memory, 100)
	var reader := attached(opened(memory))
	var other := attached(opened(memory))
	writer.write("x")
	reader.read()
	assert_code(writer.reset(), ERR_ALREADY_IN_USE, "there is a reader")
	assert_eq(other.get_writer_state(), SharedMemory.OWNER_ALIVE, "it is the writer still")
	assert_code(other.write("y"), ERR_ALREADY_IN_USE, "it is the writer still")
	assert_eq(reader.read(), "x", "unchanged")


func test_truncation_ends_a_wait() -> void:
	if not is_linux():
		return skip("segments are not files here")
	for access: int in [SharedMemory.ACCESS_READ_WRITE, SharedMemory.ACCESS_READ_ONLY]:
		var memory := created(8192)
		attached(memory, 100).write("x")
		var theirs := opened(memory, access)
		var reader := attached(theirs)
		reader.read()
		var thread := waiting(reader)
		OS.delay_msec(60)
		var file := FileAccess.open(file_of(memory.get_name()), FileAccess.READ_WRITE)
		file.resize(0)
		file.close()
		assert_code(thread.wait_to_finish()[0], ERR_FILE_CORRUPT, "wait")
		assert_eq(theirs.get_status(), SharedMemory.STATUS_ERROR, "status")
		expect_error("SharedMemoryStream.read(): the attached memory is gone")
		reader.read()
		assert_last_error(reader, ERR_UNCONFIGURED)


## Each message is of one character. More threads than the stream has places for readers.
func test_threads_never_read_a_mixture() -> void:
	var memory := created(16384)
	var writer := attached(memory, 3000)
	writer.write("0".repeat(2000))
	var shared := attached(opened(memory))
	var own := attached(opened(memory))
	var threads: Array[Thread] = []
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", 0.7) * 1000)
	for reader: SharedMemoryStream in [shared, shared, shared, own]:
		var thread := Thread.new()
		thread.start(_read_until.bind(reader, until))
		threads.append(thread)
	for number in 2:
		var thread := Thread.new()
		thread.start(_write_until.bind(writer, until, number))
		threads.append(thread)
	var done := 0
	for thread in threads:
		var found: Variant = thread.wait_to_finish()
		assert_true(found is int and found > 0, str(found))
		done += int(found)
	note("%d reads and writes" % done)


func _read_until(reader: SharedMemoryStream, until: int) -> Variant:
	var done := 0
	var last := 0
	while Time.get_ticks_msec() < until:
		var text: Variant = reader.read()
		if text == null:
			# Too fast for a reader without a place.
			continue
		if text != text[0].repeat(text.length()):
			return "a mixture: " + text
		if reader.get_sequence() < last:
			return "it went back"
		last = reader.get_sequence()
		done += 1
	return done


func _write_until(writer: SharedMemoryStream, until: int, number: int) -> Variant:
	var done := 0
	while Time.get_ticks_msec() < until:
		var text := str((done + number) % 10).repeat(1 + done % 3000)
		if writer.write(text) != OK:
			return "write failed"
		done += 1
	return done


func test_untyped_calls_work() -> void:
	var memory: Variant = created(4096)
	var stream: Variant = ClassDB.instantiate("SharedMemoryStream")
	assert_eq(stream.attach(memory, 0, 100.0), OK, "attach")
	assert_eq(stream.call("write", "untyped"), OK, "write")
	assert_eq(stream.callv("wait", [1]), OK, "wait")
	assert_eq(stream.call("read"), "untyped", "read")
	assert_true(stream.get_sequence() is int, "get_sequence")
	expect_error("Cannot convert argument")
	assert_eq(stream.callv("wait", ["1"]), null, "another type")


func test_calls_fail_while_not_attached() -> void:
	var stream := SharedMemoryStream.new()
	for method: String in [
		"read", "has_new_data", "get_sequence", "get_missed_count", "get_age_usec", "reset"
	]:
		expect_error("SharedMemoryStream.%s(): no memory is attached" % method)
		stream.call(method)
		assert_last_error(stream, ERR_UNCONFIGURED)
	expect_error("SharedMemoryStream.wait(): no memory is attached")
	assert_code(stream.wait(LONG_MSEC), ERR_UNCONFIGURED, "wait")
	assert_code(stream.poll(), ERR_UNCONFIGURED, "poll prints nothing")


## Waits in a thread, which returns the code and the message.
func waiting(stream: SharedMemoryStream) -> Thread:
	var thread := Thread.new()
	thread.start(
		func() -> Array:
			var code := stream.wait(LONG_MSEC)
			return [code, stream.get_last_error_message()]
	)
	return thread


func attached(memory: SharedMemory, size := 0) -> SharedMemoryStream:
	var stream := SharedMemoryStream.new()
	assert_code(stream.attach(memory, SharedMemoryStream.LAYOUT_NATIVE, size), OK, "attach")
	return stream


func attached_as(memory: SharedMemory, layout: int) -> SharedMemoryStream:
	var stream := SharedMemoryStream.new()
	assert_code(stream.attach(memory, layout), OK, "attach")
	return stream
