extends "res://test_case.gd"
## Locks that objects and threads of one process share. scenarios/test_mutexes.py has those of
## several processes, and of processes that die.

# time limit: 120 s

const THREADS := 4
## Ends only a test that hangs.
const LONG := 20_000


## A mutex that has a lock open.
func open_mutex(name: String, id := 0) -> SharedMemoryMutex:
	var mutex := SharedMemoryMutex.new()
	assert_code(mutex.open(name, id), OK, "open")
	return mutex


func test_lock_has_one_holder() -> void:
	var name := unique_name()
	var ours := open_mutex(name)
	var theirs := open_mutex(name)
	assert_eq(ours.get_name(), StringName(name), "get_name")
	assert_false(ours.is_locked() or theirs.is_locked(), "free at first")
	assert_code(ours.lock(0), OK)
	assert_true(ours.is_locked() and theirs.is_locked(), "held")
	assert_false(theirs.try_lock(), "try_lock")
	assert_last_error(theirs, ERR_BUSY, ["holds the lock"])
	assert_code(theirs.lock(0), ERR_BUSY, "without a wait")
	var start := Time.get_ticks_msec()
	assert_code(theirs.lock(30), ERR_TIMEOUT, "with a wait")
	assert_true(Time.get_ticks_msec() - start >= 29, "it waits")
	assert_code(ours.unlock(), OK)
	assert_true(theirs.try_lock(), "free again")
	assert_last_error(theirs, OK)
	assert_false(ours.was_abandoned() or theirs.was_abandoned(), "nobody has died")


func test_untyped_calls_work() -> void:
	var mutex: Variant = ClassDB.instantiate("SharedMemoryMutex")
	assert_code(mutex.open(unique_name(), 63, SharedMemory.GLOBAL_SCOPE), OK)
	assert_code(mutex.lock(1.5), OK, "a float becomes an integer")
	assert_true(mutex.is_locked())
	assert_code(mutex.callv("unlock", []), OK)
	assert_true(mutex.call("try_lock"))
	mutex.close()
	assert_eq(mutex.get_name(), &"", "closed")


func test_ids_are_locks_of_their_own() -> void:
	var name := unique_name()
	var first := open_mutex(name, 0)
	var last := open_mutex(name, 63)
	assert_code(first.lock(0), OK)
	assert_code(last.lock(0), OK)
	assert_false(open_mutex(name, 63).try_lock(), "held")
	assert_true(open_mutex(name, 1).try_lock(), "free")


func test_mistakes_are_printed() -> void:
	var mutex := SharedMemoryMutex.new()
	for method: String in ["try_lock", "unlock", "is_locked"]:
		expect_error("SharedMemoryMutex.%s(): no lock is open" % method)
		mutex.call(method)
		assert_last_error(mutex, ERR_UNCONFIGURED, ["call open() first"])
	expect_error("SharedMemoryMutex.open(): id must be from 0 to 63, not 64")
	assert_code(mutex.open(unique_name(), 64), ERR_INVALID_PARAMETER)
	assert_code(mutex.open(unique_name()), OK, "open again after a failure")
	expect_error("SharedMemoryMutex.open(): this object has a lock open already")
	assert_code(mutex.open(unique_name()), ERR_ALREADY_IN_USE)
	expect_error("SharedMemoryMutex.unlock(): this object does not hold the lock")
	assert_code(mutex.unlock(), ERR_UNCONFIGURED)
	expect_error("SharedMemoryMutex.lock(): timeout_msec must be 0 or more, not -1")
	assert_code(mutex.lock(-1), ERR_INVALID_PARAMETER)
	assert_code(mutex.lock(0), OK)
	expect_error("SharedMemoryMutex.lock(): this object holds the lock already")
	assert_code(mutex.lock(LONG), ERR_ALREADY_IN_USE, "it doesn't wait for itself")
	expect_error("SharedMemoryMutex.try_lock(): this object holds the lock already")
	assert_false(mutex.try_lock())
	assert_code(mutex.unlock(), OK)


func test_states_of_others_are_not_printed() -> void:
	var other := created(100)
	var mutex := SharedMemoryMutex.new()
	assert_code(mutex.open(other.get_name()), ERR_INVALID_DATA, "less memory")
	assert_last_error(mutex, ERR_INVALID_DATA, ["locks"])
	var stream := SharedMemoryStream.new()
	var memory := created(32768)
	assert_code(stream.attach(memory), OK)
	assert_code(mutex.open(memory.get_name()), ERR_INVALID_DATA, "another layout")
	assert_true(memory.is_current(), "the stream is left alone")
	var own := created(8448)
	assert_code(mutex.open(own.get_name()), ERR_INVALID_DATA, "memory of an owner")
	assert_last_error(mutex, ERR_INVALID_DATA, ["of another kind, which one program owns"])
	var name := unique_name()
	assert_code(mutex.open(name), OK)
	assert_eq(SharedMemory.get_info(name).layout, "locks", "get_info")
	SharedMemory.remove(name)
	assert_code(mutex.lock(0), ERR_UNAVAILABLE, "the name was removed")
	assert_last_error(mutex, ERR_UNAVAILABLE, ["close()", "open()"])
	mutex.close()
	assert_code(mutex.open(name), OK)
	assert_code(mutex.lock(0), OK)


func test_persistent_zeros_are_left_alone() -> void:
	if OS.get_name() == "Windows":
		return skip("nothing is persistent there")
	var memory := SharedMemory.new()
	memory.persistent = true
	assert_code(memory.create(unique_name(), 65536), OK)
	var mutex := SharedMemoryMutex.new()
	assert_code(mutex.open(memory.get_name()), ERR_INVALID_DATA)
	assert_last_error(mutex, ERR_INVALID_DATA, ["65536 bytes", "8448"])
	mutex.close()
	assert_eq([memory.decode_u32(0), memory.decode_u32(24)], [0, 0], "its bytes")
	assert_true(memory.is_current(), "the name stays")
	memory.unlink()


func test_closing_and_freeing_unlock() -> void:
	var name := unique_name()
	var theirs := open_mutex(name)
	var ours := open_mutex(name)
	ours.lock(0)
	ours.close()
	ours.close()
	assert_true(theirs.try_lock(), "closed")
	assert_false(theirs.was_abandoned(), "in an orderly way")
	theirs.unlock()
	assert_code(ours.open(name), OK, "again")
	ours.lock(0)
	ours = null
	assert_true(theirs.try_lock(), "freed")
	assert_false(theirs.was_abandoned(), "in an orderly way")


func test_last_user_removes_the_name() -> void:
	var name := unique_name()
	var first := open_mutex(name)
	var second := open_mutex(name, 5)
	assert_true(SharedMemory.exists(name), "made")
	first.close()
	assert_true(SharedMemory.exists(name), "still in use")
	assert_code(SharedMemory.new().create(name, 8448), ERR_ALREADY_EXISTS, "no other memory")
	second = null
	assert_false(SharedMemory.exists(name), "removed")


func test_threads_lose_no_count() -> void:
	const ROUNDS := 500
	var name := unique_name()
	var memory := created(64)
	var work := func() -> Array:
		var problems := []
		var mutex := SharedMemoryMutex.new()
		if mutex.open(name) != OK:
			return [mutex.get_last_error_message()]
		for _round in ROUNDS:
			if mutex.lock(LONG) != OK:
				problems.append(mutex.get_last_error_message())
			var count := memory.decode_u32(0)
			if count % 50 == 0:
				OS.delay_usec(100)
			memory.encode_u32(0, count + 1)
			mutex.unlock()
		return problems
	var threads: Array[Thread] = []
	for _number in THREADS:
		threads.append(Thread.new())
		threads[-1].start(work)
	for thread in threads:
		assert_eq(thread.wait_to_finish(), [], "problems")
	assert_eq(memory.decode_u32(0), THREADS * ROUNDS, "counts")


func test_object_is_unlocked_by_another_thread() -> void:
	var mutex := open_mutex(unique_name())
	mutex.lock(0)
	var thread := Thread.new()
	thread.start(mutex.unlock)
	assert_code(thread.wait_to_finish(), OK, "the object holds the lock, not the thread")
	assert_code(mutex.lock(0), OK)


func test_close_ends_a_wait() -> void:
	var name := unique_name()
	var holder := open_mutex(name)
	holder.lock(0)
	for pause: int in [0, 20, 100]:
		var mutex := open_mutex(name)
		var thread := Thread.new()
		thread.start(mutex.lock.bind(LONG))
		OS.delay_msec(pause)
		mutex.close()
		var start := Time.get_ticks_msec()
		assert_code(thread.wait_to_finish(), ERR_UNCONFIGURED, "after %d ms" % pause)
		note("the wait ended %d ms after close()" % (Time.get_ticks_msec() - start))
		assert_true(Time.get_ticks_msec() - start < 1000, "soon")
	assert_code(holder.unlock(), OK)
	assert_code(holder.lock(0), OK, "the closed objects have not taken it")


## To close the object is the way to end such a thread. It is no mistake.
func test_close_ends_a_thread_that_locks_and_unlocks() -> void:
	var name := unique_name()
	var mutex := SharedMemoryMutex.new()
	var work := func() -> Error:
		while true:
			var code := mutex.lock(100)
			if code == OK:
				OS.delay_usec(500)
				code = mutex.unlock()
			if code != OK:
				return code
		return OK
	for pause in 20:
		assert_code(mutex.open(name), OK)
		var thread := Thread.new()
		thread.start(work)
		OS.delay_msec(pause)
		mutex.close()
		assert_code(thread.wait_to_finish(), ERR_UNCONFIGURED)
	assert_code(mutex.lock(1), ERR_UNCONFIGURED, "not printed either")
	assert_code(mutex.unlock(), ERR_UNCONFIGURED, "not printed either")
	expect_error("SharedMemoryMutex.lock(): no lock is open")
	assert_code(mutex.lock(0), ERR_UNCONFIGURED, "a call that doesn't wait")
	expect_error("SharedMemoryMutex.try_lock(): no lock is open")
	assert_false(mutex.try_lock())


func test_calls_of_threads_on_one_object_end() -> void:
	var name := unique_name()
	var mutex := open_mutex(name)
	var other := open_mutex(name)
	var until := Time.get_ticks_msec() + 500
	allow_errors("SharedMemoryMutex.")
	var work := func() -> void:
		while Time.get_ticks_msec() < until:
			for one: SharedMemoryMutex in [mutex, other]:
				one.lock(randi() % 3)
				one.was_abandoned()
				one.is_locked()
				one.get_name()
				one.unlock()
				if randi() % 20 == 0:
					one.close()
					one.open(name, randi() % 2)
	var threads: Array[Thread] = []
	for _number in THREADS:
		threads.append(Thread.new())
		threads[-1].start(work)
	for thread in threads:
		thread.wait_to_finish()
	mutex.close()
	other.close()
	assert_false(SharedMemory.exists(name), "nothing is left")


func test_thousands_of_locks_leave_nothing() -> void:
	if not DirAccess.dir_exists_absolute("/proc/self/fd"):
		return skip("this system shows no descriptors")
	var count := func() -> Array:
		return [DirAccess.get_files_at("/proc/self/fd").size(), OS.get_static_memory_usage()]
	var name := unique_name()
	var run := func(rounds: int) -> void:
		for _round in rounds:
			var mutex := SharedMemoryMutex.new()
			mutex.open(name, 3)
			mutex.try_lock()
			if _round % 2:
				mutex.unlock()
				mutex.close()
	run.call(50)
	var before: Array = count.call()
	run.call(2000)
	var after: Array = count.call()
	assert_eq(after[0], before[0], "descriptors")
	assert_true(after[1] - before[1] < 20_000, "memory: %d" % (after[1] - before[1]))
	assert_false(SharedMemory.exists(name), "the name")
