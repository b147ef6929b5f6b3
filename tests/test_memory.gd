extends "res://test_case.gd"
## The memory that a call takes because another program says so.

const MIB := 1 << 20
## Of an Array, a PackedByteArray and a Dictionary, beside their values, as in
## rust/addon/src/struct_values.rs.
const ARRAY := 192
const PACKED := 160
const DICTIONARY := 640
const ENTRY := 132


## The engine never takes more than the call has reckoned with.
func test_engine_takes_no_more_than_was_checked() -> void:
	if OS.get_static_memory_usage() == 0:
		return skip("this Godot does not count its memory")
	for case: Array in [
		# Format, elements, values of one, bytes values of one.
		["b", 100_000, 1, 0],
		["<q", 70_000, 1, 0],
		["<4B", 20_000, 4, 0],
		["<100B", 1000, 100, 0],
		["c", 20_000, 1, 1],
		["9s", 20_000, 1, 1],
		["300s", 2000, 1, 1],
		["<B20sBc", 5000, 4, 2],
	]:
		var count: int = case[1]
		var size := SharedMemory.calcsize(case[0])
		var array := SharedMemoryArray.new()
		assert_code(array.attach(created(16 + count * size), case[0]), OK, case[0])
		var of_bytes: int = case[3] * PACKED + (2 * size if case[3] else 0)
		var each := of_bytes if case[2] == 1 else _array(case[2]) + of_bytes
		var reckoned := _array(count) + count * each
		var taken := _taken_by(array, count)
		note("%s: %d bytes an element, %d reckoned" % [case[0], taken / count, reckoned / count])
		var why := "%s: %d bytes of the engine's memory, %d reckoned" % [case[0], taken, reckoned]
		assert_true(taken <= reckoned, why)
		assert_true(taken * 4 > reckoned, "not by far too much: " + why)


## The same for values by name, whose memory is reckoned in rust/addon/src/struct_values.rs.
func test_engine_takes_no_more_for_dictionaries_than_was_checked() -> void:
	if OS.get_static_memory_usage() == 0:
		return skip("this Godot does not count its memory")
	for case: Array in [
		# The fields of a struct, the number of its names, and the memory of what they point to.
		["B:a:", 1, 0],
		["B:a: B:b: B:c:", 3, 0],
		["9s:text:", 1, PACKED + 18],
		["4B:a:", 1, _array(4)],
		["3T{B:x:}:a:", 1, _array(3) + 3 * _dictionary(1)],
		["3T{B}:a:", 1, _array(3) + 3 * _array(1)],
		[_byte_fields(17), 17, 0],
		[_byte_fields(18), 18, 0],
		[_byte_fields(73), 73, 0],
		[_byte_fields(1000), 1000, 0],
	]:
		var count := 2000 if case[1] < 100 else 100
		var format := "<%dT{%s}:all:" % [count, case[0]]
		var memory := created(SharedMemory.calcsize(format))
		var taken := _taken_by_names(memory, format, count)
		var each: int = _dictionary(case[1]) + case[2]
		var reckoned := _dictionary(1) + _array(count) + count * each
		note("%s: %d bytes a struct, %d reckoned" % [format.left(40), taken / count, each])
		var why := (
			"%s: %d bytes of the engine's memory, %d reckoned" % [format.left(40), taken, reckoned]
		)
		assert_true(taken <= reckoned, why)
		assert_true(taken * 4 > reckoned, "not by far too much: " + why)


## No page of the segment is there yet, and its size is an eighth of the memory there is. As many
## values would take three times what there is.
func test_values_without_memory_are_refused() -> void:
	if not is_linux():
		return skip("only Linux hands out more memory than there is")
	var size := _available() / 8
	var name := unique_name()
	make_foreign(name, size)
	var file := FileAccess.open(file_of(name), FileAccess.READ_WRITE)
	file.store_64(size)
	file.store_64(size - 16)
	file.close()
	var memory := SharedMemory.new()
	assert_code(memory.open(name), OK, "open")
	for format: String in ["b", "c"]:
		var array := SharedMemoryArray.new()
		assert_code(array.attach(memory, format), OK)
		assert_eq(array.to_array(), [], format)
		assert_last_error(array, ERR_OUT_OF_MEMORY, ["no room for the values"])
	assert_eq(memory.unpack("<%dB" % (size - 16), 16), [], "unpack")
	assert_last_error(memory, ERR_OUT_OF_MEMORY, ["no room for the values"])
	assert_true(_allocated(name) < MIB, "not even a page of it was touched")
	memory.close()
	remove_foreign(name)


## The copy would find room, and so would the pages; but not both.
func test_copies_of_pages_that_are_not_there_are_refused() -> void:
	if not is_linux():
		return skip("only Linux hands out more memory than there is")
	var size := _available() / 100 * 70
	var name := unique_name()
	make_foreign(name, size)
	var memory := SharedMemory.new()
	assert_code(memory.open(name), OK, "open")
	for copy: Callable in [
		memory.read,
		memory.read_float32_array,
		memory.read_color_array,
		memory.unpack.bind("%ds" % (size - 8)),
		memory.unpack.bind("<B%ds" % (size - 8)),
	]:
		assert_eq(len(copy.call()), 0, str(copy))
		assert_last_error(memory, ERR_OUT_OF_MEMORY, ["no room"])
	assert_eq(memory.read(100).size(), 100, "a part of it")
	memory.close()
	remove_foreign(name)


func _taken_by(array: SharedMemoryArray, count: int) -> int:
	var before := OS.get_static_memory_usage()
	var values := array.to_array()
	var taken := OS.get_static_memory_usage() - before
	assert_eq(values.size(), count, "to_array()")
	return taken


func _taken_by_names(memory: SharedMemory, format: String, count: int) -> int:
	var before := OS.get_static_memory_usage()
	var values := memory.unpack_dictionary(format)
	var taken := OS.get_static_memory_usage() - before
	assert_eq(values.all.size(), count, "unpack_dictionary()")
	return taken


func _array(count: int) -> int:
	return count * 48 + ARRAY


func _dictionary(count: int) -> int:
	return count * ENTRY + DICTIONARY


func _byte_fields(count: int) -> String:
	return " ".join(range(count).map(func(index: int) -> String: return "B:n%d:" % index))


func _available() -> int:
	for line in lines_of("/proc/meminfo"):
		if line.begins_with("MemAvailable:"):
			return line.to_int() * 1024
	return 0


## Returns the bytes of a file that the system has reserved.
func _allocated(name: String) -> int:
	var output := []
	OS.execute("stat", ["-c", "%b", file_of(name)], output)
	return str(output[0]).to_int() * 512
