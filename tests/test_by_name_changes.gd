## Streams and queues whose name leads to other memory, in the middle of calls and of other threads.
extends "res://test_case.gd"

## Longer than any test takes, in milliseconds.
const LONG_MSEC := 20_000
## A look at the name comes within 100 ms, also in a busy machine.
const SOON_MSEC := 1000
const CLASSES := ["SharedMemoryStream", "SharedMemoryQueue"]


## Calls an object when it is freed.
class Last:
	extends RefCounted
	var object: RefCounted
	var seen := []

	func _notification(what: int) -> void:
		if what == NOTIFICATION_PREDELETE:
			seen.append(object.is_attached())
			object.detach()
			seen.append(object.wait(1))


class LastMemory:
	extends SharedMemory
	var last: Last


func test_script_that_runs_when_memory_is_freed_may_use_the_object() -> void:
	for of_class: String in CLASSES:
		var seen := []
		var object: RefCounted = ClassDB.instantiate(of_class)
		object.create(unique_name(), 100)
		object.get_memory().set_meta("last", _last(object, seen))
		object.close()
		assert_eq(seen, [false, ERR_UNCONFIGURED], "after close()")
		var memory := LastMemory.new()
		memory.create(unique_name(), 4096)
		memory.last = _last(object, seen)
		object.attach(memory, 0, 100)
		memory = null
		object.open(unique_name())
		assert_eq(seen.slice(2), [false, ERR_UNCONFIGURED], "after open()")
		# And in a look at the name.
		var name := unique_name()
		var owner: RefCounted = ClassDB.instantiate(of_class)
		owner.create(name, 100)
		object.open(name)
		object.get_memory().set_meta("last", _last(object, seen))
		owner.close()
		assert_true(_soon(func() -> bool: return not object.is_attached()), "gone")
		assert_eq(seen.slice(4), [false, ERR_UNCONFIGURED], "after a look")


func _last(object: RefCounted, seen: Array) -> Last:
	var last := Last.new()
	last.object = object
	last.seen = seen
	return last


func test_close_and_open_end_a_wait() -> void:
	for of_class: String in CLASSES:
		for change: String in ["open", "create"]:
			var name := unique_name()
			var object: RefCounted = ClassDB.instantiate(of_class)
			object.open(name)
			var thread := Thread.new()
			thread.start(func() -> Error: return object.wait(LONG_MSEC))
			OS.delay_msec(60)
			var start := Time.get_ticks_msec()
			object.close()
			assert_code(
				object.callv(change, [name] if change == "open" else [name, 100]), OK, change
			)
			assert_code(thread.wait_to_finish(), ERR_UNCONFIGURED, of_class)
			assert_true(Time.get_ticks_msec() - start < SOON_MSEC, "at once")
			object.close()


func test_object_keeps_memory_that_it_has_made() -> void:
	for of_class: String in CLASSES:
		var name := unique_name()
		var object: RefCounted = ClassDB.instantiate(of_class)
		object.create(name, 100)
		expect_error(of_class + ".open(): this object has made the memory")
		assert_code(object.open(name), ERR_ALREADY_IN_USE, "open")
		assert_last_error(object, ERR_ALREADY_IN_USE, [name, "call close() first"])
		assert_code(object.create(name, 200), ERR_ALREADY_EXISTS, "create")
		assert_last_error(object, ERR_ALREADY_EXISTS, [name, "call close() first"])
		OS.delay_msec(150)
		assert_true(object.is_attached() and SharedMemory.exists(name), "it is there")
		# Without the name, it is no longer what others find.
		SharedMemory.remove(name)
		assert_code(object.open(name), OK, "open")
		assert_false(object.is_attached(), "the name leads nowhere")


func test_memory_that_a_script_closed_is_attached_again() -> void:
	for of_class: String in CLASSES:
		var name := unique_name()
		var owner: RefCounted = ClassDB.instantiate(of_class)
		owner.create(name, 100)
		var object: RefCounted = ClassDB.instantiate(of_class)
		object.open(name)
		object.get_memory().close()
		assert_true(object.is_attached(), of_class)


func test_nothing_is_sent_where_the_name_has_gone() -> void:
	for of_class: String in CLASSES:
		var name := unique_name()
		var owner: RefCounted = ClassDB.instantiate(of_class)
		owner.create(name, 100)
		var object: RefCounted = ClassDB.instantiate(of_class)
		object.open(name)
		_send(owner, "left")
		owner.close()
		OS.delay_msec(150)
		assert_code(_send(object, "lost"), ERR_UNAVAILABLE, of_class)
		assert_last_error(object, ERR_UNAVAILABLE, ["the name leads elsewhere"])
		assert_eq(_receive(object), "left", "left")
		owner.create(name, 100)
		assert_true(_soon(func() -> bool: return _send(object, "there") == OK), "send")
		assert_eq(_receive(owner), "there", "arrives")


## A look comes every 100 ms, so it also comes in the last sleep of a wait.
func test_wait_that_is_over_when_the_memory_moves_is_no_end() -> void:
	for of_class: String in CLASSES:
		var name := unique_name()
		var object: RefCounted = ClassDB.instantiate(of_class)
		object.open(name)
		for round in 30:
			var owner: RefCounted = ClassDB.instantiate(of_class)
			owner.create(name, 100)
			assert_true(object.wait(70) in [ERR_TIMEOUT, ERR_UNAVAILABLE], "round %d" % round)
			assert_true(object.get_last_error() in [ERR_TIMEOUT, ERR_UNAVAILABLE], of_class)
			owner.close()


func test_no_message_is_lost_when_a_queue_moves() -> void:
	var name := unique_name()
	var owner := SharedMemoryQueue.new()
	owner.create(name, 2000)
	var is_done := [false]
	var producer := Thread.new()
	producer.start(_produce.bind(name, is_done))
	var consumer := Thread.new()
	consumer.start(_consume.bind(name, is_done))
	for round in 4:
		OS.delay_msec(430)
		owner.close()
		assert_code(owner.create(name, 4000 if round % 2 == 0 else 2000), OK, "create")
	OS.delay_msec(430)
	is_done[0] = true
	var sent: Array = producer.wait_to_finish()
	assert_eq(consumer.wait_to_finish(), sent, "arrived")
	assert_true(sent.size() > 200, "%d messages" % sent.size())


func _produce(name: String, is_done: Array) -> Array:
	var queue := SharedMemoryQueue.new()
	queue.open(name)
	var sent := []
	var number := 0
	while not is_done[0]:
		number += 1
		if queue.enqueue(number) == OK:
			sent.append(number)
		OS.delay_msec(1)
	# Its role ends now. The messages stay.
	queue.close()
	return sent


func _consume(name: String, is_done: Array) -> Array:
	var queue := SharedMemoryQueue.new()
	queue.open(name)
	var found := []
	while true:
		var was_done: bool = is_done[0]
		var value: Variant = queue.dequeue(100)
		if value != null:
			found.append(value)
		elif was_done:
			return found
	return found


func _send(object: RefCounted, value: Variant) -> Error:
	return object.write(value) if object is SharedMemoryStream else object.enqueue(value)


func _receive(object: RefCounted) -> Variant:
	return object.read() if object is SharedMemoryStream else object.dequeue()


## Returns whether this comes true soon.
func _soon(condition: Callable) -> bool:
	var until := Time.get_ticks_msec() + SOON_MSEC
	while Time.get_ticks_msec() < until:
		if condition.call():
			return true
		OS.delay_msec(1)
	return false
