extends "res://test_case.gd"
## Any method from any thread, at the same time as any other, of one object or of many; what goes
## together. test_anything.gd calls whatever there is.
##
## Threads return the problems that they find: only the main thread makes assertions.

# time limit: 120 s

const THREADS := 6


func test_threads_with_own_objects_work() -> void:
	var work := func(number: int) -> Array:
		var problems := []
		for round_number in 1000:
			var memory := SharedMemory.new()
			var name := "%s%d_%d" % [prefix, number, round_number]
			var codes := [
				memory.create(name, 4096),
				memory.write(pattern(64, number), round_number),
				memory.fill(number, 4000),
			]
			var buffer := PackedByteArray()
			buffer.resize(64)
			codes.append(memory.read_into(buffer, round_number))
			if codes != [OK, OK, OK, OK] or buffer != pattern(64, number):
				problems.append([name, codes, buffer])
			memory.close()
			if SharedMemory.exists(name):
				problems.append(name + " is left")
		return problems
	assert_eq(_all(work), [], "problems")


func test_threads_share_a_segment() -> void:
	var owner := created(THREADS * 1000)
	var work := func(number: int) -> Array:
		var problems := []
		for round_number in 1000:
			var memory := SharedMemory.new()
			var code := memory.open(owner.get_name())
			var data := pattern(1000, number + round_number)
			memory.write(data, number * 1000)
			if code != OK or memory.read(1000, number * 1000) != data:
				problems.append([number, round_number, code])
		return problems
	assert_eq(_all(work), [], "problems")
	assert_true(owner.is_current(), "is_current")


func test_threads_share_an_object() -> void:
	var memory := created(THREADS * 1000)
	var work := func(number: int) -> Array:
		var problems := []
		var buffer := PackedByteArray()
		buffer.resize(1000)
		for round_number in 2000:
			var data := pattern(1000, number + round_number)
			var codes := [
				memory.write(data, number * 1000), memory.read_into(buffer, number * 1000)
			]
			if codes != [OK, OK] or buffer != data or memory.read(1000, number * 1000) != data:
				problems.append([number, round_number, codes])
		return problems
	assert_eq(_all(work), [], "problems")
	assert_last_error(memory, OK)


## At a multiple of its size, nobody sees half of a number.
func test_aligned_numbers_are_in_one_piece() -> void:
	var memory := created(64)
	var other := opened(memory)
	var stop := [false]
	var writer := Thread.new()
	writer.start(
		func() -> void:
			var value := 0
			while not stop[0]:
				value = ~value
				memory.encode_s64(8, value)
				memory.encode_s32(20, value)
				memory.encode_s16(26, value)
	)
	var seen := {}
	var end := Time.get_ticks_msec() + 1000
	while Time.get_ticks_msec() < end:
		for _round in 1000:
			seen[other.decode_s64(8)] = true
			seen[other.decode_s32(20)] = true
			seen[other.decode_s16(26)] = true
	stop[0] = true
	writer.wait_to_finish()
	var values := seen.keys()
	values.sort()
	assert_eq(values, [-1, 0], "the values that were seen")


func test_worker_thread_pool_works() -> void:
	var memory := created(1000)
	var task := func(index: int) -> void: memory.write(bytes([index % 250 + 1]), index)
	var group := WorkerThreadPool.add_group_task(task, 1000)
	WorkerThreadPool.wait_for_group_task_completion(group)
	var expected := PackedByteArray()
	for index in 1000:
		expected.append(index % 250 + 1)
	assert_eq(memory.read(), expected, "the bytes of all tasks")
	var made := SharedMemory.new()
	var name := unique_name()
	var code := [FAILED]
	var id := WorkerThreadPool.add_task(func() -> void: code[0] = made.create(name, 16))
	WorkerThreadPool.wait_for_task_completion(id)
	assert_code(code[0], OK, "create in a task")
	assert_eq(made.get_name(), name, "seen here")


## Calls that have begun end on the old mapping; later ones fail because nothing is open.
func test_close_during_calls_is_safe() -> void:
	var memory := SharedMemory.new()
	var stop := [false]
	var work := func(number: int) -> Array:
		if number == 0:
			var problems := []
			for round_number in 3000:
				var code := memory.create("%sc%d" % [prefix, round_number], 8192)
				if code != OK:
					problems.append(["create", code])
				memory.fill(255)
				memory.close()
			stop[0] = true
			return problems
		return _use(memory, stop, number)
	allow_errors("SharedMemory.")
	assert_eq(_all(work), [], "problems")
	assert_eq(memory.get_status(), SharedMemory.STATUS_UNINITIALIZED, "status")
	assert_code(memory.create(unique_name(), 16), OK, "it still works")


func test_close_during_a_copy_is_safe() -> void:
	const LARGE := 64 << 20
	var memory := SharedMemory.new()
	var name := unique_name()
	var buffer := PackedByteArray()
	buffer.resize(LARGE)
	for round_number in 10:
		assert_code(memory.create(name, LARGE), OK, "create")
		memory.fill(round_number + 1)
		var copies := [0]
		var work := func() -> Error:
			var code := OK
			while code == OK:
				code = memory.read_into(buffer)
				copies[0] += 1
			return code
		allow_errors("SharedMemory.read_into(): ")
		var thread := Thread.new()
		thread.start(work)
		while copies[0] == 0:
			OS.delay_usec(100)
		# From here on it does nothing but copy.
		memory.close()
		var is_left := SharedMemory.exists(name)
		var status := memory.get_status()
		assert_code(thread.wait_to_finish(), ERR_UNCONFIGURED, "a later copy")
		assert_false(is_left, "the name goes at once")
		assert_eq(status, SharedMemory.STATUS_UNINITIALIZED, "so does the segment")
		var last := buffer[LARGE - 1]
		assert_true(
			buffer[0] == round_number + 1 and last == buffer[0], "the copy that was under way"
		)


func test_one_of_racing_creates_gets_the_object() -> void:
	for round_number in 400:
		var memory := SharedMemory.new()
		var work := func(number: int) -> Array:
			return [memory.create("%so%d_%d" % [prefix, round_number, number], 16)]
		allow_errors("SharedMemory.create(): ")
		var codes := _all(work)
		var held := assert_eq(codes.count(OK), 1, "winners of %s" % [codes])
		if not (held and assert_eq(codes.count(ERR_ALREADY_IN_USE), THREADS - 1, "losers")):
			return
		assert_true(memory.is_current(), "it holds the winner's")


func test_one_of_racing_creates_gets_the_name() -> void:
	for round_number in 400:
		var name := unique_name()
		var objects: Array[SharedMemory] = []
		for number in THREADS:
			objects.append(SharedMemory.new())
		var work := func(number: int) -> Array: return [objects[number].create(name, 16)]
		var codes := _all(work)
		var held := assert_eq(codes.count(OK), 1, "winners of %s" % [codes])
		if not (held and assert_eq(codes.count(ERR_ALREADY_EXISTS), THREADS - 1, "losers")):
			return
		assert_true(objects[codes.find(OK)].is_current(), "the winner has it")


func test_racing_open_or_create_share_a_segment() -> void:
	for round_number in 400:
		var name := unique_name()
		var objects: Array[SharedMemory] = []
		for number in THREADS:
			objects.append(SharedMemory.new())
		var work := func(number: int) -> Array:
			var memory := objects[number]
			return [memory.open_or_create(name, 16), memory.write(bytes([number + 1]), number)]
		var codes := _all(work)
		if not assert_eq(codes.count(OK), 2 * THREADS, "all of %s" % [codes]):
			return
		var makers := objects.filter(
			func(memory: SharedMemory) -> bool:
				return memory.get_status() == SharedMemory.STATUS_CREATED
		)
		assert_eq(makers.size(), 1, "one made it")
		assert_eq(objects[0].read(THREADS), bytes(range(1, THREADS + 1)), "all share it")


func test_waiting_call_does_not_block_other_calls() -> void:
	if not is_linux():
		return skip("makes a file in /dev/shm")
	var memory := SharedMemory.new()
	var other := created(64)
	var name := unique_name()
	make_foreign(name, 0)
	var thread := Thread.new()
	# It waits up to 50 ms for another process to give it a size.
	thread.start(func() -> Error: return memory.open_or_create(name, 64))
	var calls := 0
	while thread.is_alive():
		memory.get_status()
		other.write(bytes([1]))
		calls += 1
	assert_code(thread.wait_to_finish(), ERR_BUSY, "open_or_create")
	assert_true(calls > 100, "calls of the other thread: %d" % calls)
	remove_foreign(name)


func test_other_thread_can_free_the_object() -> void:
	var names := []
	for round_number in 50:
		var memory := created(16)
		names.append(memory.get_name())
		var box := [memory]
		memory = null
		var thread := Thread.new()
		thread.start(func() -> void: box.clear())
		thread.wait_to_finish()
	for name: String in names:
		assert_false(SharedMemory.exists(name), "gone with the object")


## Runs `work` in each thread, with its number; returns all that they return.
func _all(work: Callable) -> Array:
	var threads: Array[Thread] = []
	for number in THREADS:
		var thread := Thread.new()
		thread.start(work.bind(number))
		threads.append(thread)
	var results := []
	for thread in threads:
		results.append_array(thread.wait_to_finish())
	return results


func _use(memory: SharedMemory, stop: Array, number: int) -> Array:
	var problems := []
	var buffer := PackedByteArray()
	buffer.resize(4096)
	while not stop[0]:
		var size := memory.read().size()
		if size != 0 and size != 8192:
			problems.append(["read", size])
		var codes := [
			memory.write(pattern(16, number), number * 100),
			memory.read_into(buffer, 4096),
			memory.fill(number, 100, 200),
		]
		for code: int in codes:
			if code not in [OK, ERR_UNCONFIGURED]:
				problems.append(codes)
		if memory.get_last_error() not in [OK, ERR_UNCONFIGURED]:
			problems.append(memory.get_last_error_message())
		# The console need not be full of it.
		OS.delay_usec(200)
	return problems
