extends "res://test_case.gd"
## read(), write() and fill(): bytes, bounds, and objects that hold nothing.

## Offset and size of what reaches out of 16 bytes, or can't be.
const OUTSIDE := [
	[0, 17],
	[1, 16],
	[15, 2],
	[16, 1],
	[17, 1],
	[-1, 1],
	[0, -1],
	[-1, -1],
	[1 << 32, 1],
	[0, 1 << 32],
	[9223372036854775807, 1],
	[1, 9223372036854775807],
	[9223372036854775807, 9223372036854775807],
	[-9223372036854775808, 1],
	[0, -9223372036854775808],
]


func test_read_returns_bytes() -> void:
	var memory := created(16)
	var data := pattern(16)
	memory.write(data)
	assert_eq(memory.read(), data, "all")
	assert_eq(memory.read(16), data, "all by its size")
	assert_eq(memory.read(4), data.slice(0, 4), "the first four")
	assert_eq(memory.read(4, 12), data.slice(12), "the last four")
	assert_eq(memory.read(0, 12), data.slice(12), "to the end")
	assert_eq(memory.read(1, 15), data.slice(15), "the last one")
	assert_last_error(memory, OK)


func test_read_is_a_copy() -> void:
	var memory := created(16)
	var data := memory.read()
	data.fill(9)
	assert_eq(memory.read(1), bytes([0]), "the segment")
	memory.fill(7)
	assert_eq(data[0], 9, "the copy")


func test_read_outside_is_refused() -> void:
	var memory := created(16)
	for outside: Array in OUTSIDE + [[16, 0], [17, 0]]:
		memory.clear_last_error()
		expect_error("SharedMemory.read(): ")
		assert_eq(memory.read(outside[1], outside[0]), PackedByteArray(), "%s" % [outside])
		assert_last_error(memory, ERR_INVALID_PARAMETER)
	assert_eq(memory.get_status(), SharedMemory.STATUS_CREATED, "status")


func test_messages_name_value_and_limit() -> void:
	var memory := created(16)
	expect_error("SharedMemory.read(): ")
	memory.read(5, 12)
	assert_last_error(memory, ERR_INVALID_PARAMETER, ["5", "12", "16"])
	expect_error("SharedMemory.write(): ")
	memory.write(pattern(6), 12)
	assert_last_error(memory, ERR_INVALID_PARAMETER, ["6", "12", "16"])
	expect_error("SharedMemory.fill(): ")
	memory.fill(256)
	assert_last_error(memory, ERR_INVALID_PARAMETER, ["256", "255"])
	expect_error("SharedMemory.read(): ")
	memory.read(1, -3)
	assert_last_error(memory, ERR_INVALID_PARAMETER, ["-3"])


func test_write_changes_its_bytes_only() -> void:
	var memory := created(16)
	assert_code(memory.write(pattern(16)), OK, "all")
	assert_eq(memory.read(), pattern(16), "all")
	assert_code(memory.write(bytes([1, 2]), 7), OK, "two in the middle")
	assert_eq(memory.read(4, 6), pattern(16).slice(6, 7) + bytes([1, 2]) + pattern(16).slice(9, 10))
	assert_code(memory.write(bytes([3]), 15), OK, "the last one")
	assert_eq(memory.read(1, 15), bytes([3]), "the last one")
	assert_last_error(memory, OK)


func test_write_outside_is_refused() -> void:
	var memory := created(16)
	memory.write(pattern(16))
	for outside: Array in [[0, 17], [1, 16], [15, 2], [16, 1], [-1, 1], [-16, 16], [1 << 32, 1]]:
		memory.clear_last_error()
		var data := PackedByteArray()
		data.resize(outside[1])
		expect_error("SharedMemory.write(): ")
		assert_code(memory.write(data, outside[0]), ERR_INVALID_PARAMETER, "%s" % [outside])
		assert_last_error(memory, ERR_INVALID_PARAMETER)
	for offset: int in [9223372036854775807, -9223372036854775808]:
		expect_error("SharedMemory.write(): ")
		assert_code(memory.write(bytes([1]), offset), ERR_INVALID_PARAMETER, str(offset))
	assert_eq(memory.read(), pattern(16), "not a byte is written")
	assert_eq(memory.get_status(), SharedMemory.STATUS_CREATED, "status")


func test_write_of_nothing_is_refused() -> void:
	var memory := created(16)
	for offset: int in [0, 8, 16]:
		expect_error("SharedMemory.write(): ")
		assert_code(memory.write(PackedByteArray(), offset), ERR_INVALID_PARAMETER, "empty data")
		assert_last_error(memory, ERR_INVALID_PARAMETER)


func test_fill_changes_its_bytes_only() -> void:
	var memory := created(8)
	assert_code(memory.fill(255), OK, "all")
	assert_eq(memory.read(), bytes([255, 255, 255, 255, 255, 255, 255, 255]), "all")
	assert_code(memory.fill(0, 6), OK, "to the end")
	assert_eq(memory.read(), bytes([255, 255, 255, 255, 255, 255, 0, 0]), "to the end")
	assert_code(memory.fill(7, 1, 2), OK, "two")
	assert_eq(memory.read(), bytes([255, 7, 7, 255, 255, 255, 0, 0]), "two")
	assert_code(memory.fill(9, 7, 1), OK, "the last one")
	assert_eq(memory.read(), bytes([255, 7, 7, 255, 255, 255, 0, 9]), "the last one")
	assert_code(memory.fill(1, 0, 8), OK, "all by its size")
	assert_eq(memory.read(), bytes([1, 1, 1, 1, 1, 1, 1, 1]), "all by its size")


func test_fill_outside_is_refused() -> void:
	var memory := created(16)
	memory.write(pattern(16))
	for outside: Array in OUTSIDE:
		memory.clear_last_error()
		expect_error("SharedMemory.fill(): ")
		var code := memory.fill(0, outside[0], outside[1])
		assert_code(code, ERR_INVALID_PARAMETER, "%s" % [outside])
		assert_last_error(memory, ERR_INVALID_PARAMETER)
	assert_eq(memory.read(), pattern(16), "not a byte is written")


func test_fill_refuses_values_that_are_not_bytes() -> void:
	var memory := created(16)
	for value: int in [-1, 256, 1 << 32, -9223372036854775808, 9223372036854775807]:
		expect_error("SharedMemory.fill(): ")
		assert_code(memory.fill(value), ERR_INVALID_PARAMETER, str(value))
		assert_last_error(memory, ERR_INVALID_PARAMETER, [str(value)])
	assert_eq(memory.read(1), bytes([0]), "not a byte is written")


func test_large_segments_work() -> void:
	var memory := created(9_000_001)
	var data := pattern(1000)
	var all := PackedByteArray()
	for index in 9000:
		all.append_array(data)
	all.append(5)
	assert_code(memory.write(all), OK, "write")
	var other := opened(memory)
	assert_true(other.read() == all, "read")
	var buffer := PackedByteArray()
	buffer.resize(all.size())
	assert_code(other.read_into(buffer), OK, "read_into")
	assert_true(buffer == all, "read_into")


func test_calls_fail_while_not_open() -> void:
	var never := SharedMemory.new()
	_check_not_open(never, SharedMemory.STATUS_UNINITIALIZED)
	var closed := created(16)
	closed.close()
	_check_not_open(closed, SharedMemory.STATUS_UNINITIALIZED)
	var failed := SharedMemory.new()
	failed.open(unique_name())
	_check_not_open(failed, SharedMemory.STATUS_ERROR)


func test_not_open_is_checked_before_arguments() -> void:
	var memory := SharedMemory.new()
	expect_error("SharedMemory.write(): ")
	assert_code(memory.write(PackedByteArray(), -1), ERR_UNCONFIGURED, "write")
	expect_error("SharedMemory.fill(): ")
	assert_code(memory.fill(-1), ERR_UNCONFIGURED, "fill")
	expect_error("SharedMemory.read_into(): ")
	assert_code(memory.read_into(PackedByteArray()), ERR_UNCONFIGURED, "read_into")


func _check_not_open(memory: SharedMemory, status: SharedMemory.Status) -> void:
	memory.clear_last_error()
	expect_error("SharedMemory.read(): ")
	assert_eq(memory.read(), PackedByteArray(), "read")
	assert_last_error(memory, ERR_UNCONFIGURED)
	memory.clear_last_error()
	expect_error("SharedMemory.write(): ")
	assert_code(memory.write(bytes([1])), ERR_UNCONFIGURED, "write")
	assert_last_error(memory, ERR_UNCONFIGURED)
	memory.clear_last_error()
	expect_error("SharedMemory.fill(): ")
	assert_code(memory.fill(1), ERR_UNCONFIGURED, "fill")
	assert_last_error(memory, ERR_UNCONFIGURED)
	memory.clear_last_error()
	var buffer := pattern(4)
	expect_error("SharedMemory.read_into(): ")
	assert_code(memory.read_into(buffer), ERR_UNCONFIGURED, "read_into")
	assert_last_error(memory, ERR_UNCONFIGURED)
	assert_eq(buffer, pattern(4), "the buffer")
	assert_eq(memory.get_status(), status, "status")
	assert_eq(memory.get_name(), "", "name")
	assert_eq(memory.get_size(), 0, "size")
	assert_eq(memory.get_mapped_size(), 0, "mapped size")
	assert_false(memory.is_current(), "is_current")
