extends "res://test_case.gd"
## SharedMemoryQueue in the layouts of libsharedmemory. test_native_queues.gd has the native one.

const V1 := SharedMemoryQueue.LAYOUT_LSM_V1
const V2 := SharedMemoryQueue.LAYOUT_LSM_V2
const LAYOUTS := [V1, V2]
const HEADERS := {V1: 20, V2: 28}
## In the header of both.
const COUNT := 12
## In V2.
const CONSUMERS_LOCK := 24


func test_messages_keep_their_order() -> void:
	for layout: int in LAYOUTS:
		var memory := created(HEADERS[layout] + 3 * 14)
		var producer := attached(memory, layout, 10)
		var consumer := attached(opened(memory), layout)
		assert_eq(consumer.get_capacity(), 3, "as many as fit")
		assert_eq(consumer.get_max_message_size(), 10, "the producer says so")
		assert_true(consumer.is_empty(), "empty")
		for round in 5:
			for value: int in [1, 2, 3]:
				assert_false(producer.is_full(), "not yet")
				assert_code(producer.enqueue(bytes([round, value])), OK, "enqueue")
			assert_true(consumer.is_full(), "full")
			assert_false(consumer.is_empty(), "and so not empty")
			assert_code(producer.enqueue(bytes([9])), ERR_BUSY, "one too many")
			assert_last_error(producer, ERR_BUSY, ["3"])
			assert_eq(consumer.get_message_count(), 3, "count")
			assert_eq(consumer.peek(), bytes([round, 1]), "peek")
			for value: int in [1, 2, 3]:
				assert_eq(consumer.dequeue(), bytes([round, value]), "dequeue")
				assert_last_error(consumer, OK)


## A message may have no bytes.
func test_empty_messages_are_messages() -> void:
	var queue := attached(created(200), V2, 10)
	assert_code(queue.enqueue(PackedByteArray()), OK, "enqueue")
	assert_eq(queue.peek(), PackedByteArray(), "peek")
	assert_last_error(queue, OK)
	assert_eq(queue.dequeue(), PackedByteArray(), "dequeue")
	assert_last_error(queue, OK)
	assert_eq(queue.dequeue(), null, "no more")
	assert_last_error(queue, ERR_DOES_NOT_EXIST, ["no message"])
	assert_eq(queue.peek(), null, "no more")
	assert_last_error(queue, ERR_DOES_NOT_EXIST)
	assert_true(queue.is_empty(), "so it is empty")
	assert_last_error(queue, OK)


func test_message_that_is_too_long_is_refused() -> void:
	for layout: int in LAYOUTS:
		var memory := created(200)
		var queue := attached(memory, layout, 10)
		queue.enqueue(pattern(10))
		var before := memory.read()
		expect_error("SharedMemoryQueue.enqueue(): value: 11 bytes are too many: at most 10 fit")
		assert_code(queue.enqueue(pattern(11)), ERR_INVALID_PARAMETER, "enqueue")
		assert_eq(memory.read(), before, "nothing was written")
		assert_eq(queue.dequeue(), pattern(10), "the longest")


func test_poll_emits_each_message() -> void:
	for layout: int in LAYOUTS:
		var memory := created(500)
		var producer := attached(memory, layout, 10)
		var consumer := attached(opened(memory), layout)
		var got := []
		consumer.message_received.connect(func(data: PackedByteArray) -> void: got.append(data))
		assert_code(consumer.poll(), OK, "none")
		producer.enqueue(bytes([1]))
		producer.enqueue(PackedByteArray())
		producer.enqueue(bytes([3]))
		assert_code(consumer.poll(), OK, "all")
		assert_eq(got, [bytes([1]), PackedByteArray(), bytes([3])], "got")
		assert_code(consumer.poll(), OK, "no more")
		assert_eq(got.size(), 3, "got")


## Messages that arrive during a poll wait for the next one.
func test_poll_leaves_messages_that_handlers_add() -> void:
	var queue := attached(created(500), V2, 10)
	var got := []
	var again := func(data: PackedByteArray) -> void:
		got.append(data)
		queue.enqueue(data)
	queue.message_received.connect(again)
	queue.enqueue(bytes([1]))
	queue.enqueue(bytes([2]))
	assert_code(queue.poll(), OK, "poll")
	assert_eq(got, [bytes([1]), bytes([2])], "once each")
	queue.message_received.disconnect(again)


func test_handler_can_take_the_rest() -> void:
	var memory := created(500)
	var holder := [attached(memory, V2, 10)]
	var got := []
	var queue: SharedMemoryQueue = holder[0]
	queue.message_received.connect(
		func(data: PackedByteArray) -> void:
			got.append(data)
			holder[0].dequeue()
	)
	for value in 4:
		queue.enqueue(bytes([value]))
	assert_code(queue.poll(), OK, "poll")
	assert_last_error(queue, OK)
	assert_eq(got, [bytes([0]), bytes([2])], "got")
	holder.clear()


func test_handler_can_drop_the_queue() -> void:
	var memory := created(500)
	var holder := [attached(memory, V2, 10)]
	holder[0].enqueue(bytes([1]))
	holder[0].enqueue(bytes([2]))
	var got := []
	holder[0].message_received.connect(
		func(data: PackedByteArray) -> void:
			got.append(data)
			holder.clear()
	)
	assert_code(holder[0].poll(), OK, "poll")
	assert_eq(got, [bytes([1]), bytes([2])], "got")
	assert_eq(holder, [], "the handler has dropped it")


func test_attach_without_size_is_busy_until_another_lays_out() -> void:
	var memory := created(200)
	var early := opened(memory)
	var queue := SharedMemoryQueue.new()
	assert_code(queue.attach(early, V2), ERR_BUSY, "too early")
	assert_last_error(queue, ERR_BUSY, ["no program has finished laying it out"])
	attached(memory, V2, 10)
	assert_code(queue.attach(early, V2), OK, "now")


func test_attach_refuses_bad_sizes() -> void:
	var memory := created(100)
	var queue := SharedMemoryQueue.new()
	for size: int in [0, -1, 69, 1 << 32, 9223372036854775807, -9223372036854775808]:
		expect_error("SharedMemoryQueue.attach(): ")
		assert_code(queue.attach(memory, V2, size), ERR_INVALID_PARAMETER, "of %d" % size)
		assert_last_error(queue, ERR_INVALID_PARAMETER, [str(size)])
		assert_eq(memory.read(28), zeros(28), "nothing was laid out")
	assert_code(queue.attach(memory, V2, 68), OK, "the largest")
	assert_eq(queue.get_capacity(), 1, "one")
	for layout: int in [1] + numbers_outside("Layout", "SharedMemoryQueue"):
		expect_error("SharedMemoryQueue.attach(): layout must be a SharedMemoryQueue.Layout")
		assert_code(queue.attach(memory, layout), ERR_INVALID_PARAMETER, "layout %d" % layout)
	expect_error("SharedMemoryQueue.attach(): memory must be a SharedMemory")
	assert_code(queue.attach(null, V2), ERR_INVALID_PARAMETER, "null")
	assert_eq(queue.get_capacity(), 1, "still attached")


func test_impossible_headers_are_refused() -> void:
	for layout: int in LAYOUTS:
		# The fields: where the next is written and read, the capacity, the count, the longest.
		for field in 5:
			for value: int in [1 << 31, 0xffffffff, 0]:
				if value == 0 and field in [0, 1, 3]:
					continue
				var memory := created(200)
				var queue := attached(memory, layout, 10)
				queue.enqueue(bytes([1]))
				memory.encode_u32(4 * field, value)
				var why := "field %d is %d in layout %d" % [field, value, layout]
				var other := SharedMemoryQueue.new()
				assert_code(other.attach(memory, layout), ERR_INVALID_DATA, why)
				queue.dequeue()
				var codes := [ERR_INVALID_DATA, OK] if field == 0 else [ERR_INVALID_DATA]
				assert_true(queue.get_last_error() in codes, why)
				queue.enqueue(bytes([1]))
				codes = [ERR_INVALID_DATA, OK] if field == 1 else [ERR_INVALID_DATA]
				assert_true(queue.get_last_error() in codes, why + ", enqueue")
				assert_true(queue.poll() in [ERR_INVALID_DATA, OK], "poll prints nothing")
				assert_code(queue.reset(), OK, "reset")
				assert_code(queue.enqueue(bytes([1])), OK, "as new")
				assert_eq(queue.get_message_count(), 1, "as new")


func test_wrong_message_size_is_refused() -> void:
	for layout: int in LAYOUTS:
		var memory := created(200)
		var queue := attached(memory, layout, 10)
		queue.enqueue(bytes([1]))
		for size: int in [11, 1 << 31, 0xffffffff]:
			memory.encode_u32(HEADERS[layout], size)
			assert_eq(queue.peek(), null, "peek")
			assert_last_error(queue, ERR_INVALID_DATA, [str(size)])
			assert_eq(queue.dequeue(), null, "dequeue")
			assert_last_error(queue, ERR_INVALID_DATA, [str(size)])


func test_lock_of_dead_process_times_out() -> void:
	var memory := created(200)
	var queue := attached(memory, V2, 10)
	queue.enqueue(bytes([1]))
	memory.encode_u32(CONSUMERS_LOCK, 1)
	queue.lock_timeout_msec = 20
	var start := Time.get_ticks_usec()
	assert_eq(queue.dequeue(), null, "dequeue")
	assert_true(Time.get_ticks_usec() - start >= 20_000, "it has waited")
	assert_last_error(queue, ERR_TIMEOUT, ["reset()"])
	assert_code(queue.poll(), ERR_TIMEOUT, "poll prints nothing")
	assert_code(queue.reset(), OK, "reset")
	assert_true(queue.is_empty(), "empty")


func test_read_only_memory_refuses_changes() -> void:
	for layout: int in LAYOUTS:
		var memory := created(200)
		attached(memory, layout, 10).enqueue(bytes([1]))
		var before := memory.read()
		var queue := attached(opened(memory, SharedMemory.ACCESS_READ_ONLY), layout)
		assert_eq(queue.get_message_count(), 1, "count")
		assert_code(queue.enqueue(bytes([1])), ERR_UNAUTHORIZED, "enqueue")
		queue.dequeue()
		assert_last_error(queue, ERR_UNAUTHORIZED)
		assert_eq(queue.peek(), bytes([1]) if layout == V1 else null, "peek")
		assert_last_error(queue, OK if layout == V1 else ERR_UNAUTHORIZED)
		assert_code(queue.poll(), ERR_UNAUTHORIZED, "poll")
		assert_code(queue.reset(), ERR_UNAUTHORIZED, "reset")
		assert_eq(memory.read(), before, "unchanged")


func test_calls_fail_while_not_attached() -> void:
	var queue := SharedMemoryQueue.new()
	for method: String in ["dequeue", "peek", "is_empty", "is_full", "get_message_count", "reset"]:
		expect_error("SharedMemoryQueue.%s(): no memory is attached" % method)
		queue.call(method)
		assert_last_error(queue, ERR_UNCONFIGURED)
	assert_code(queue.poll(), ERR_UNCONFIGURED, "poll prints nothing")
	var memory := created(200)
	queue.attach(memory, V2, 10)
	memory.close()
	expect_error("SharedMemoryQueue.enqueue(): the attached memory has been closed")
	assert_code(queue.enqueue(bytes([1])), ERR_UNCONFIGURED, "closed")


func test_producers_and_consumers_in_threads_lose_nothing() -> void:
	const EACH := 2000
	var memory := created(4096)
	var producer := attached(memory, V2, 8)
	producer.lock_timeout_msec = 10_000
	var consumer := attached(opened(memory), V2)
	consumer.lock_timeout_msec = 10_000
	var threads: Array[Thread] = []
	for number in 2:
		var thread := Thread.new()
		thread.start(_produce.bind(producer, number, EACH))
		threads.append(thread)
	for _number in 2:
		var thread := Thread.new()
		thread.start(_consume.bind(consumer, EACH))
		threads.append(thread)
	var got := {}
	for thread in threads:
		for message: int in thread.wait_to_finish():
			if message in got:
				fail("%d twice" % message)
			got[message] = true
	assert_eq(got.size(), 2 * EACH, "each message once")


func _produce(queue: SharedMemoryQueue, number: int, count: int) -> Array[int]:
	for index in count:
		var message := PackedByteArray()
		message.resize(8)
		message.encode_s64(0, number * count + index)
		while queue.enqueue(message) != OK:
			OS.delay_usec(1)
	return []


func _consume(queue: SharedMemoryQueue, count: int) -> Array[int]:
	var got: Array[int] = []
	# No longer than the whole test may take.
	var until := Time.get_ticks_msec() + 30_000
	while got.size() < count and Time.get_ticks_msec() < until:
		var message: Variant = queue.dequeue()
		if message:
			got.append(message.decode_s64(0))
		else:
			OS.delay_usec(1)
	return got


func attached(memory: SharedMemory, layout := V2, max_message_size := 0) -> SharedMemoryQueue:
	var queue := SharedMemoryQueue.new()
	assert_code(queue.attach(memory, layout, max_message_size), OK, "attach")
	return queue


func zeros(size: int) -> PackedByteArray:
	var all := PackedByteArray()
	all.resize(size)
	return all
