extends "res://test_case.gd"
## Waiting for a word, and waking: in the main thread, from threads, typed and untyped.
##
## scenarios/test_waits.py has the waits for other programs.

const MAX := 9223372036854775807
const LONG_MSEC := 20_000
## The time in which a wait ends that nothing wakes, on a busy machine.
const SOON_MSEC := 500


func test_wait_looks_before_it_waits() -> void:
	var memory := created(16)
	memory.atomic_store_u32(4, 7)
	var start := Time.get_ticks_msec()
	for timeout: int in [0, 1, LONG_MSEC, MAX]:
		assert_code(memory.wait_u32(4, 6, timeout), OK, "another word, %d ms" % timeout)
	assert_last_error(memory, OK)
	assert_code(memory.wait_u32(4, 7, 0), ERR_TIMEOUT, "the expected word, 0 ms")
	assert_last_error(memory, ERR_TIMEOUT, ["byte 4", "still 7", "0 ms"])
	assert_true(Time.get_ticks_msec() - start < SOON_MSEC, "at once")


func test_wait_lasts_as_long_as_its_timeout() -> void:
	var memory := created(16)
	var reader := opened(memory, SharedMemory.ACCESS_READ_ONLY)
	var untyped: Variant = memory
	for timeout: int in [1, 30, 150]:
		for waiter: Variant in [memory, reader, untyped]:
			var start := Time.get_ticks_usec()
			assert_code(waiter.wait_u32(4, 0, timeout), ERR_TIMEOUT, "%d ms" % timeout)
			var msec := (Time.get_ticks_usec() - start) / 1000
			assert_true(msec >= timeout and msec < timeout + SOON_MSEC, "%d: %d" % [timeout, msec])


## After 50 ms, a waiter that isn't woken looks about 17 ms later.
func test_notify_wakes_a_thread() -> void:
	const ROUNDS := 11
	var memory := created(16)
	var reader := opened(memory, SharedMemory.ACCESS_READ_ONLY)
	var listen := func(untyped: Variant) -> Array:
		var woken := []
		for round_number in ROUNDS:
			if untyped.wait_u32(4, round_number, LONG_MSEC) == OK:
				woken.append(Time.get_ticks_usec())
		return woken
	for waiter: SharedMemory in [memory, reader]:
		memory.atomic_store_u32(4, 0)
		var thread := Thread.new()
		thread.start(listen.bind(waiter))
		var changed := []
		for round_number in ROUNDS:
			OS.delay_msec(50)
			changed.append(Time.get_ticks_usec())
			memory.atomic_store_u32(4, round_number + 1)
			memory.notify_u32(4)
		var woken: Array = thread.wait_to_finish()
		if not assert_eq(woken.size(), ROUNDS, "the number of wakes") or not is_linux():
			continue
		var delays := range(ROUNDS).map(func(i: int) -> int: return woken[i] - changed[i])
		delays.sort()
		assert_true(delays[ROUNDS / 2] < 4000, "the delays in µs: %s" % [delays])


func test_all_threads_are_woken() -> void:
	var memory := created(16)
	var threads := _waiting([memory, opened(memory), memory])
	OS.delay_msec(60)
	memory.atomic_store_u32(4, 1)
	memory.notify_u32(4)
	for thread in threads:
		assert_code(thread.wait_to_finish()[0], OK, "wait")


func test_change_without_notify_is_noticed() -> void:
	var memory := created(16)
	var thread := _waiting([memory])[0]
	OS.delay_msec(60)
	var start := Time.get_ticks_msec()
	memory.encode_u32(4, 1)
	assert_code(thread.wait_to_finish()[0], OK, "wait")
	assert_true(Time.get_ticks_msec() - start < SOON_MSEC, "soon")


func test_close_ends_a_wait_and_does_not_wait_for_it() -> void:
	var owner := created(1 << 20)
	for is_creator: bool in [false, true]:
		var memory := owner if is_creator else opened(owner)
		var threads := _waiting([memory, memory])
		OS.delay_msec(60)
		for thread in threads:
			assert_true(thread.is_alive(), "it waits")
		var start := Time.get_ticks_usec()
		memory.close()
		var closed := Time.get_ticks_usec() - start
		assert_true(closed < 15_000, "close() took %d µs" % closed)
		for thread in threads:
			var found: Array = thread.wait_to_finish()
			assert_code(found[0], ERR_UNCONFIGURED, "wait")
			assert_true(found[1].contains("closed during the wait"), found[1])
		assert_true(Time.get_ticks_usec() - start < SOON_MSEC * 1000, "soon")
	assert_eq(_mappings_of(owner.get_name()), 0, "mappings that are left")


## The wait belongs to the segment that was open, not to the object's next one.
func test_wait_ends_if_the_object_gets_another_segment() -> void:
	var memory := created(16)
	var thread := _waiting([memory])[0]
	OS.delay_msec(60)
	memory.close()
	assert_code(memory.create(unique_name(), 16), OK, "create")
	assert_code(thread.wait_to_finish()[0], ERR_UNCONFIGURED, "wait")
	assert_code(memory.wait_u32(4, 0, 1), ERR_TIMEOUT, "the new segment")


func test_object_without_other_references_outlives_its_wait() -> void:
	var owner := created(16)
	var thread := _waiting([opened(owner)])[0]
	OS.delay_msec(60)
	owner.atomic_store_u32(4, 1)
	owner.notify_u32(4)
	assert_code(thread.wait_to_finish()[0], OK, "wait")


func test_bad_arguments_are_refused() -> void:
	var memory := created(16)
	for call: Array in [
		["byte_offset must be a multiple of 4, not 2", "wait_u32", [2, 0, 1]],
		["byte_offset must be 0 or more, not -4", "wait_u32", [-4, 0, 1]],
		["offset 16 and length 4 reach past", "wait_u32", [16, 0, 1]],
		["expected must be from 0 to 4294967295, not -1", "wait_u32", [4, -1, 1]],
		["expected must be from 0 to 4294967295, not 4294967296", "wait_u32", [4, 1 << 32, 1]],
		["timeout_msec must be 0 or more, not -1", "wait_u32", [4, 0, -1]],
		["byte_offset must be a multiple of 4, not 3", "notify_u32", [3]],
		["offset 16 and length 4 reach past", "notify_u32", [16]],
	]:
		expect_error("SharedMemory.%s(): %s" % [call[1], call[0]])
		assert_code(memory.callv(call[1], call[2]), ERR_INVALID_PARAMETER, call[0])
		assert_last_error(memory, ERR_INVALID_PARAMETER, [call[0]])
	memory.close()
	for call: Array in [["wait_u32", [4, 0, MAX]], ["notify_u32", [4]]]:
		expect_error("SharedMemory.%s(): no segment is open" % call[0])
		assert_code(memory.callv(call[0], call[1]), ERR_UNCONFIGURED, call[0])


func test_truncation_ends_a_wait() -> void:
	if not is_linux():
		return skip("segments are not files here")
	var memory := created(8192)
	var thread := _waiting([memory])[0]
	OS.delay_msec(60)
	var file := FileAccess.open(file_of(memory.get_name()), FileAccess.READ_WRITE)
	file.resize(0)
	file.close()
	assert_code(thread.wait_to_finish()[0], ERR_FILE_CORRUPT, "wait")
	assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")


## Starts a thread for each object. It waits while the word at byte 4 is 0, and returns the code and
## the last message.
func _waiting(objects: Array) -> Array[Thread]:
	var wait := func(memory: SharedMemory) -> Array:
		var code := memory.wait_u32(4, 0, LONG_MSEC)
		return [code, memory.get_last_error_message()]
	var threads: Array[Thread] = []
	for memory: SharedMemory in objects:
		var thread := Thread.new()
		thread.start(wait.bind(memory))
		threads.append(thread)
	return threads


func _mappings_of(name: String) -> int:
	if not is_linux():
		return 0
	var maps := Array(lines_of("/proc/self/maps"))
	return maps.filter(func(line: String) -> bool: return line.contains(file_of(name))).size()
