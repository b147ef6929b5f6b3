extends "res://test_case.gd"
## Every method, every argument, hostile values: the documented error, and nothing has changed.
##
## ClassDB lists the methods; the expected results come from the table in
## calls/methods.gd. Each call is made on objects in every state, typed and untyped.

# same for every user

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

const MISUSE := [ERR_INVALID_PARAMETER, ERR_UNCONFIGURED, ERR_ALREADY_IN_USE]
const STATES := ["new", "creator", "opener", "reader", "closed", "failed"]
const HOLDERS := ["creator", "opener", "reader"]

var _methods := Methods.new()
## The owner of the segment that the openers have.
var _owner := SharedMemory.new()


func test_table_is_complete() -> void:
	assert_eq(_methods.problems, [] as Array[String], "differences between ClassDB and the table")
	assert_true(_methods.all.size() > 30, "methods: %d" % _methods.all.size())


func test_bad_values_fail_on_new_object() -> void:
	_check_bad_values("new")


func test_bad_values_fail_on_creator() -> void:
	_check_bad_values("creator")


func test_bad_values_fail_on_opener() -> void:
	_check_bad_values("opener")


func test_bad_values_fail_on_reader() -> void:
	_check_bad_values("reader")


func test_bad_values_fail_on_closed_object() -> void:
	_check_bad_values("closed")


func test_bad_values_fail_after_an_error() -> void:
	_check_bad_values("failed")


## The other side of the table: what is not refused works, to the last byte.
func test_good_values_work() -> void:
	for method in _methods.all:
		for position in method.arguments.size():
			for value: Variant in method.arguments[position].values():
				if method.arguments[position].verdict(value) != OK:
					continue
				for how: Callable in [_methods.call_typed, _methods.call_untyped]:
					var state := "new" if method.kind == Method.OPENS else "creator"
					if method.kind == Method.CONFIGURES_CLOSED:
						state = "new"
					var memory := _in_state(state)
					var arguments := _good(method)
					arguments[position] = value
					var why := "%s%s" % [method.name, _short(arguments)]
					var result: Variant = how.call(memory, method, arguments)
					assert_true(method.may_return(result), why)
					if method.returns_code:
						assert_code(result, OK, why)
					assert_last_error(memory, OK)
					memory.persistent = false


## With and without those that have a default, in every state.
func test_good_calls_work() -> void:
	for method in _methods.all:
		for state: String in STATES:
			for count in range(method.required, method.arguments.size() + 1):
				for how: Callable in [_methods.call_typed, _methods.call_untyped]:
					_check_good_call(method, state, count, how)


func test_wrong_types_are_refused() -> void:
	for state: String in ["new", "creator"]:
		var memory := _in_state(state)
		memory.clear_last_error()
		var before := _seen(memory)
		for method in _methods.all:
			for position in method.arguments.size():
				for type in TYPE_MAX:
					if method.arguments[position].does_convert(type):
						continue
					var arguments := _good(method)
					arguments[position] = Argument.empty(type)
					var why := "%s%s" % [method.name, _short(arguments)]
					expect_error("Cannot convert argument")
					assert_eq(_methods.call_untyped(memory, method, arguments), null, why)
					assert_eq(_seen(memory), before, why)
		assert_last_error(memory, OK)


func test_wrong_number_of_arguments_is_refused() -> void:
	for state: String in ["new", "creator"]:
		var memory := _in_state(state)
		memory.clear_last_error()
		var before := _seen(memory)
		for method in _methods.all:
			var given := _good(method)
			var most := given.size()
			given.resize(most + 300)
			for count: int in range(method.required) + [most + 1, most + 2, most + 300]:
				expect_error("Method expected")
				var arguments := given.slice(0, count)
				assert_eq(_methods.call_untyped(memory, method, arguments), null, method.name)
				assert_eq(_seen(memory), before, "%s of %d" % [method.name, count])
		assert_last_error(memory, OK)


## As everywhere in Godot, a float is taken for an int; which one, is the engine's to say.
func test_floats_convert_to_integers() -> void:
	var memory := _in_state("creator")
	for method in _methods.all:
		if method.kind not in [Method.READS, Method.WRITES]:
			continue
		for position in method.arguments.size():
			if method.arguments[position].type != TYPE_INT:
				continue
			for value in Argument.FLOATS:
				var arguments := _good(method)
				arguments[position] = value
				var code: Error = method.arguments[position].verdict(int(value))
				_check_refused_or_not(memory, method, arguments, code)


func test_arrays_convert_to_packed_arrays() -> void:
	var memory := _in_state("creator")
	for method in _methods.all:
		for position in method.arguments.size():
			if not method.arguments[position].does_convert(TYPE_ARRAY):
				continue
			var all_types := []
			for type in TYPE_MAX:
				all_types.append(Argument.empty(type))
			for value: Array in [all_types, [[]], [INF, NAN, Argument.MIN], [null], [], range(65)]:
				var arguments := _good(method)
				arguments[position] = value
				var code: Error = method.arguments[position].verdict(value)
				if method.arguments[position].type == TYPE_PACKED_COLOR_ARRAY:
					# The engine's own, about a text among the elements.
					allow_errors("Invalid color name")
				_check_refused_or_not(memory, method, arguments, code)


func test_properties_refuse_values_of_other_types() -> void:
	for state: String in STATES:
		var memory := _in_state(state)
		for property in ClassDB.class_get_property_list("SharedMemory", true):
			if property.usage & PROPERTY_USAGE_CATEGORY:
				continue
			var type: int = property.type
			for value_type in TYPE_MAX:
				if value_type == type or value_type in Argument.CONVERTS[type]:
					continue
				var before := _seen(memory)
				allow_errors("Cannot convert argument")
				memory.set(property.name, Argument.empty(value_type))
				assert_eq(_seen(memory), before, "%s = %s" % [property.name, value_type])


func test_data_of_the_same_object_works() -> void:
	var memory := created(64)
	memory.write(pattern(64))
	assert_code(memory.write(memory.read(32), 16), OK, "bytes just read")
	assert_eq(memory.read(32, 16), pattern(32), "moved")
	var buffer := memory.read()
	assert_code(memory.read_into(buffer), OK, "read_into what was read")
	assert_eq(buffer, memory.read(), "the same")


func test_methods_of_object_work() -> void:
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


func _check_bad_values(state: String) -> void:
	var memory := _in_state(state)
	for method in _methods.all:
		for position in method.arguments.size():
			for value: Variant in method.arguments[position].values():
				var verdict: Variant = method.arguments[position].verdict(value)
				if verdict == null or verdict == OK:
					continue
				for how: Callable in [_methods.call_typed, _methods.call_untyped]:
					if method.kind == Method.OPENS and state not in HOLDERS:
						# The call before may have changed its state.
						memory = _in_state(state)
					var arguments := _good(method)
					arguments[position] = value
					_check_refused(memory, method, arguments, how, _codes(method, state, verdict))


func _codes(method: Method, state: String, verdict: Error) -> Array[Error]:
	return method.codes(verdict, state in HOLDERS, state == "reader")


func _check_refused(
	memory: SharedMemory, method: Method, arguments: Array, how: Callable, codes: Array[Error]
) -> void:
	var why := "%s%s" % [method.name, _short(arguments)]
	memory.clear_last_error()
	var before := _seen(memory)
	if codes.size() > 1:
		allow_errors("SharedMemory.%s(): " % method.name)
	elif (
		codes[0] in MISUSE
		and not (codes[0] == ERR_INVALID_PARAMETER and _wants_more_than_there_is(method, arguments))
	):
		expect_error("SharedMemory.%s(): " % method.name)
	var result: Variant = how.call(memory, method, arguments)
	if method.kind == Method.STATIC:
		assert_eq(result, method.failure(codes[0]), why)
		assert_last_error(memory, OK)
	else:
		var code := memory.get_last_error()
		assert_true(code in codes, "%s: %s" % [why, error_string(code)])
		assert_eq(result, method.failure(code), why)
	if method.kind == Method.OPENS and not before[1]:
		before[0] = SharedMemory.STATUS_ERROR
	assert_eq(_seen(memory), before, why + ": what has changed")


## Returns whether it asks for more bytes of an existing segment than that has. That is not printed,
## as another program may be about to replace the segment.
func _wants_more_than_there_is(method: Method, arguments: Array) -> bool:
	return method.name in ["open", "open_read_only"] and arguments[1] > Argument.SIZE


func _check_refused_or_not(
	memory: SharedMemory, method: Method, arguments: Array, code: Error
) -> void:
	if code != OK:
		_check_refused(memory, method, arguments, _methods.call_untyped, [code])
		return
	var result: Variant = _methods.call_untyped(memory, method, arguments)
	assert_true(method.may_return(result), "%s%s" % [method.name, _short(arguments)])
	if method.returns_code:
		assert_code(result, OK, "%s%s" % [method.name, _short(arguments)])


func _check_good_call(method: Method, state: String, count: int, how: Callable) -> void:
	var memory := _in_state(state)
	memory.clear_last_error()
	var arguments := _good(method).slice(0, count)
	var code: Error = _codes(method, state, OK)[0]
	if code != OK:
		_check_refused(memory, method, arguments, how, [code])
		return
	var before := _seen(memory)
	var why := "%s%s on a %s one" % [method.name, _short(arguments), state]
	var result: Variant = how.call(memory, method, arguments)
	assert_true(method.may_return(result), why)
	if method.returns_code:
		assert_code(result, OK, why)
	assert_last_error(memory, OK)
	if method.kind in [Method.READS, Method.GETS]:
		assert_eq(_seen(memory), before, why + ": what has changed")


## All that a call could change without being asked to.
func _seen(memory: SharedMemory) -> Array:
	var name := memory.get_name()
	return [
		memory.get_status(),
		memory.is_open(),
		memory.get_size(),
		memory.get_mapped_size(),
		name,
		memory.get_scope(),
		memory.get_access(),
		memory.is_current(),
		memory.persistent,
		memory.backend,
		memory.read() if memory.is_open() else null,
		_owner.is_current(),
		_names_here(),
	]


## The names of this process.
func _names_here() -> Array:
	return Array(SharedMemory.list_names()).filter(
		func(name: String) -> bool: return name.begins_with(prefix)
	)


func _in_state(state: String) -> SharedMemory:
	# One after the other: each call may have removed the one before.
	_owner.close()
	_owner.create(unique_name(), Argument.SIZE)
	_owner.write(_data())
	var memory := SharedMemory.new()
	match state:
		"creator":
			memory.create(unique_name(), Argument.SIZE)
			memory.write(_data())
		"opener":
			memory.open(_owner.get_name())
		"reader":
			memory.open(_owner.get_name(), 0, SharedMemory.ACCESS_READ_ONLY)
		"closed":
			memory.create(unique_name(), Argument.SIZE)
			memory.close()
		"failed":
			memory.open(unique_name())
	return memory


## A null in the engine's form, and what is none.
func _data() -> PackedByteArray:
	var data := pattern(Argument.SIZE)
	data.encode_u32(0, 0)
	return data


func _good(method: Method) -> Array:
	return method.good(unique_name(), _owner.get_name())


func _short(arguments: Array) -> String:
	return str(arguments).left(80)
