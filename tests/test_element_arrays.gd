extends "res://test_case.gd"
## SharedMemoryArray: elements of one type behind a count.

const HEADER := 16
const COUNT := 8


func test_numbers_are_read_as_written() -> void:
	var memory := created(HEADER + 4 * 5 + 3)
	var array := attached(memory, "<i")
	assert_eq(array.get_element_count(), 5, "as many as fit")
	assert_eq(array.to_array(), [0, 0, 0, 0, 0], "new")
	for index in 5:
		assert_code(array.set_element(index, -index * 1000), OK, "set %d" % index)
	assert_eq(array.get_element(3), -3000, "get")
	assert_eq(memory.decode_s32(HEADER + 3 * 4), -3000, "in the memory")
	assert_eq(memory.decode_u64(0), HEADER + 4 * 5, "the total")
	var other := attached(opened(memory, SharedMemory.ACCESS_READ_ONLY), "<i")
	assert_eq(other.to_array(), [0, -1000, -2000, -3000, -4000], "others")
	assert_code(array.fill(7), OK, "fill")
	assert_eq(other.to_array(), [7, 7, 7, 7, 7], "filled")


func test_elements_of_every_type_are_read_as_written() -> void:
	for line: Array in [
		["<b", -1],
		["<Q", 1 << 60],
		["?", true],
		["<f", 1.5],
		["<d", 0.1],
		["<e", -2.0],
		["4s", bytes([1, 2, 3, 4])],
		["<2f", [1.5, -2.0]],
		["@id", [42, 6.02]],
		["<4x", []],
	]:
		var memory := created(200)
		var array := attached(memory, line[0])
		var stride := SharedMemory.calcsize(line[0])
		assert_eq(array.get_element_count(), (200 - HEADER) / stride, line[0])
		assert_code(array.set_element(2, line[1]), OK, line[0])
		assert_eq(array.get_element(2), line[1], line[0])
		assert_code(array.fill(line[1]), OK, line[0])
		assert_eq(array.to_array().count(line[1]), array.get_element_count(), line[0])


func test_bad_elements_are_refused() -> void:
	var memory := created(HEADER + 8 * 3)
	var pairs := attached(memory, "<2i")
	pairs.fill([1, 2])
	var before := memory.read()
	for value: Variant in [
		null, 3, [1], [1, 2, 3], [1, "x"], [1, 1 << 31], {}, "ab", PackedInt32Array([1])
	]:
		expect_error("SharedMemoryArray.set_element(): ")
		assert_code(pairs.set_element(0, value), ERR_INVALID_PARAMETER, str(value))
		expect_error("SharedMemoryArray.fill(): ")
		assert_code(pairs.fill(value), ERR_INVALID_PARAMETER, str(value))
	for index: int in [3, -1, 1 << 32, 9223372036854775807, -9223372036854775808]:
		expect_error("SharedMemoryArray.set_element(): ")
		assert_code(pairs.set_element(index, [1, 2]), ERR_INVALID_PARAMETER, "at %d" % index)
		expect_error("SharedMemoryArray.get_element(): ")
		assert_eq(pairs.get_element(index), null, "at %d" % index)
		assert_last_error(pairs, ERR_INVALID_PARAMETER, [str(index)])
	assert_eq(memory.read(), before, "nothing has changed")


func test_attach_lays_out_or_checks_the_memory() -> void:
	var memory := created(64)
	var array := SharedMemoryArray.new()
	for format: String in ["", "0i", "y", "<49s", "999999999999s"]:
		expect_error("SharedMemoryArray.attach(): ")
		assert_code(array.attach(memory, format), ERR_INVALID_PARAMETER, format)
		assert_eq(memory.decode_u64(0), 0, "nothing was laid out")
	var small := created(15)
	expect_error("SharedMemoryArray.attach(): 15 bytes of memory are too few")
	assert_code(array.attach(small, "b"), ERR_INVALID_PARAMETER, "too small")
	var early := opened(memory)
	var reader := opened(memory, SharedMemory.ACCESS_READ_ONLY)
	assert_code(array.attach(reader, "<i"), ERR_BUSY, "too early")
	attached(memory, "<i")
	assert_code(array.attach(early, "<i"), OK, "now")
	assert_eq(array.get_memory(), early, "get_memory")
	array.detach()
	expect_error("SharedMemoryArray.to_array(): no memory is attached")
	assert_eq(array.to_array(), [], "detached")


func test_wrong_count_is_refused() -> void:
	var memory := created(64)
	var array := attached(memory, "<i")
	for count: int in [13, 1 << 32, 1 << 62, -1]:
		memory.encode_u64(COUNT, count)
		assert_eq(array.get_element(0), null, "get")
		assert_last_error(array, ERR_INVALID_DATA)
		assert_eq(array.get_element_count(), 0, "count")
		assert_eq(array.to_array(), [], "to_array")
		assert_code(array.set_element(0, 1), ERR_INVALID_DATA, "set")
		assert_code(array.fill(1), ERR_INVALID_DATA, "fill")
		assert_code(SharedMemoryArray.new().attach(memory, "<i"), ERR_INVALID_DATA, "attach")
	assert_code(array.reset(), OK, "reset")
	assert_eq(array.get_element_count(), 12, "as it was")
	# Fewer than fit is no lie.
	memory.encode_u64(COUNT, 2)
	assert_eq(array.to_array().size(), 2, "fewer")
	expect_error("get_element(): there is no element 2: the array has 2 elements, counted from 0")
	assert_eq(array.get_element(2), null, "not any more")


func test_write_fails_for_reader_and_closed_memory() -> void:
	var memory := created(64)
	attached(memory, "<i").fill(5)
	var reader := opened(memory, SharedMemory.ACCESS_READ_ONLY)
	var array := attached(reader, "<i")
	assert_eq(array.get_element(11), 5, "get")
	assert_code(array.set_element(0, 1), ERR_UNAUTHORIZED, "set")
	assert_code(array.fill(1), ERR_UNAUTHORIZED, "fill")
	assert_code(array.reset(), ERR_UNAUTHORIZED, "reset")
	reader.close()
	expect_error("SharedMemoryArray.get_element(): the attached memory has been closed")
	assert_eq(array.get_element(0), null, "closed")
	assert_last_error(array, ERR_UNCONFIGURED)


func test_untyped_calls_from_threads_work() -> void:
	var memory := created(HEADER + 8 * 4)
	var array: Variant = attached(memory, "<q")
	assert_eq(array.call("set_element", 1, 5), OK, "set")
	assert_eq(array.call("get_element", 1.0), 5, "get")
	var threads: Array[Thread] = []
	for index in 4:
		var thread := Thread.new()
		thread.start(_count_up.bind(array, index))
		threads.append(thread)
	for thread in threads:
		assert_eq(thread.wait_to_finish(), 5000, "a thread")
	assert_eq(array.to_array(), [5000, 5000, 5000, 5000], "to_array")


func _count_up(array: SharedMemoryArray, index: int) -> int:
	array.set_element(index, 0)
	for _i in 5000:
		array.set_element(index, array.get_element(index) + 1)
	return array.get_element(index)


func attached(memory: SharedMemory, format: String) -> SharedMemoryArray:
	var array := SharedMemoryArray.new()
	assert_code(array.attach(memory, format), OK, "attach as " + format)
	return array
