extends "res://test_case.gd"
## A script that runs in the middle of a method and lets go of the object.
##
## It is a Logger, the NOTIFICATION_PREDELETE of something that the method frees, or a function that
## is connected to a signal.
##
## The method ends as if nothing had happened, and the next one does not find anything broken.

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

## The methods after which the object uses the memory no more.
const LETS_GO := ["attach", "create", "open", "close", "detach"]

## The only reference to an object, and a call of each of its methods through that variable. A call
## that passed the object on would have another one.
const HOLDER := """
extends RefCounted
var object%s
var freed := 0
var _junk := []
func let_go(_ignored: Variant = null) -> void:
	if object == null:
		return
	var weak: WeakRef = weakref(object)
	object = null
	freed += int(weak.get_ref() == null)
	# Freed memory gets other contents.
	for size in range(16, 1600, 8):
		var bytes := PackedByteArray()
		bytes.resize(size)
		bytes.fill(0xff)
		_junk.append(bytes)
"""
const LOGGER := """
extends Logger
var holder: RefCounted
func _log_error(_function: String, _file: String, _line: int, _code: String, _rationale: String,
		_editor_notify: bool, _error_type: int, _script_backtraces: Array) -> void:
	if holder:
		holder.let_go()
"""

## The classes with messages, and whether with the native layout.
const MESSAGES := [
	["SharedMemoryStream", true],
	["SharedMemoryStream", false],
	["SharedMemoryQueue", true],
	["SharedMemoryQueue", false],
]

var _is_native := false
var _methods := {}
## By class; typed and untyped.
var _holders := {}


## Memory that lets go of what `holder` holds when it goes itself.
class Fickle:
	extends SharedMemory
	var holder: RefCounted

	func _notification(what: int) -> void:
		if what == NOTIFICATION_PREDELETE and holder:
			holder.let_go()


func _init() -> void:
	for of_class: String in Methods.TABLES:
		_methods[of_class] = Methods.new(of_class)
		_holders[of_class] = []
		for declared: String in [": " + of_class, ""]:
			var script := GDScript.new()
			script.source_code = HOLDER % declared
			for method: Method in _methods[of_class].all:
				script.source_code += _source(method)
			script.reload()
			_holders[of_class].append(script)


func test_logger_can_drop_the_object() -> void:
	if not ClassDB.class_exists("Logger"):
		return skip("this Godot has no Logger")
	var script := GDScript.new()
	script.source_code = LOGGER
	script.reload()
	var logger: Variant = script.new()
	# By name, as an older Godot knows neither.
	OS.call("add_logger", logger)
	var tried := 0
	for case: Array in [["SharedMemory", false]] + Methods.ATTACHED:
		_begin(case)
		var of_class: String = case[0]
		for method: Method in _methods[of_class].all:
			for is_new: bool in [true, false]:
				for arguments: Array in _bad_calls(method, is_new):
					tried += 1
					for script_of_holder: GDScript in _holders[of_class]:
						var holder: Variant = script_of_holder.new()
						holder.object = _in_state(of_class, is_new)
						logger.holder = holder
						expect_error("%s.%s()" % [of_class, method.name])
						var result: Variant = _call(holder, method, arguments)
						logger.holder = null
						_check(method, result, holder, "%s %s" % [method.name, arguments])
	OS.call("remove_logger", logger)
	assert_true(tried > 150, "bad calls: %d" % tried)


func test_memory_can_drop_the_object_that_holds_it() -> void:
	for case: Array in Methods.ATTACHED:
		_begin(case)
		var of_class: String = case[0]
		for method: Method in _methods[of_class].all:
			for script: GDScript in _holders[of_class]:
				var holder: Variant = script.new()
				var memory := Fickle.new()
				memory.holder = holder
				assert_code(memory.create(unique_name(), _size()), OK)
				holder.object = _attached(of_class, memory)
				memory = null
				Argument.memory = created(_size())
				allow_errors(of_class)
				var arguments := method.good(unique_name(), "")
				if method.name == "attach":
					arguments = [Argument.memory] + _attach_arguments(of_class)
					arguments += method.good("", "").slice(arguments.size())
				var result: Variant = _call(holder, method, arguments)
				assert_true(method.may_return(result), method.name)
				var lets_go := method.name in LETS_GO
				assert_eq(holder.freed, int(lets_go), method.name)
				# Of its memory, get_memory() has returned another reference.
				result = null
				if not lets_go:
					_call(holder, _method_of(of_class, "detach"), [])
				assert_eq(holder.freed, 1, "%s, and then detach()" % method.name)


func test_signal_can_drop_the_object() -> void:
	for case: Array in MESSAGES:
		_begin(case)
		var of_class: String = case[0]
		var method := _method_of(of_class, "poll")
		for script: GDScript in _holders[of_class]:
			var holder: Variant = script.new()
			var memory := created(_size())
			holder.object = _attached(of_class, memory)
			var writer: Variant = _attached(of_class, opened(memory))
			for i in 2:
				var data := bytes([1, 2, i])
				writer.call("write" if of_class == "SharedMemoryStream" else "enqueue", data)
			holder.object.message_received.connect(holder.let_go)
			assert_code(_call(holder, method, []), OK, of_class)
			assert_eq(holder.object, null, "the signal has let go")


## An object that no call uses is freed at once, and its name is free for the next one.
func test_object_without_calls_is_freed_at_once() -> void:
	for case: Array in MESSAGES:
		_begin(case)
		var of_class: String = case[0]
		var memory := created(_size())
		var reader: Variant = _attached(of_class, memory)
		var writer: Variant = _attached(of_class, opened(memory))
		var frames := [SharedMemory.new()]
		var name := unique_name()
		assert_code(frames[0].create(name, 16), OK, "create")
		reader.message_received.connect(
			func(_message: Variant) -> void:
				frames[0] = SharedMemory.new()
				assert_code(frames[0].create(name, 32), OK, "create, in the handler")
		)
		writer.call("write" if of_class == "SharedMemoryStream" else "enqueue", bytes([1]))
		assert_code(reader.poll(), OK, "poll")
		assert_eq(frames[0].get_size(), 32, "it was called")


## A method that is called again by what runs in it: the object goes with the outermost call.
func test_object_lives_until_outermost_call_ends() -> void:
	_begin(["SharedMemoryQueue", false])
	var script: GDScript = _holders.SharedMemoryQueue[0]
	var poll := _method_of("SharedMemoryQueue", "poll")
	var holder: Variant = script.new()
	var memory := created(_size())
	holder.object = _attached("SharedMemoryQueue", memory)
	var writer: Variant = _attached("SharedMemoryQueue", opened(memory))
	for i in 6:
		writer.enqueue(bytes([i]))
	var depths := []
	holder.object.message_received.connect(
		func(_message: Variant) -> void:
			depths.append(depths.size())
			if depths.size() < 3:
				assert_code(_call(holder, poll, []), OK, "poll in poll")
			else:
				holder.let_go()
	)
	assert_code(_call(holder, poll, []), OK, "poll")
	assert_true(depths.size() >= 3, "it was called in itself")
	assert_eq(holder.object, null, "and let go of")


## The only warning there is, printed once.
func test_logger_can_drop_the_object_at_a_warning() -> void:
	if not ClassDB.class_exists("Logger") or not is_linux():
		return skip("this Godot has no Logger, or the system keeps all that is persistent")
	# Memory without a name needs it.
	OS.set_environment("XDG_RUNTIME_DIR", ProjectSettings.globalize_path("user://"))
	var script := GDScript.new()
	script.source_code = LOGGER
	script.reload()
	var logger: Variant = script.new()
	var holder: Variant = _holders.SharedMemory[0].new()
	holder.object = SharedMemory.new()
	holder.object.backend = SharedMemory.BACKEND_MEMFD
	holder.object.persistent = true
	logger.holder = holder
	OS.call("add_logger", logger)
	expect_error("SharedMemory.persistent")
	var create := _method_of("SharedMemory", "create")
	assert_code(_call(holder, create, [unique_name(), 16, 0]), OK, create.name)
	OS.call("remove_logger", logger)
	assert_eq(holder.freed, 1, "it was let go of")


## Calls that print an error: on an object that holds nothing, or on one that does.
func _bad_calls(method: Method, is_new: bool) -> Array:
	if method.kind in [Method.GETS, Method.NEVER_FAILS, Method.STATIC, Method.POLLS]:
		return []
	var needs_memory := method.kind in [Method.READS, Method.WRITES, Method.LACKS]
	Argument.memory = created(_size())
	var good := method.good(unique_name(), Argument.memory.get_name())
	if is_new and needs_memory:
		return [good]
	# Another layout has the others: that is no mistake of the arguments, and prints nothing.
	if is_new == needs_memory or method.kind == Method.LACKS:
		return []
	var calls := []
	for position in method.arguments.size():
		var argument := method.arguments[position]
		for value: Variant in argument.values():
			if argument.verdict(value) == ERR_INVALID_PARAMETER:
				var arguments := good.duplicate()
				arguments[position] = value
				calls.append(arguments)
				break
	return calls


func _check(method: Method, result: Variant, holder: Variant, why: String) -> void:
	assert_eq(holder.freed, 1, why + ": it was let go of")
	if method.returns_code:
		assert_true(result in [ERR_INVALID_PARAMETER, ERR_UNCONFIGURED], why)
	else:
		assert_eq(result, method.failure(OK), why)


func _in_state(of_class: String, is_new: bool) -> RefCounted:
	if is_new:
		return ClassDB.instantiate(of_class)
	var memory := created(_size())
	return memory if of_class == "SharedMemory" else _attached(of_class, memory)


func _attached(of_class: String, memory: SharedMemory) -> RefCounted:
	var object: RefCounted = ClassDB.instantiate(of_class)
	assert_code(object.callv("attach", [memory] + _attach_arguments(of_class)), OK, of_class)
	return object


func _method_of(of_class: String, name: String) -> Method:
	for method: Method in _methods[of_class].all:
		if method.name == name:
			return method
	return null


func _call(holder: Variant, method: Method, arguments: Array) -> Variant:
	return holder.callv("call_" + method.name, arguments)


func _source(method: Method) -> String:
	var names := range(method.arguments.size()).map(
		func(index: int) -> String: return "a%d" % index
	)
	var list := ", ".join(names)
	var gives := method.returns != TYPE_NIL or method.returns_any
	var body := (
		("return object.%s(%s)" if gives else "object.%s(%s)\n\treturn null") % [method.name, list]
	)
	return "func call_%s(%s) -> Variant:\n\t%s\n" % [method.name, list, body]


## Chooses the layout of a class.
func _begin(case: Array) -> void:
	_is_native = case[1]
	Argument.is_native = _is_native
	_methods[case[0]] = Methods.new(case[0], _is_native)


func _size() -> int:
	return Methods.size_for(_is_native)


func _attach_arguments(of_class: String) -> Array:
	return Methods.attach_arguments(of_class, _is_native)
