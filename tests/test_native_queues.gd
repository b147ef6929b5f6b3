extends "res://test_case.gd"
## SharedMemoryQueue in the native layout: messages in order, roles, and waits.
##
## scenarios/test_messages.py has those of two programs.

const MAX := 9223372036854775807
const MIN := -9223372036854775808
const LONG_MSEC := 20_000
## The time in which a wait ends that nothing wakes, on a busy machine.
const SOON_MSEC := 500
const V2 := SharedMemoryQueue.LAYOUT_LSM_V2


func test_messages_keep_their_order() -> void:
	var memory := created(4096)
	var producer := attached(memory, 1024)
	var consumer := attached(opened(memory))
	assert_true(consumer.is_empty(), "empty")
	for round_number in 100:
		var sent := ["Grüße", PackedByteArray([1, round_number]), "", "x".repeat(round_number)]
		for value: Variant in sent:
			assert_code(producer.enqueue(value), OK, "enqueue")
		assert_eq(consumer.get_message_count(), 4, "count")
		assert_eq(producer.peek(), sent[0], "peek of the other")
		for value: Variant in sent:
			assert_eq(consumer.peek(), value, "peek")
			assert_eq(consumer.dequeue(), value, "dequeue")
			assert_last_error(consumer, OK)
	assert_true(consumer.is_empty(), "empty")
	for method: String in ["dequeue", "peek"]:
		assert_eq(consumer.call(method), null, method)
		assert_last_error(consumer, ERR_DOES_NOT_EXIST, ["no message"])


func test_counts_and_capacities_agree() -> void:
	var memory := created(4096)
	var queue := SharedMemoryQueue.new()
	assert_code(queue.attach(memory, 0, 500, 2), OK, "attach")
	assert_eq(queue.get_byte_capacity(), 1024, "two buffers, rounded up")
	assert_eq(queue.get_max_message_size(), 232, "less than half of a buffer")
	assert_eq(queue.get_byte_count(), 0, "nothing")
	assert_eq(queue.get_capacity(), 0, "depends")
	assert_last_error(queue, ERR_UNAVAILABLE, ["get_byte_capacity()"])
	queue.enqueue(pattern(10))
	assert_eq(queue.get_byte_count(), 24, "8 more, in steps of 8")
	assert_eq(queue.get_message_count(), 1, "one")
	var sent := 1
	while queue.enqueue(PackedByteArray()) == OK:
		sent += 1
	assert_last_error(queue, ERR_BUSY, ["full"])
	assert_eq(queue.get_byte_count(), 512, "its buffer")
	assert_eq(queue.get_message_count(), sent, "messages")
	assert_false(queue.is_full(), "the other producer's buffer is empty")
	var other := attached(opened(memory))
	while other.enqueue(PackedByteArray()) == OK:
		sent += 1
	assert_true(queue.is_full(), "both are full")
	assert_eq(queue.dequeue_all().size(), sent, "all of both")
	assert_eq(queue.get_byte_count(), 0, "nothing")
	# In the other layouts, each message takes the same.
	var lsm := SharedMemoryQueue.new()
	lsm.attach(created(28 + 3 * 14), V2, 10)
	lsm.enqueue(bytes([1]))
	for method: Array in [["get_capacity", 3], ["get_byte_capacity", 42], ["get_byte_count", 14]]:
		assert_eq(lsm.call(method[0]), method[1], method[0])


func test_dequeue_all_and_clear_take_all_out() -> void:
	for layout: int in [0, V2]:
		var memory := created(4096)
		var queue := SharedMemoryQueue.new()
		queue.attach(memory, layout, 64)
		assert_eq(queue.dequeue_all(), [], "none")
		assert_last_error(queue, OK)
		assert_code(queue.clear(), OK, "none")
		for number in 3:
			queue.enqueue(bytes([number]))
		assert_eq(queue.dequeue_all(), [bytes([0]), bytes([1]), bytes([2])], "all")
		assert_true(queue.is_empty(), "none is left")
		for number in 3:
			queue.enqueue(bytes([number]))
		assert_code(queue.clear(), OK, "clear")
		assert_true(queue.is_empty(), "none is left")
		assert_eq(queue.dequeue(), null, "none is left")
		queue.enqueue(bytes([7]))
		assert_eq(queue.dequeue(), bytes([7]), "it goes on")


func test_producers_are_served_in_turn() -> void:
	var memory := created(4096)
	var consumer := SharedMemoryQueue.new()
	consumer.attach(memory, 0, 256, 2)
	var producers: Array[SharedMemoryQueue] = [attached(opened(memory)), attached(opened(memory))]
	for number in 3:
		for producer in 2:
			producers[producer].enqueue("%d%d" % [producer, number])
	assert_eq(consumer.dequeue_all(), ["00", "10", "01", "11", "02", "12"], "in turn")
	assert_code(consumer.enqueue("x"), ERR_ALREADY_IN_USE, "a third")
	assert_last_error(consumer, ERR_ALREADY_IN_USE, ["for 2 producers"])
	producers[0].detach()
	assert_code(consumer.enqueue("x"), OK, "there is a place now")


func test_second_consumer_is_refused_until_the_first_ends() -> void:
	var memory := created(4096)
	var first := attached(memory, 256)
	first.enqueue("a")
	first.enqueue("b")
	for take: Array in [["dequeue"], ["dequeue_all"], ["clear"], ["wait", 0], ["poll"]]:
		var second := attached(opened(memory))
		first.callv(take[0], take.slice(1))
		# The other side's state: nothing is printed. An object of the same memory is another one, too.
		for other: SharedMemoryQueue in [second, attached(memory)]:
			for call: Array in [["dequeue"], ["dequeue_all"], ["clear"], ["wait", 0], ["poll"]]:
				other.callv(call[0], call.slice(1))
				assert_last_error(other, ERR_ALREADY_IN_USE, ["the consumer"])
		# These take no role.
		assert_true(second.get_message_count() <= 2, "count")
		assert_last_error(second, OK)
		first.detach()
		assert_code(second.wait(0), OK if second.get_message_count() else ERR_TIMEOUT, "now")
		second.detach()
		first.attach(memory)


func test_memory_lays_out_as_much_as_is_asked_for() -> void:
	var memory := created(4096)
	var queue := SharedMemoryQueue.new()
	assert_code(queue.attach(opened(memory)), ERR_BUSY, "the creator decides")
	assert_code(queue.attach(opened(memory), 0, 256, 2), OK, "a size")
	assert_code(queue.attach(memory, 0, 257), ERR_INVALID_PARAMETER, "a larger buffer")
	assert_last_error(queue, ERR_INVALID_PARAMETER, ["is 256", "512"])
	assert_code(queue.attach(memory, 0, 256, 3), ERR_INVALID_PARAMETER, "more producers")
	assert_last_error(queue, ERR_INVALID_PARAMETER, ["the number of producers", "is 2", "3"])
	assert_eq(queue.get_byte_capacity(), 512, "still attached")
	assert_eq(attached(created(4096)).get_byte_capacity(), 2048, "the creator uses what it can")


func test_bad_arguments_are_refused() -> void:
	var memory := created(4096)
	var queue := SharedMemoryQueue.new()
	for call: Array in [
		["buffer_size must be 0 or more, not -1", [memory, 0, -1]],
		["buffer_size must be from 1 to 1073741824, not 1073741825", [memory, 0, (1 << 30) + 1]],
		["buffer_size must be from 1 to 1073741824, not %d" % MAX, [memory, 0, MAX]],
		["producers must be from 1 to 64, not 0", [memory, 0, 0, 0]],
		["producers must be from 1 to 64, not 65", [memory, 0, 0, 65]],
		["producers must be from 1 to 64, not %d" % MIN, [memory, V2, 9, MIN]],
		["4096 bytes of memory are too few", [memory, 0, 4096]],
	]:
		expect_error("SharedMemoryQueue.attach(): " + call[0])
		assert_code(queue.callv("attach", call[1]), ERR_INVALID_PARAMETER, call[0])
		assert_eq(memory.read().count(0), 4096, "nothing was written")
	queue.attach(memory, 0, 64)
	var limit := queue.get_max_message_size()
	expect_error("SharedMemoryQueue.enqueue(): value: %d bytes are too many" % (limit + 1))
	assert_code(queue.enqueue(pattern(limit + 1)), ERR_INVALID_PARAMETER, "too long")
	for call: Array in [["enqueue", bytes([1]), -1], ["dequeue", MIN], ["wait", -1]]:
		expect_error("SharedMemoryQueue.%s(): timeout_msec must be 0 or more" % call[0])
		queue.callv(call[0], call.slice(1))
		assert_last_error(queue, ERR_INVALID_PARAMETER, [str(call[-1])])
	assert_true(queue.is_empty(), "nothing was done")
	queue.enqueue(pattern(limit))
	assert_eq(queue.dequeue(MAX), pattern(limit), "the longest")


## Nothing is printed, and poll() succeeds. The messages that were not taken out are lost.
func test_connected_method_may_let_go_of_the_queue() -> void:
	for method: String in ["close", "detach"]:
		var queue := SharedMemoryQueue.new()
		assert_code(queue.create(unique_name(), 4096), OK, "create")
		for value in 3:
			assert_code(queue.enqueue(value), OK, "enqueue")
		var told := []
		var receive := func(value: Variant) -> void:
			told.append(value)
			queue.call(method)
		queue.message_received.connect(receive)
		assert_code(queue.poll(), OK, method)
		assert_last_error(queue, OK)
		assert_eq(told, [0], "until then")
		assert_code(queue.poll(), ERR_UNCONFIGURED, "the next poll")
		queue.message_received.disconnect(receive)


func test_poll_emits_each_message() -> void:
	var queue := attached(created(4096), 1024)
	var got := []
	var again := func(value: Variant) -> void:
		got.append(value)
		queue.enqueue(value)
	queue.message_received.connect(again)
	assert_code(queue.poll(), OK, "none")
	queue.enqueue("a")
	queue.enqueue(PackedByteArray())
	assert_code(queue.poll(), OK, "poll")
	assert_eq(got, ["a", PackedByteArray()], "those that were there")
	assert_eq(queue.get_message_count(), 2, "the next ones wait")
	queue.message_received.disconnect(again)


func test_read_only_memory_can_look() -> void:
	var memory := created(4096)
	var owner := attached(memory, 256)
	owner.enqueue("a")
	var before := memory.read()
	var looker := attached(opened(memory, SharedMemory.ACCESS_READ_ONLY))
	assert_eq(looker.peek(), "a", "peek")
	assert_eq(looker.get_message_count(), 1, "count")
	for call: Array in [
		["enqueue", "b"], ["dequeue"], ["dequeue_all"], ["clear"], ["wait", 1], ["poll"], ["reset"]
	]:
		looker.callv(call[0], call.slice(1))
		assert_last_error(looker, ERR_UNAUTHORIZED)
	assert_eq(memory.read(), before, "unchanged")
	assert_eq(owner.dequeue(), "a", "no role was taken")


func test_reset_needs_all_roles() -> void:
	var memory := created(4096)
	var producer := attached(memory, 256)
	var consumer := attached(opened(memory))
	producer.enqueue("a")
	assert_code(consumer.reset(), ERR_ALREADY_IN_USE, "there is a producer")
	consumer.peek()
	assert_code(producer.reset(), OK, "alone")
	assert_true(consumer.is_empty(), "empty")
	producer.enqueue("b")
	assert_eq(consumer.dequeue(), "b", "as new")


func test_message_ends_a_wait() -> void:
	for layout: int in [0, V2]:
		var memory := created(4096)
		var producer := SharedMemoryQueue.new()
		producer.attach(memory, layout, 256)
		var consumer := SharedMemoryQueue.new()
		consumer.attach(opened(memory), layout)
		var start := Time.get_ticks_usec()
		for timeout: int in [1, 40]:
			assert_eq(consumer.dequeue(timeout), null, "%d ms" % timeout)
			assert_last_error(consumer, ERR_TIMEOUT, ["message", "%dms" % timeout])
			assert_code(consumer.wait(timeout), ERR_TIMEOUT, "%d ms" % timeout)
		assert_true(Time.get_ticks_usec() - start >= 82_000, "it has waited")
		assert_code(consumer.wait(0), ERR_TIMEOUT, "only looks")
		for call: Array in [["dequeue", LONG_MSEC], ["wait", LONG_MSEC]]:
			var thread := calling(consumer, call)
			OS.delay_msec(60)
			assert_true(thread.is_alive(), "it waits")
			start = Time.get_ticks_msec()
			producer.enqueue(bytes([7]))
			var found: Array = thread.wait_to_finish()
			assert_code(found[1], OK, call[0])
			assert_true(Time.get_ticks_msec() - start < SOON_MSEC, "soon")
		assert_eq(consumer.dequeue(), bytes([7]), "the second is still there")


func test_room_ends_a_wait() -> void:
	for layout: int in [0, V2]:
		var memory := created(28 + 5 * 104 + 200)
		var producer := SharedMemoryQueue.new()
		producer.attach(memory, layout, 100)
		var consumer := SharedMemoryQueue.new()
		consumer.attach(opened(memory), layout)
		while producer.enqueue(pattern(40)) == OK:
			pass
		assert_last_error(producer, ERR_BUSY)
		var start := Time.get_ticks_usec()
		assert_code(producer.enqueue(pattern(40), 30), ERR_TIMEOUT, "30 ms")
		assert_last_error(producer, ERR_TIMEOUT, ["room", "30ms"])
		assert_true(Time.get_ticks_usec() - start >= 30_000, "it has waited")
		var count := consumer.get_message_count()
		var thread := calling(producer, ["enqueue", pattern(40), LONG_MSEC])
		OS.delay_msec(60)
		assert_true(thread.is_alive(), "it waits")
		start = Time.get_ticks_msec()
		while consumer.dequeue():
			pass
		assert_code(thread.wait_to_finish()[1], OK, "enqueue")
		assert_true(Time.get_ticks_msec() - start < SOON_MSEC, "soon")
		assert_true(count > 0, "it was full")


func test_wait_ends_if_the_partner_ends() -> void:
	var memory := created(4096)
	var producer := attached(memory, 64)
	producer.enqueue("x")
	var consumer := attached(opened(memory))
	assert_eq(consumer.dequeue(), "x", "it has had a producer")
	var thread := calling(consumer, ["dequeue", LONG_MSEC])
	OS.delay_msec(100)
	producer.detach()
	assert_code(thread.wait_to_finish()[1], ERR_CONNECTION_ERROR, "the last producer")
	assert_code(consumer.wait(60), ERR_TIMEOUT, "the next wait is for another one")
	producer.attach(memory)
	while producer.enqueue("x") == OK:
		pass
	thread = calling(producer, ["enqueue", "x", LONG_MSEC])
	OS.delay_msec(100)
	consumer.detach()
	assert_code(thread.wait_to_finish()[1], ERR_CONNECTION_ERROR, "the consumer")


func test_detach_and_close_end_waits() -> void:
	for layout: int in [0, V2]:
		for way: String in ["detach", "attach", "close"]:
			var memory := created(512 + 256)
			var other := SharedMemoryQueue.new()
			assert_code(other.attach(memory, layout, 64), OK, "attach")
			var theirs := opened(memory)
			var queue := SharedMemoryQueue.new()
			queue.attach(theirs, layout)
			var threads := [
				calling(queue, ["dequeue", LONG_MSEC]), calling(queue, ["wait", LONG_MSEC])
			]
			OS.delay_msec(60)
			var start := Time.get_ticks_usec()
			match way:
				"detach":
					queue.detach()
				"attach":
					queue.attach(memory, layout)
				"close":
					theirs.close()
			assert_true(Time.get_ticks_usec() - start < 15_000, way + " doesn't wait")
			for thread: Thread in threads:
				assert_code(thread.wait_to_finish()[1], ERR_UNCONFIGURED, way)
			var msec := (Time.get_ticks_usec() - start) / 1000
			assert_true(msec < SOON_MSEC, "%s: %d ms" % [way, msec])
			# The role is free again.
			other.enqueue(bytes([1]))
			assert_eq(other.dequeue(), bytes([1]), "another consumer")


func test_truncation_ends_a_wait() -> void:
	if not is_linux():
		return skip("segments are not files here")
	for call: Array in [["dequeue", LONG_MSEC], ["enqueue", bytes([1]), LONG_MSEC]]:
		var memory := created(8192)
		var queue := attached(memory, 64)
		while call[0] == "enqueue" and queue.enqueue(bytes([1])) == OK:
			pass
		var thread := calling(queue, call)
		OS.delay_msec(60)
		var file := FileAccess.open(file_of(memory.get_name()), FileAccess.READ_WRITE)
		file.resize(0)
		file.close()
		assert_code(thread.wait_to_finish()[1], ERR_FILE_CORRUPT, call[0])
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")


func test_threads_lose_nothing() -> void:
	const EACH := 3000
	var memory := created(16384)
	var queue := SharedMemoryQueue.new()
	queue.attach(memory, 0, 512, 3)
	# Two objects, one of which is used by two threads.
	var second := attached(opened(memory))
	var producers: Array[Thread] = []
	for producer: SharedMemoryQueue in [queue, second, second]:
		var thread := Thread.new()
		thread.start(_produce.bind(producer, producers.size(), EACH))
		producers.append(thread)
	var consumers: Array[Thread] = []
	for _number in 2:
		var thread := Thread.new()
		thread.start(_consume.bind(queue))
		consumers.append(thread)
	for thread in producers:
		assert_eq(thread.wait_to_finish(), OK, "a producer")
	# Lanes are served in turn: an end would overtake messages of another lane.
	while not queue.is_empty():
		OS.delay_msec(1)
	for _number in 2:
		assert_code(queue.enqueue("end", LONG_MSEC), OK, "end")
	var got := {}
	for thread in consumers:
		var last := {}
		for text: String in thread.wait_to_finish():
			if text in got:
				fail(text + " twice")
			got[text] = true
			var from := text.get_slice(":", 0)
			var number := text.get_slice(":", 1).to_int()
			if number <= last.get(from, -1):
				fail("%s after %d" % [text, last[from]])
			last[from] = number
	assert_eq(got.size(), 3 * EACH, "each message once")


func _produce(queue: SharedMemoryQueue, number: int, count: int) -> Error:
	for index in count:
		var code := queue.enqueue("%d:%d" % [number, index], LONG_MSEC)
		if code != OK:
			return code
	return OK


func _consume(queue: SharedMemoryQueue) -> Array:
	var got := []
	while true:
		var message: Variant = queue.dequeue(LONG_MSEC)
		if message == null or message == "end":
			return got
		got.append(message)
	return got


func test_each_backend_with_locks_has_streams_and_queues() -> void:
	var folder := ProjectSettings.globalize_path("user://" + unique_name())
	DirAccess.make_dir_absolute(folder)
	if OS.get_environment("XDG_RUNTIME_DIR").is_empty():
		OS.set_environment("XDG_RUNTIME_DIR", folder)
	var names := {SharedMemory.BACKEND_FILE: folder.path_join("file")}
	if is_linux():
		names[SharedMemory.BACKEND_MEMFD] = unique_name()
		names[SharedMemory.BACKEND_SYSV] = unique_name()
	for backend: SharedMemory.Backend in names:
		for of_class: String in ["SharedMemoryQueue", "SharedMemoryStream"]:
			var objects: Array[RefCounted] = []
			var memories: Array[SharedMemory] = []
			for number in 2:
				var memory := SharedMemory.new()
				memory.backend = backend
				var code := (
					memory.open(names[backend]) if number else memory.create(names[backend], 4096)
				)
				assert_code(code, OK, "memory")
				memories.append(memory)
				var object: RefCounted = ClassDB.instantiate(of_class)
				var expected := OK
				if backend == SharedMemory.BACKEND_SYSV:
					# It has no locks.
					expected = ERR_UNAVAILABLE
				assert_code(object.call("attach", memory), expected, "attach")
				objects.append(object)
			if backend == SharedMemory.BACKEND_SYSV:
				assert_last_error(objects[0], ERR_UNAVAILABLE, ["System V memory"])
			elif of_class == "SharedMemoryQueue":
				assert_code(objects[0].call("enqueue", "x"), OK, "enqueue")
				assert_code(objects[1].call("enqueue", "x"), ERR_ALREADY_IN_USE, "of another")
				assert_eq(objects[1].call("dequeue", 1000), "x", "dequeue")
			else:
				assert_code(objects[0].call("write", "x"), OK, "write")
				assert_code(objects[1].call("write", "x"), ERR_ALREADY_IN_USE, "of another")
				assert_eq(objects[1].call("read"), "x", "read")
			memories[0].unlink()
	DirAccess.remove_absolute(folder.path_join("file"))
	DirAccess.remove_absolute(folder)


func test_untyped_calls_work() -> void:
	var memory: Variant = created(4096)
	var queue: Variant = ClassDB.instantiate("SharedMemoryQueue")
	assert_eq(queue.attach(memory, 0, 100.0), OK, "attach")
	assert_eq(queue.call("enqueue", "untyped"), OK, "enqueue")
	assert_eq(queue.callv("enqueue", [bytes([1]), 0]), OK, "enqueue")
	assert_eq(queue.call("dequeue"), "untyped", "dequeue")
	assert_eq(queue.call("dequeue_all"), [bytes([1])], "dequeue_all")
	expect_error("Cannot convert argument")
	assert_eq(queue.callv("dequeue", ["1"]), null, "another type")


## To detach an object ends the calls that wait in other threads. One of them may begin a moment
## later.
func test_waits_after_detach_and_close_print_nothing() -> void:
	for layout: int in [0, V2]:
		for way: String in ["detach", "close"]:
			var memory := created(4096)
			var queue := SharedMemoryQueue.new()
			assert_code(queue.attach(memory, layout, 100), OK, "attach")
			if way == "detach":
				queue.detach()
			else:
				memory.close()
			assert_code(queue.wait(1), ERR_UNCONFIGURED, way)
			assert_code(queue.enqueue(bytes([1]), 1), ERR_UNCONFIGURED, way)
			assert_eq(queue.dequeue(1), null, way)
			assert_last_error(queue, ERR_UNCONFIGURED, ["attach()"])
			# Calls that can't wait are mistakes.
			expect_error("SharedMemoryQueue.dequeue():")
			assert_eq(queue.dequeue(), null, way)
			expect_error("SharedMemoryQueue.enqueue():")
			assert_code(queue.enqueue(bytes([1])), ERR_UNCONFIGURED, way)


func test_calls_fail_while_not_attached() -> void:
	var queue := SharedMemoryQueue.new()
	for call: Array in [
		["enqueue", "x", LONG_MSEC],
		["dequeue", LONG_MSEC],
		["dequeue_all"],
		["clear"],
		["wait", LONG_MSEC],
		["get_byte_count"],
		["get_byte_capacity"],
	]:
		expect_error("SharedMemoryQueue.%s(): no memory is attached" % call[0])
		queue.callv(call[0], call.slice(1))
		assert_last_error(queue, ERR_UNCONFIGURED)


## Calls it in a thread, which returns the result, the code and the message.
func calling(queue: SharedMemoryQueue, call: Array) -> Thread:
	var thread := Thread.new()
	thread.start(
		func() -> Array:
			var result: Variant = queue.callv(call[0], call.slice(1))
			var code: Error = queue.get_last_error()
			# Other threads may have called since.
			if result is int:
				code = result
			return [result, code, queue.get_last_error_message()]
	)
	return thread


func attached(memory: SharedMemory, size := 0) -> SharedMemoryQueue:
	var queue := SharedMemoryQueue.new()
	assert_code(queue.attach(memory, SharedMemoryQueue.LAYOUT_NATIVE, size), OK, "attach")
	return queue
