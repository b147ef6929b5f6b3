extends "res://tests/test_case.gd"
## Every method, every argument, hostile values: never a crash, never OK where it isn't.
##
## One table drives it. Each call is made on objects in every state, typed and untyped.

const MIN := -9223372036854775808
const MAX := 9223372036854775807
const TWO_32 := 1 << 32

const NEGATIVE := [MIN, MIN + 1, -TWO_32, -1]
const NOT_0_OR_1 := [MIN, -TWO_32, -1, 2, TWO_32 - 1, TWO_32, TWO_32 + 1, MAX]
const NOT_0_TO_3 := [MIN, -TWO_32, -1, 4, TWO_32 - 1, TWO_32, TWO_32 + 1, MAX]
const NO_BYTES := [MIN, -TWO_32, -1, 256, TWO_32, TWO_32 + 1, MAX]
## More than the 64 bytes there are.
const TOO_LARGE := [65, TWO_32 - 1, TWO_32, TWO_32 + 1, MAX - 1, MAX]

const TAKING := ["create", "open", "open_or_create"]

var _bad_names := ["", "/", "//", "a/b", "a\\b", ".", "..", "x".repeat(256), "é".repeat(128)]
var _bad_names_to_open := ["", "/", "//", "a/b", "../x", "x".repeat(256), "x".repeat(70000)]
var _bad_buffers := [PackedByteArray(), pattern(65), pattern(100_000)]

## What of the arguments of a call is wrong; the others are right. All is ERR_INVALID_PARAMETER.
var _table := {
	"create": [_bad_names, NEGATIVE + [0], NOT_0_OR_1],
	"open_or_create": [_bad_names, NEGATIVE + [0], NOT_0_OR_1],
	"open": [_bad_names_to_open, NEGATIVE + TOO_LARGE, NOT_0_OR_1],
	"read": [NEGATIVE + TOO_LARGE, NEGATIVE + TOO_LARGE + [64]],
	"read_into": [_bad_buffers, NEGATIVE + TOO_LARGE + [62, 64]],
	"write": [_bad_buffers, NEGATIVE + TOO_LARGE + [62, 64]],
	"fill": [NO_BYTES, NEGATIVE + TOO_LARGE, NEGATIVE + TOO_LARGE],
	"decode_u32": [NEGATIVE + TOO_LARGE + [61, 64]],
	# Any value is allowed: it is cut to the width.
	"encode_u32": [NEGATIVE + TOO_LARGE + [61, 64], []],
	"set_backend": [NOT_0_TO_3],
}
var _table_of_statics := {
	"exists": [_bad_names_to_open, NOT_0_OR_1, NOT_0_TO_3],
	"remove": [_bad_names_to_open, NOT_0_OR_1, NOT_0_TO_3],
	"generate_name": [_bad_names],
}


## Straight into the class: the compiler knows all types.
class Typed:
	static func create(memory: SharedMemory, name: StringName, size: int, scope: int) -> Error:
		return memory.create(name, size, scope)

	static func open_or_create(m: SharedMemory, name: StringName, size: int, scope: int) -> Error:
		return m.open_or_create(name, size, scope)

	static func open(memory: SharedMemory, name: StringName, size: int, access: int) -> Error:
		return memory.open(name, size, access)

	static func read(memory: SharedMemory, size: int, offset: int) -> PackedByteArray:
		return memory.read(size, offset)

	static func read_into(memory: SharedMemory, buffer: PackedByteArray, offset: int) -> Error:
		return memory.read_into(buffer, offset)

	static func write(memory: SharedMemory, data: PackedByteArray, offset: int) -> Error:
		return memory.write(data, offset)

	static func fill(memory: SharedMemory, value: int, offset: int, size: int) -> Error:
		return memory.fill(value, offset, size)

	static func decode_u32(memory: SharedMemory, byte_offset: int) -> int:
		return memory.decode_u32(byte_offset)

	static func encode_u32(memory: SharedMemory, byte_offset: int, value: int) -> Error:
		return memory.encode_u32(byte_offset, value)

	static func set_backend(memory: SharedMemory, backend: int) -> Variant:
		memory.set_backend(backend)
		return null


func test_an_object_that_holds_nothing() -> void:
	_for_each_call(
		func(method: String, arguments: Array, how: Callable) -> void:
			var memory := SharedMemory.new()
			var code := ERR_INVALID_PARAMETER
			if method not in TAKING and method != "set_backend":
				code = ERR_UNCONFIGURED
			_check_refused(memory, method, arguments, how, code)
			var status := SharedMemory.STATUS_ERROR
			if method not in TAKING:
				status = SharedMemory.STATUS_UNINITIALIZED
			assert_eq(memory.get_status(), status, "%s: status" % method)
	)


func test_a_creator() -> void:
	var memory := created(64)
	_check_holder(memory, SharedMemory.STATUS_CREATED)


func test_an_opener() -> void:
	var owner := created(64)
	_check_holder(opened(owner), SharedMemory.STATUS_OPEN)


func test_a_reader() -> void:
	var owner := created(64)
	owner.write(pattern(64))
	var memory := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	# A bad argument and no permission: whichever it tells of, but no byte is written.
	_for_each_call(
		func(method: String, arguments: Array, how: Callable) -> void:
			allow_errors("SharedMemory.%s(): " % method)
			var result: Variant = how.call(memory, method, arguments)
			if method != "decode_u32":
				assert_ne(result, OK, "%s%s" % [method, _short(arguments)])
			assert_eq(memory.read(), pattern(64), "its bytes")
	)
	assert_eq(memory.get_status(), SharedMemory.STATUS_OPEN, "status")


func test_a_closed_one() -> void:
	var memory := created(64)
	memory.close()
	_for_each_call(
		func(method: String, arguments: Array, how: Callable) -> void:
			var code := ERR_INVALID_PARAMETER
			if method not in TAKING and method != "set_backend":
				code = ERR_UNCONFIGURED
			_check_refused(memory, method, arguments, how, code)
			assert_false(memory.is_open(), "is_open")
	)


func test_static_methods() -> void:
	var owner := created(64)
	var name := owner.get_name()
	for method: String in _table_of_statics:
		var valid: Array = [name, 0, 0] if method != "generate_name" else [name]
		for position: int in valid.size():
			for value: Variant in _table_of_statics[method][position]:
				var arguments := valid.duplicate()
				arguments[position] = value
				_check_static(method, arguments)
	assert_true(owner.is_current(), "nothing was removed")


func test_huge_but_possible_numbers() -> void:
	for size: int in [1 << 44, 1 << 56, MAX - 4096, MAX]:
		var memory := SharedMemory.new()
		var name := unique_name()
		# No room, or no number of bytes that this system can count; the latter is misuse, and printed.
		allow_errors("SharedMemory.create(): ")
		var code := memory.create(name, size)
		assert_true(code in [ERR_OUT_OF_MEMORY, ERR_INVALID_PARAMETER], "create %d" % size)
		assert_false(SharedMemory.exists(name), "nothing is left")
		assert_eq(memory.get_status(), SharedMemory.STATUS_ERROR, "status")


func test_objects_as_arguments() -> void:
	var memory: Variant = created(64)
	for value: Variant in [null, RefCounted.new(), memory, memory.close, Vector3(), ^"a", RID()]:
		for method: String in _table:
			expect_error("Cannot convert argument")
			var arguments := _valid(method, unique_name())
			arguments[0] = value
			# A path is as good as text where text is wanted, but no method here wants a String.
			assert_eq(memory.callv(method, arguments), null, "%s(%s)" % [method, value])
	assert_true(memory.is_current(), "it is still there")


func test_numbers_that_are_no_integers() -> void:
	var memory: Variant = created(64)
	memory.write(pattern(64))
	for value: float in [NAN, INF, -INF, 1e300, -1e300, -1.5, 64.5]:
		expect_error("SharedMemory.read(): ")
		assert_eq(memory.callv("read", [1, value]), PackedByteArray(), "read at %s" % value)
		expect_error("SharedMemory.write(): ")
		var code: Variant = memory.callv("write", [bytes([9]), value])
		assert_code(code, ERR_INVALID_PARAMETER, "write at %s" % value)
	assert_eq(memory.read(), pattern(64), "not a byte is written")


func test_data_that_is_the_object_s_own() -> void:
	var memory := created(64)
	memory.write(pattern(64))
	assert_code(memory.write(memory.read(32), 16), OK, "bytes just read")
	assert_eq(memory.read(32, 16), pattern(32), "moved")
	var buffer := memory.read()
	assert_code(memory.read_into(buffer), OK, "read_into what was read")
	assert_eq(buffer, memory.read(), "the same")


func test_methods_of_the_engine_on_it() -> void:
	var memory := created(64)
	memory.notification(12345)
	memory.notify_property_list_changed()
	memory.set_block_signals(true)
	for property in memory.get_property_list():
		memory.get(property.name)
	for method in memory.get_method_list():
		memory.has_method(method.name)
	var copy: Variant = bytes_to_var(var_to_bytes(memory))
	assert_true(copy is EncodedObjectAsID, "it is not copied")
	assert_true(memory.is_current(), "it is still there")


func _check_holder(memory: SharedMemory, status: SharedMemory.Status) -> void:
	memory.write(pattern(64))
	var name := memory.get_name()
	_for_each_call(
		func(method: String, arguments: Array, how: Callable) -> void:
			var code := ERR_ALREADY_IN_USE if method in TAKING else ERR_INVALID_PARAMETER
			_check_refused(memory, method, arguments, how, code)
			assert_eq(memory.get_status(), status, "%s: status" % method)
	)
	assert_eq(memory.read(), pattern(64), "its bytes")
	assert_eq(memory.get_name(), name, "name")
	assert_eq(memory.backend, SharedMemory.BACKEND_NATIVE, "backend")
	assert_true(memory.is_current(), "is_current")


func _check_refused(
	memory: SharedMemory, method: String, arguments: Array, how: Callable, code: Error
) -> void:
	memory.clear_last_error()
	var why := "%s%s" % [method, _short(arguments)]
	expect_error("SharedMemory.%s(): " % method)
	var result: Variant = how.call(memory, method, arguments)
	if method == "read":
		assert_eq(result, PackedByteArray(), why)
	elif method == "decode_u32":
		assert_eq(result, 0, why)
	elif method == "set_backend":
		assert_eq(result, null, why)
	else:
		assert_code(result, code, why)
	assert_code(memory.get_last_error(), code, why + ": get_last_error()")


func _check_static(method: String, arguments: Array) -> void:
	var why := "%s%s" % [method, _short(arguments)]
	# To ask for a name that can't be is no mistake: there is none.
	if method != "exists" or arguments.slice(1) != [0, 0]:
		expect_error("SharedMemory.%s(): " % method)
	var result: Variant = SharedMemory.new().callv(method, arguments)
	match method:
		"exists":
			assert_eq(result, false, why)
		"remove":
			assert_code(result, ERR_INVALID_PARAMETER, why)
		"generate_name":
			assert_eq(result, "", why)


## Calls `check` with every hostile call, to be made in each way.
func _for_each_call(check: Callable) -> void:
	var owner := created(64)
	for method: String in _table:
		for position: int in _table[method].size():
			for value: Variant in _table[method][position]:
				var name := owner.get_name() if method == "open" else unique_name()
				var arguments := _valid(method, name)
				arguments[position] = value
				check.call(method, arguments, _call_typed)
				check.call(method, arguments, _call_untyped)


func _valid(method: String, name: String) -> Array:
	var arguments := {
		"create": [name, 64, 0],
		"open_or_create": [name, 64, 0],
		"open": [name, 0, 0],
		"read": [1, 0],
		"read_into": [pattern(3), 0],
		"write": [pattern(3), 0],
		"fill": [7, 0, 0],
		"encode_u32": [0, 7],
	}
	return arguments.get(method, [0])


func _call_untyped(memory: SharedMemory, method: String, arguments: Array) -> Variant:
	return memory.callv(method, arguments)


func _call_typed(memory: SharedMemory, method: String, arguments: Array) -> Variant:
	return (Typed as Variant).callv(method, [memory] + arguments)


func _short(arguments: Array) -> String:
	return str(arguments).left(80)
