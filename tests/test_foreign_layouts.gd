extends "res://test_case.gd"
## Streams, queues and arrays over memory that holds something else, or nothing yet.
##
## The script isn't wrong then, so nothing is printed. Bytes of other programs stay as they are.

const SIZE := 4096
const V0 := SharedMemoryStream.LAYOUT_LSM_V0
const V1 := SharedMemoryStream.LAYOUT_LSM_V1
const V2 := SharedMemoryStream.LAYOUT_LSM_V2
const QUEUE_V1 := SharedMemoryQueue.LAYOUT_LSM_V1
const QUEUE_V2 := SharedMemoryQueue.LAYOUT_LSM_V2
## Each class and layout, by the arguments of attach() after the memory.
const LAYOUTS := [
	["SharedMemoryStream", [V0]],
	["SharedMemoryStream", [V1]],
	["SharedMemoryStream", [V2]],
	["SharedMemoryQueue", [QUEUE_V1, 100]],
	["SharedMemoryQueue", [QUEUE_V2, 100]],
	["SharedMemoryArray", ["<2f"]],
]
## The queues of them, without a size.
const QUEUES := [["SharedMemoryQueue", [QUEUE_V1]], ["SharedMemoryQueue", [QUEUE_V2]]]
## Calls that use the memory.
var _calls := {
	"SharedMemoryStream":
	[["write", "x"], ["read"], ["has_new_data"], ["mark_as_read"], ["poll"], ["reset"]],
	"SharedMemoryQueue":
	[["enqueue", PackedByteArray([1])], ["peek"], ["dequeue"], ["is_empty"], ["poll"], ["reset"]],
	"SharedMemoryArray": [["set_element", 0, [1, 2]], ["get_element", 0], ["to_array"], ["reset"]],
}


func test_attach_refuses_pixels() -> void:
	for content: PackedByteArray in _pixels():
		var owner := _holding(content)
		var memory := opened(owner)
		for layout: Array in LAYOUTS + QUEUES:
			var why := "%s%s on %s" % [layout[0], layout[1], content.slice(0, 20)]
			var object: RefCounted = ClassDB.instantiate(layout[0])
			assert_code(object.callv("attach", [memory] + layout[1]), ERR_INVALID_DATA, why)
			assert_eq(owner.read(), content, why + ": the memory")
			for call: Array in _calls[layout[0]]:
				if call[0] != "poll":
					expect_error(".%s(): no memory is attached" % call[0])
				object.callv(call[0], call.slice(1))
				assert_last_error(object, ERR_UNCONFIGURED)
			assert_eq(owner.read(), content, why + ": the memory")


func test_messages_of_other_versions_are_refused() -> void:
	for value: Variant in [
		"ab",
		"a longer message",
		PackedFloat32Array([1.5, 0.25]),
		PackedFloat64Array([0, 0]),
	]:
		for written: int in [V0, V1, V2]:
			var owner := created(SIZE)
			var writer := SharedMemoryStream.new()
			writer.attach(owner, written)
			writer.write(value)
			# As a queue or as an array, too.
			for layout: Array in LAYOUTS + QUEUES:
				var found: Array = layout[1]
				if layout[0] == "SharedMemoryStream" and (written == V2) == (found == [V2]):
					continue
				if written == V0 and value is PackedFloat32Array and found == [V2]:
					# Like an empty message: its size is where V2 has its revision.
					continue
				_assert_refused(owner, layout, "%s in V%d" % [value, written - 1])


## The header of V0 and V1 is five bytes, so much else may look like one.
func test_queues_and_arrays_are_refused_as_something_else() -> void:
	for made: Array in LAYOUTS.slice(3):
		for is_used: bool in [false, true]:
			var owner := created(SIZE)
			var object: RefCounted = ClassDB.instantiate(made[0])
			assert_code(object.callv("attach", [owner] + made[1]), OK, str(made))
			if is_used and made[0] == "SharedMemoryQueue":
				object.call("enqueue", "a message".to_utf8_buffer())
			elif is_used:
				object.call("set_element", 0, [1.5, 2])
			for layout: Array in LAYOUTS + QUEUES:
				if layout[0] != made[0] and layout[1] != [V0] and layout[1] != [V1]:
					_assert_refused(owner, layout, "%s, used: %s" % [made, is_used])


## The message of a V1 queue lies where V2 has its locks.
func test_used_v1_queue_is_refused_as_v2() -> void:
	var owner := created(SIZE)
	var queue := SharedMemoryQueue.new()
	queue.attach(owner, QUEUE_V1, 100)
	queue.enqueue("a message".to_utf8_buffer())
	_assert_refused(owner, QUEUES[1], "V1")


func test_memory_that_becomes_foreign_stays_as_it_is() -> void:
	for layout: Array in LAYOUTS:
		for content: PackedByteArray in _pixels():
			var owner := created(SIZE)
			ClassDB.instantiate(layout[0]).callv("attach", [owner] + layout[1])
			var object: RefCounted = ClassDB.instantiate(layout[0])
			assert_code(object.callv("attach", [opened(owner)] + layout[1]), OK, str(layout))
			owner.write(content)
			for call: Array in _calls[layout[0]]:
				object.callv(call[0], call.slice(1))
				assert_last_error(object, ERR_INVALID_DATA)
				assert_eq(owner.read(), content, "%s.%s" % [layout, call])
			assert_true("fill(0)" in object.get_last_error_message(), "the way out")


func test_poll_of_foreign_memory_is_quick() -> void:
	for layout: Array in LAYOUTS:
		if layout[0] == "SharedMemoryArray":
			continue
		var owner := created(SIZE)
		var object: RefCounted = ClassDB.instantiate(layout[0])
		object.callv("attach", [owner] + layout[1])
		object.set("lock_timeout_msec", 1000)
		for content: PackedByteArray in _pixels():
			owner.write(content)
			var start := Time.get_ticks_msec()
			assert_code(object.call("poll"), ERR_INVALID_DATA, str(layout))
			assert_true(Time.get_ticks_msec() - start < 500, "it doesn't wait for a lock")


## The script's explicit word is fill(0).
func test_fill_makes_room_for_another_layout() -> void:
	for layout: Array in LAYOUTS:
		var memory := opened(_holding(_pixels()[0]))
		var object: RefCounted = ClassDB.instantiate(layout[0])
		assert_code(object.callv("attach", [memory] + layout[1]), ERR_INVALID_DATA, str(layout))
		memory.fill(0)
		assert_code(object.callv("attach", [memory] + layout[1]), OK, str(layout))
		for call: Array in _calls[layout[0]]:
			object.callv(call[0], call.slice(1))
			assert_last_error(object, OK)


func test_creator_can_reset_whatever_is_there() -> void:
	for layout: Array in LAYOUTS:
		var memory := created(SIZE)
		var object: RefCounted = ClassDB.instantiate(layout[0])
		object.callv("attach", [memory] + layout[1])
		memory.write(_pixels()[0])
		assert_code(object.call("reset"), OK, str(layout))
		for call: Array in _calls[layout[0]]:
			object.callv(call[0], call.slice(1))
			assert_last_error(object, OK)


func test_opener_lays_out_zeros() -> void:
	for layout: Array in LAYOUTS:
		var owner := created(SIZE)
		var first: RefCounted = ClassDB.instantiate(layout[0])
		assert_code(first.callv("attach", [opened(owner)] + layout[1]), OK, str(layout))
		var second: RefCounted = ClassDB.instantiate(layout[0])
		assert_code(second.callv("attach", [owner] + layout[1]), OK, str(layout))
		for call: Array in _calls[layout[0]]:
			second.callv(call[0], call.slice(1))
			assert_last_error(second, OK)


func test_opener_lays_out_no_queue_without_a_size() -> void:
	for layout: Array in QUEUES:
		var owner := created(SIZE)
		var queue := SharedMemoryQueue.new()
		assert_code(queue.callv("attach", [opened(owner)] + layout[1]), ERR_BUSY, "no size")
		assert_eq(owner.read().count(0), SIZE, "nothing was written")


func test_reader_does_not_lay_out_zeros() -> void:
	for layout: Array in LAYOUTS:
		var owner := created(SIZE)
		var memory := opened(owner, SharedMemory.ACCESS_READ_ONLY)
		var object: RefCounted = ClassDB.instantiate(layout[0])
		# An empty stream is all zeros.
		var code := OK if layout[0] == "SharedMemoryStream" else ERR_BUSY
		assert_code(object.callv("attach", [memory] + layout[1]), code, str(layout))
		assert_eq(owner.read().count(0), SIZE, "nothing was written")


## A picture that begins with black rows.
func test_zeros_with_other_bytes_are_not_laid_out() -> void:
	var content := pattern_of_zeros()
	content[1000] = 7
	for layout: Array in LAYOUTS.slice(4):
		_assert_refused(_holding(content), layout, "the byte at 1000")


func test_existing_queue_must_be_for_as_long_messages() -> void:
	for layout: int in [QUEUE_V1, QUEUE_V2]:
		var owner := created(SIZE)
		assert_code(SharedMemoryQueue.new().attach(owner, layout, 100), OK, "the first")
		var queue := SharedMemoryQueue.new()
		# The other side's state: nothing is printed.
		var code := queue.attach(opened(owner), layout, 101)
		assert_code(code, ERR_INVALID_PARAMETER, "more")
		assert_last_error(queue, ERR_INVALID_PARAMETER, ["is 100", "101"])
		for fitting: int in [0, 1, 100]:
			assert_code(queue.attach(opened(owner), layout, fitting), OK, str(fitting))
			assert_eq(queue.get_max_message_size(), 100, "the existing one counts")


func test_of_racing_threads_one_lays_out() -> void:
	for layout: int in [QUEUE_V1, QUEUE_V2]:
		for _round in 20:
			var owner := created(SIZE)
			var threads: Array[Thread] = []
			for number in 8:
				var thread := Thread.new()
				thread.start(_attach_queue.bind(opened(owner), layout, 10 + number))
				threads.append(thread)
			var codes := {}
			for number in 8:
				codes[10 + number] = threads[number].wait_to_finish()
			var queue := SharedMemoryQueue.new()
			assert_code(queue.attach(owner, layout), OK, "attach")
			var found := queue.get_max_message_size()
			var header: int = {QUEUE_V1: 20, QUEUE_V2: 28}[layout]
			assert_eq(queue.get_capacity(), (SIZE - header) / (4 + found), "both from one")
			for wanted: int in codes:
				var code := OK if wanted <= found else ERR_INVALID_PARAMETER
				assert_code(codes[wanted], code, "%d of %d" % [wanted, found])


func _attach_queue(memory: SharedMemory, layout: int, size: int) -> Error:
	return SharedMemoryQueue.new().attach(memory, layout, size)


func _assert_refused(owner: SharedMemory, layout: Array, why: String) -> void:
	var before := owner.read()
	for access: int in [SharedMemory.ACCESS_READ_ONLY, SharedMemory.ACCESS_READ_WRITE]:
		var object: RefCounted = ClassDB.instantiate(layout[0])
		var code: Error = object.callv("attach", [opened(owner, access)] + layout[1])
		var codes := [ERR_INVALID_DATA, ERR_BUSY]
		if access == SharedMemory.ACCESS_READ_WRITE and layout[1].size() != 1:
			codes = [ERR_INVALID_DATA]
		var found := "%s as %s: %s" % [why, layout, error_string(code)]
		assert_true(code in codes, found)
		assert_eq(owner.read(), before, found)


## Noise, a gradient, and pictures of one colour.
func _pixels() -> Array[PackedByteArray]:
	var chance := RandomNumberGenerator.new()
	chance.seed = 12
	var noise := PackedByteArray()
	var gradient := PackedByteArray()
	for at in SIZE:
		noise.append(chance.randi() % 256)
		gradient.append(at % 256)
	# No flags of a stream. Other first bytes are 1 to 5, 8 and 9.
	noise[0] = 0x66
	gradient[0] = 0x66
	var all: Array[PackedByteArray] = [noise, gradient]
	for value: int in [1, 2, 3, 4, 5, 8, 9, 77, 128, 255]:
		var one := pattern_of_zeros()
		one.fill(value)
		all.append(one)
	return all


func _holding(content: PackedByteArray) -> SharedMemory:
	var memory := created(content.size())
	memory.write(content)
	return memory


func pattern_of_zeros() -> PackedByteArray:
	var zeros := PackedByteArray()
	zeros.resize(SIZE)
	return zeros
