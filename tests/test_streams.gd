extends "res://test_case.gd"
## SharedMemoryStream in the layouts of libsharedmemory. test_native_streams.gd has the native one.

const V0 := SharedMemoryStream.LAYOUT_LSM_V0
const V1 := SharedMemoryStream.LAYOUT_LSM_V1
const V2 := SharedMemoryStream.LAYOUT_LSM_V2
const LAYOUTS := [V0, V1, V2]
## Where the lock and the size are, in V2.
const LOCK := 16
const SIZE := 12


func test_messages_of_every_type_are_read_as_written() -> void:
	for layout: int in LAYOUTS:
		var memory := created(256)
		var writer := attached(memory, layout)
		var reader := attached(opened(memory), layout)
		for value: Variant in [
			"Hello!",
			"äöü€😀",
			PackedByteArray([0, 255, 7]),
			PackedFloat32Array([1.5, -0.25, INF]),
			PackedFloat64Array([0.1, -1e300]),
			"",
			"the last",
		]:
			var why := "%s in layout %d" % [value, layout]
			assert_code(writer.write(value), OK, why)
			assert_true(reader.has_new_data(), why + " is new")
			assert_eq(reader.read(), value, why)
			assert_false(reader.has_new_data(), why + " isn't any more")
			assert_eq(reader.read(), value, why + ", again")
			assert_last_error(reader, OK)


func test_read_fails_before_first_write() -> void:
	for layout: int in LAYOUTS:
		var stream := attached(created(64), layout)
		assert_false(stream.has_new_data(), "new")
		assert_last_error(stream, OK)
		assert_eq(stream.read(), null, "read")
		assert_last_error(stream, ERR_DOES_NOT_EXIST, ["no message"])
		assert_code(stream.poll(), OK, "poll")
		assert_last_error(stream, OK)
		assert_code(stream.mark_as_read(), OK, "mark_as_read")


func test_longest_message_fits() -> void:
	for layout: int in LAYOUTS:
		var memory := created(64)
		var stream := attached(memory, layout)
		var capacity := stream.get_capacity()
		assert_eq(capacity, 44 if layout == V2 else 59, "capacity")
		assert_code(stream.write("x".repeat(capacity)), OK, "the longest")
		var before := memory.read()
		expect_error("SharedMemoryStream.write(): value: %d bytes are too many" % (capacity + 1))
		assert_code(stream.write("x".repeat(capacity + 1)), ERR_INVALID_PARAMETER, "one more")
		expect_error("SharedMemoryStream.write(): ")
		assert_code(stream.write(PackedFloat64Array(range(9))), ERR_INVALID_PARAMETER, "numbers")
		assert_eq(memory.read(), before, "nothing was written")
		assert_eq(stream.read(), "x".repeat(capacity), "it is still there")


func test_values_of_other_types_are_refused() -> void:
	var memory := created(64)
	var stream := attached(memory)
	stream.write("before")
	var before := memory.read()
	for value: Variant in [null, 1, 0.5, true, Vector2.ZERO, [], {}, PackedInt32Array([1]), memory]:
		expect_error("SharedMemoryStream.write(): value must be a String, PackedByteArray, ")
		assert_code(stream.write(value), ERR_INVALID_PARAMETER, str(value))
	assert_eq(memory.read(), before, "nothing was written")


func test_mark_as_read_is_seen_by_the_writer() -> void:
	for layout: int in [V1, V2]:
		var memory := created(64)
		var writer := attached(memory, layout)
		var reader := attached(opened(memory), layout)
		assert_true(writer.is_message_read(), "there is none")
		writer.write("first")
		assert_false(writer.is_message_read(), "not yet")
		reader.read()
		assert_false(writer.is_message_read(), "reading alone doesn't tell")
		assert_code(reader.mark_as_read(), OK, "mark_as_read")
		assert_true(writer.is_message_read(), "told")
		writer.write("second")
		assert_false(writer.is_message_read(), "the second")
	var oldest := attached(created(64), V0)
	oldest.write("x")
	assert_code(oldest.mark_as_read(), OK, "does nothing")
	assert_false(oldest.is_message_read(), "can't be told")
	assert_last_error(oldest, ERR_UNAVAILABLE)


func test_poll_emits_each_new_message() -> void:
	for layout: int in LAYOUTS:
		var memory := created(64)
		var writer := attached(memory, layout)
		var reader := attached(opened(memory), layout)
		var got := []
		reader.message_received.connect(func(value: Variant) -> void: got.append(value))
		assert_code(reader.poll(), OK, "nothing yet")
		for value: Variant in ["one", PackedFloat32Array([1, 2]), PackedByteArray([9])]:
			writer.write(value)
			assert_code(reader.poll(), OK, "poll")
			assert_code(reader.poll(), OK, "once more")
			if layout != V0:
				assert_true(writer.is_message_read(), "the writer knows")
		assert_eq(got, ["one", PackedFloat32Array([1, 2]), PackedByteArray([9])], "got")


## In V2, also one from before anybody was attached.
func test_poll_emits_message_from_before_attach() -> void:
	var memory := created(64)
	attached(memory).write("early")
	var reader := attached(opened(memory, SharedMemory.ACCESS_READ_ONLY))
	var got := []
	reader.message_received.connect(func(value: Variant) -> void: got.append(value))
	assert_code(reader.poll(), OK, "read-only memory will do")
	assert_eq(got, ["early"], "got")


## A handler may do anything with the object that emits.
func test_handler_can_drop_the_stream() -> void:
	var memory := created(64)
	var holder := [attached(memory)]
	var stream: SharedMemoryStream = holder[0]
	stream.write("bye")
	var got := []
	stream.message_received.connect(
		func(value: Variant) -> void:
			got.append(value)
			holder[0].detach()
			memory.close()
			holder.clear()
	)
	stream = null
	assert_code(holder[0].poll(), OK, "poll")
	assert_eq(got, ["bye"], "got")
	assert_eq(holder, [], "the handler has dropped it")


func test_handler_can_poll() -> void:
	var memory := created(64)
	var stream := attached(memory)
	var got := []
	var answer := func(value: String) -> void:
		got.append(value)
		if got.size() < 4:
			stream.write(value + "!")
			stream.poll()
	stream.message_received.connect(answer)
	stream.write("a")
	assert_code(stream.poll(), OK, "poll")
	assert_eq(got, ["a", "a!", "a!!", "a!!!"], "got")
	stream.message_received.disconnect(answer)


func test_stream_stays_with_the_segment_it_was_attached_to() -> void:
	var memory := created(64)
	var stream := attached(memory)
	assert_eq(stream.get_memory(), memory, "get_memory")
	stream.write("x")
	memory.close()
	expect_error("SharedMemoryStream.read(): the attached memory has been closed")
	assert_eq(stream.read(), null, "closed")
	assert_last_error(stream, ERR_UNCONFIGURED)
	assert_eq(stream.get_memory(), memory, "the object is still known")
	assert_code(memory.create(unique_name(), 64), OK, "another segment")
	expect_error("SharedMemoryStream.write(): the attached memory has been closed")
	assert_code(stream.write("y"), ERR_UNCONFIGURED, "is none of its business")
	assert_eq(memory.read(), pattern_of_zeros(64), "nothing was written")
	assert_code(stream.attach(memory, V2), OK, "attach again")
	assert_code(stream.write("y"), OK, "write")


## The segment stays open as long as a stream needs it.
func test_stream_keeps_its_memory() -> void:
	var memory := created(64)
	var name := memory.get_name()
	var stream := attached(memory)
	memory = null
	assert_true(SharedMemory.exists(name), "kept")
	assert_code(stream.write("x"), OK, "write")
	assert_eq(stream.get_memory().get_name(), name, "get_memory")
	stream.detach()
	assert_false(SharedMemory.exists(name), "let go of")
	assert_true(stream.get_memory() == null, "none")
	stream.detach()


func test_failed_attach_keeps_the_old_memory() -> void:
	var memory := created(64)
	var stream := attached(memory)
	stream.write("kept")
	expect_error("SharedMemoryStream.attach(): memory must be a SharedMemory, not null")
	assert_code(stream.attach(null, V2), ERR_INVALID_PARAMETER, "null")
	expect_error("SharedMemoryStream.attach(): no segment is open")
	assert_code(stream.attach(SharedMemory.new(), V2), ERR_UNCONFIGURED, "not open")
	for layout: int in numbers_outside("Layout", "SharedMemoryStream"):
		expect_error("SharedMemoryStream.attach(): layout must be a SharedMemoryStream.Layout")
		assert_code(stream.attach(memory, layout), ERR_INVALID_PARAMETER, "layout %d" % layout)
	var small := created(19)
	expect_error("SharedMemoryStream.attach(): 19 bytes of memory are too few")
	assert_code(stream.attach(small, V2), ERR_INVALID_PARAMETER, "too small")
	assert_eq(stream.read(), "kept", "still attached")


func test_read_only_memory_refuses_write() -> void:
	var memory := created(64)
	var writer := attached(memory)
	writer.write("to all")
	var reader := attached(opened(memory, SharedMemory.ACCESS_READ_ONLY))
	assert_eq(reader.read(), "to all", "read")
	assert_code(reader.write("x"), ERR_UNAUTHORIZED, "write")
	assert_code(reader.mark_as_read(), ERR_UNAUTHORIZED, "mark_as_read")
	assert_code(reader.reset(), ERR_UNAUTHORIZED, "reset")
	assert_eq(writer.read(), "to all", "unchanged")


func test_lock_of_dead_process_times_out() -> void:
	var memory := created(64)
	var stream := attached(memory)
	stream.write("before")
	memory.encode_u32(LOCK, 1)
	for timeout: int in [0, 1, 30]:
		stream.lock_timeout_msec = timeout
		var start := Time.get_ticks_usec()
		assert_code(stream.write("x"), ERR_TIMEOUT, "write")
		assert_true(Time.get_ticks_usec() - start >= timeout * 1000, "it has waited")
		assert_eq(stream.read(), null, "read")
		assert_last_error(stream, ERR_TIMEOUT, ["reset()"])
		assert_code(stream.poll(), ERR_TIMEOUT, "poll prints nothing")
	assert_code(stream.reset(), OK, "reset")
	assert_eq(stream.read(), null, "no message")
	assert_code(stream.write("after"), OK, "write")
	assert_eq(stream.read(), "after", "read")


func test_lock_timeout_has_limits() -> void:
	var stream := SharedMemoryStream.new()
	assert_eq(stream.lock_timeout_msec, 10, "default")
	for good: int in [0, 2147483647]:
		stream.lock_timeout_msec = good
		assert_eq(stream.lock_timeout_msec, good, "set")
	for bad: int in [-1, 2147483648, -9223372036854775808, 9223372036854775807]:
		expect_error("SharedMemoryStream.set_lock_timeout_msec(): lock_timeout_msec must be from 0")
		stream.lock_timeout_msec = bad
		assert_eq(stream.lock_timeout_msec, 2147483647, "unchanged by %d" % bad)
		assert_last_error(stream, ERR_INVALID_PARAMETER, [str(bad)])


func test_wrong_size_is_refused() -> void:
	for layout: int in LAYOUTS:
		var memory := created(64)
		var stream := attached(memory, layout)
		stream.write("x")
		for size: int in [60, 1 << 31, 0xffffffff]:
			memory.encode_u32(SIZE if layout == V2 else 1, size)
			assert_eq(stream.read(), null, "read")
			assert_last_error(stream, ERR_INVALID_DATA, [str(size)])
			assert_code(stream.poll(), ERR_INVALID_DATA, "poll")
			var other := SharedMemoryStream.new()
			assert_code(other.attach(memory, layout), ERR_INVALID_DATA, "attach")
		assert_code(stream.write("y"), ERR_INVALID_DATA, "write")
		assert_code(stream.reset(), OK, "in memory of its own")
		assert_code(stream.write("y"), OK, "write")
		assert_eq(stream.read(), "y", "read")


func test_invalid_text_is_replaced_or_cut() -> void:
	var memory := created(64)
	var stream := attached(memory)
	stream.write("ab.cd")
	memory.encode_u8(20 + 2, 0xff)
	assert_eq(stream.read(), "ab\ufffdcd", "no UTF-8")
	memory.encode_u8(20 + 2, 0)
	assert_eq(stream.read(), "ab", "a NUL")


func test_truncated_memory_fails_calls() -> void:
	if not is_linux():
		return skip("segments are no files here")
	var memory := created(64)
	var other := opened(memory)
	var stream := attached(other)
	FileAccess.open(file_of(memory.get_name()), FileAccess.WRITE).close()
	assert_code(stream.write("x"), ERR_FILE_CORRUPT, "write")
	assert_eq(other.get_status(), SharedMemory.STATUS_ERROR, "the memory let go")
	expect_error("SharedMemoryStream.write(): the attached memory is gone")
	assert_code(stream.write("x"), ERR_UNCONFIGURED, "write")
	assert_code(stream.poll(), ERR_UNCONFIGURED, "poll prints nothing")


func test_untyped_calls_from_threads_work() -> void:
	var memory := created(256)
	var stream: Variant = attached(memory)
	assert_eq(stream.call("write", "untyped"), OK, "write")
	assert_eq(stream.call("read"), "untyped", "read")
	assert_eq(stream.callv("attach", [memory, 3]), OK, "attach")
	expect_error("Cannot convert argument")
	assert_eq(stream.callv("attach", [RefCounted.new(), 3]), null, "another class")
	stream.lock_timeout_msec = 10_000
	var threads: Array[Thread] = []
	for number in 4:
		var thread := Thread.new()
		thread.start(_write_and_read.bind(stream, str(number).repeat(200)))
		threads.append(thread)
	for thread in threads:
		assert_eq(thread.wait_to_finish(), "", "a thread")


func _write_and_read(stream: SharedMemoryStream, text: String) -> String:
	for _i in 2000:
		if stream.write(text) != OK:
			return "write: " + stream.get_last_error_message()
		# Either writer may have written the message.
		var got: Variant = stream.read()
		if not got is String or got != got[0].repeat(200):
			return str(got)
	return ""


func attached(memory: SharedMemory, layout := V2) -> SharedMemoryStream:
	var stream := SharedMemoryStream.new()
	assert_code(stream.attach(memory, layout), OK, "attach")
	return stream


func pattern_of_zeros(size: int) -> PackedByteArray:
	var zeros := PackedByteArray()
	zeros.resize(size)
	return zeros
