extends "res://test_case.gd"
## The whole class through calls of which the compiler knows no types: a way of their own into it.
## test_hostile.gd has the arguments that they refuse.


func test_variant_calls_methods() -> void:
	var memory: Variant = SharedMemory.new()
	_check(
		func(method: String, arguments: Array) -> Variant: return memory.callv(method, arguments)
	)
	var name := unique_name()
	assert_code(memory.create(name, 16), OK, "create")
	assert_code(memory.write(bytes([1, 2, 3])), OK, "write")
	assert_eq(memory.read(2, 1), bytes([2, 3]), "read")
	assert_eq(memory.read(3), bytes([1, 2, 3]), "read with a default")
	assert_eq(memory.get_name(), name, "name")
	assert_eq(memory.get_status(), 1, "status")
	assert_eq(memory.persistent, false, "a property")
	memory.persistent = true
	assert_eq(memory.is_persistent(), true, "a property that was set")
	memory.persistent = false
	memory.close()
	assert_eq(memory.get_status(), 0, "status")


func test_call_works() -> void:
	var memory := SharedMemory.new()
	var methods := func(method: String, arguments: Array) -> Variant:
		match arguments.size():
			0:
				return memory.call(method)
			1:
				return memory.call(method, arguments[0])
			2:
				return memory.call(method, arguments[0], arguments[1])
		return memory.call(method, arguments[0], arguments[1], arguments[2])
	_check(methods)


func test_callable_works() -> void:
	var memory := SharedMemory.new()
	_check(
		func(method: String, arguments: Array) -> Variant:
			return Callable(memory, method).callv(arguments)
	)
	var write := memory.write
	memory.create(unique_name(), 16)
	assert_code(write.call(bytes([1, 2])), OK, "write")
	assert_code(write.bind(2).call(bytes([3])), OK, "write, bound")
	var read := memory.read
	assert_eq(read.call(3), bytes([1, 2, 3]), "read")


func test_call_deferred_works() -> void:
	var memory := SharedMemory.new()
	memory.call_deferred("create", unique_name(), 16)
	memory.call_deferred("write", bytes([7]))
	assert_false(memory.is_open(), "not yet")
	await Engine.get_main_loop().process_frame
	await Engine.get_main_loop().process_frame
	assert_eq(memory.read(1), bytes([7]), "afterwards")


func test_signal_calls_methods() -> void:
	var memory := created(16)
	var sender := Node.new()
	sender.add_user_signal("sent", [{"name": "data", "type": TYPE_PACKED_BYTE_ARRAY}])
	sender.connect("sent", memory.write)
	sender.emit_signal("sent", bytes([8, 9]))
	assert_eq(memory.read(2), bytes([8, 9]), "written by a signal")
	sender.free()


func test_set_and_get_work() -> void:
	var memory := SharedMemory.new()
	memory.set("persistent", true)
	assert_eq(memory.get("persistent"), true, "persistent")
	memory.set("backend", 3)
	assert_eq(memory.get("backend"), 3, "backend")
	assert_eq(memory.get("no_such_property"), null, "one that is not there")


func test_numbers_of_other_types_convert() -> void:
	var memory: Variant = created(16)
	# As everywhere in Godot, a float or bool is taken for an int.
	assert_code(memory.write(bytes([1]), 2.0), OK, "a float")
	assert_eq(memory.read(true, 2), bytes([1]), "a bool")


func test_text_of_other_types_converts() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	assert_code(memory.create(StringName(name), 16), OK, "a StringName")
	assert_true(SharedMemory.exists(name), "a String")
	var untyped: Variant = SharedMemory.new()
	assert_code(untyped.open(name), OK, "a String")
	untyped.close()
	assert_code(untyped.open(StringName(name)), OK, "a StringName")


## All methods, in the order of a segment's life.
func _check(method: Callable) -> void:
	var name := unique_name()
	assert_code(method.call("create", [name, 16]), OK, "create")
	assert_eq(method.call("get_status", []), 1, "get_status")
	assert_eq(method.call("is_open", []), true, "is_open")
	assert_eq(method.call("is_current", []), true, "is_current")
	assert_eq(method.call("get_name", []), name, "get_name")
	assert_true(method.call("get_native_name", []).ends_with(name), "get_native_name")
	assert_eq(method.call("get_size", []), 16, "get_size")
	assert_eq(method.call("get_mapped_size", []), 16, "get_mapped_size")
	assert_eq(method.call("get_scope", []), 0, "get_scope")
	assert_eq(method.call("get_access", []), 0, "get_access")
	assert_code(method.call("write", [bytes([1, 2])]), OK, "write")
	assert_code(method.call("write", [bytes([3]), 2]), OK, "write with an offset")
	assert_code(method.call("fill", [9, 3, 1]), OK, "fill")
	assert_eq(method.call("read", [4]), bytes([1, 2, 3, 9]), "read")
	assert_eq(method.call("read", [2, 2]), bytes([3, 9]), "read with an offset")
	assert_eq(method.call("read", []).size(), 16, "read all")
	expect_error("SharedMemory.read(): ")
	assert_eq(method.call("read", [17]), PackedByteArray(), "read too much")
	assert_code(method.call("get_last_error", []), ERR_INVALID_PARAMETER, "get_last_error")
	assert_ne(method.call("get_last_error_message", []), "", "get_last_error_message")
	assert_eq(method.call("clear_last_error", []), null, "clear_last_error")
	assert_code(method.call("get_last_error", []), OK, "get_last_error")
	expect_error("SharedMemory.create(): ")
	assert_code(method.call("create", [name, 16, 0]), ERR_ALREADY_IN_USE, "create again")
	assert_eq(method.call("exists", [name]), true, "exists")
	if is_linux():
		assert_true(name in method.call("list_names", []), "list_names")
	assert_eq(method.call("unlink", []), null, "unlink")
	assert_eq(method.call("exists", [name]), false, "exists after unlink")
	assert_eq(method.call("close", []), null, "close")
	assert_code(method.call("open", [name]), ERR_DOES_NOT_EXIST, "open")
	assert_eq(method.call("get_status", []), 3, "get_status")
	assert_code(method.call("open_or_create", [name, 16, 1]), OK, "open_or_create")
	assert_eq(method.call("get_scope", []), 1, "get_scope")
	assert_code(method.call("remove", [name, 1]), OK, "remove")
	assert_eq(method.call("close", []), null, "close")
	assert_eq(method.call("set_persistent", [true]), null, "set_persistent")
	assert_eq(method.call("is_persistent", []), true, "is_persistent")
	method.call("set_persistent", [false])
	assert_eq(method.call("set_backend", [2]), null, "set_backend")
	assert_eq(method.call("get_backend", []), 2, "get_backend")
	method.call("set_backend", [0])
	assert_true(method.call("generate_name", ["ab"]).begins_with("ab"), "generate_name")
	assert_true(method.call("generate_name", []).begins_with("godot"), "generate_name")
