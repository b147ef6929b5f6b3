extends "res://test_case.gd"
## Streams, queues and arrays: every method, every argument, hostile values; and hostile memory.
##
## As test_hostile.gd, from the same table.

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

const MISUSE := [ERR_INVALID_PARAMETER, ERR_UNCONFIGURED]
const STATES := ["new", "attached", "reader", "detached", "closed"]
## Each class: its arguments of attach() after the memory, and the size of the memory.
const CLASSES := {
	"SharedMemoryStream": [[SharedMemoryStream.LAYOUT_LSM_V2], Argument.SIZE],
	"SharedMemoryQueue":
	[[SharedMemoryQueue.LAYOUT_LSM_V2, Argument.LONGEST_MESSAGE], Argument.SIZE],
	"SharedMemoryArray": [["<4B"], Argument.SIZE],
}
const WORKS := ["attached", "reader"]
## The errors that methods may return for random memory.
const OF_MEMORY := [
	OK,
	ERR_INVALID_DATA,
	ERR_DOES_NOT_EXIST,
	ERR_BUSY,
	ERR_TIMEOUT,
	ERR_INVALID_PARAMETER,
]

var _all := {}


func _init() -> void:
	for of_class: String in CLASSES:
		_all[of_class] = Methods.new(of_class)


func test_table_is_complete() -> void:
	for of_class: String in CLASSES:
		assert_eq(_all[of_class].problems, [] as Array[String], of_class)


func test_bad_values_fail() -> void:
	for of_class: String in CLASSES:
		for state: String in STATES:
			for method: Method in _all[of_class].all:
				for position in method.arguments.size():
					_check_values(of_class, state, method, position)


func test_good_calls_work() -> void:
	for of_class: String in CLASSES:
		var methods: Methods = _all[of_class]
		for state: String in STATES:
			for method: Method in methods.all:
				for count in range(method.required, method.arguments.size() + 1):
					for how: Callable in [methods.call_typed, methods.call_untyped]:
						_check_good_call(of_class, state, method, count, how)


func test_wrong_types_and_numbers_are_refused() -> void:
	for of_class: String in CLASSES:
		var methods: Methods = _all[of_class]
		var object := _in_state(of_class, "attached")
		for method: Method in methods.all:
			for position in method.arguments.size():
				for type in TYPE_MAX:
					if method.arguments[position].does_convert(type):
						continue
					var arguments := _good(method)
					arguments[position] = Argument.empty(type)
					var before := Argument.memory.read()
					expect_error("Cannot convert argument")
					var result: Variant = methods.call_untyped(object, method, arguments)
					assert_eq(result, null, "%s%s" % [method.name, arguments])
					assert_eq(Argument.memory.read(), before, "nothing has changed")
			for count: int in range(method.required) + [method.arguments.size() + 1]:
				var arguments := _good(method)
				arguments.resize(count)
				expect_error("Method expected")
				assert_eq(methods.call_untyped(object, method, arguments), null, method.name)


## Any bytes in the memory lead to a documented error, without a crash or an endless wait.
func test_random_memory_is_refused_or_read() -> void:
	var chance := RandomNumberGenerator.new()
	chance.seed = randi()
	note("seed %d" % chance.seed)
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", 2.0) * 1000)
	var calls := 0
	while Time.get_ticks_msec() < until:
		for of_class: String in CLASSES:
			var object := _in_state(of_class, "attached")
			if of_class != "SharedMemoryArray":
				object.lock_timeout_msec = 0
			for _round in 10:
				_spoil(Argument.memory, chance)
				for method: Method in _all[of_class].all:
					if method.kind in [Method.READS, Method.WRITES, Method.POLLS]:
						allow_errors(of_class)
						_all[of_class].call_untyped(object, method, _good(method))
						calls += 1
						var code: Error = object.get_last_error()
						if not code in OF_MEMORY:
							fail("%s.%s: %s" % [of_class, method.name, error_string(code)])
			var attach: Array = [Argument.memory] + CLASSES[of_class][0]
			object.callv("attach", attach)
			assert_true(object.get_last_error() in OF_MEMORY, "attach")
	note("%d calls" % calls)


## A few fields, or all of it.
func _spoil(memory: SharedMemory, chance: RandomNumberGenerator) -> void:
	if chance.randf() < 0.3:
		for offset in range(0, Argument.SIZE, 4):
			memory.encode_u32(offset, chance.randi())
		return
	for _field in chance.randi_range(1, 3):
		var values := [0, 1, 2, 5, 11, 64, 1 << 31, 0xffffffff, chance.randi()]
		memory.encode_u32(4 * chance.randi_range(0, 7), values[chance.randi() % values.size()])


func _check_values(of_class: String, state: String, method: Method, position: int) -> void:
	# So that the right one is among the values.
	_in_state(of_class, state)
	for value: Variant in method.arguments[position].values():
		var verdict: Variant = method.arguments[position].verdict(value)
		if verdict == null:
			continue
		var methods: Methods = _all[of_class]
		for how: Callable in [methods.call_typed, methods.call_untyped]:
			var object := _in_state(of_class, state)
			var arguments := _good(method)
			if not value is SharedMemory or not value.is_open():
				arguments[position] = value
			_check_call(of_class, state, method, arguments, how, object, verdict)


func _check_good_call(
	of_class: String, state: String, method: Method, count: int, how: Callable
) -> void:
	var object := _in_state(of_class, state)
	_check_call(of_class, state, method, _good(method).slice(0, count), how, object, OK)


func _check_call(
	of_class: String,
	state: String,
	method: Method,
	arguments: Array,
	how: Callable,
	object: RefCounted,
	verdict: Error
) -> void:
	var codes := method.codes(verdict, state in WORKS, state == "reader")
	var why := "%s.%s%s on a %s one" % [of_class, method.name, str(arguments).left(60), state]
	if method.name == "attach":
		if of_class == "SharedMemoryStream":
			# Good for each of its layouts.
			Argument.memory.fill(0)
		elif of_class == "SharedMemoryQueue" and verdict == OK and codes == [OK]:
			# The queue that is there may be for shorter messages.
			codes = [OK, ERR_INVALID_PARAMETER]
	var before := Argument.memory.read()
	object.clear_last_error()
	if codes.size() > 1:
		allow_errors(of_class)
	elif codes[0] in MISUSE and method.kind != Method.POLLS:
		expect_error("%s.%s(): " % [of_class, method.name])
	var result: Variant = how.call(object, method, arguments)
	var code: Error = object.get_last_error()
	assert_true(code in codes, "%s: %s" % [why, error_string(code)])
	if method.returns_code:
		if not "last_error" in method.name:
			assert_code(result, code, why)
	elif code != OK and method.returns == TYPE_NIL:
		assert_eq(result, null, why)
	elif code != OK:
		assert_eq(result, Argument.empty(method.returns), why)
	if code != OK:
		assert_eq(Argument.memory.read(), before, why + ": the memory")


## An object of that class. [member Argument.memory] is, and has, what it would be attached to.
func _in_state(of_class: String, state: String) -> RefCounted:
	var attach: Array = CLASSES[of_class][0]
	var owner := created(CLASSES[of_class][1])
	var object: RefCounted = ClassDB.instantiate(of_class)
	object.callv("attach", [owner] + attach)
	if of_class == "SharedMemoryStream":
		object.write("there")
	elif of_class == "SharedMemoryQueue":
		object.enqueue(bytes([1, 2]))
	Argument.memory = owner
	match state:
		"new":
			object = ClassDB.instantiate(of_class)
		"reader":
			var reader := opened(owner, SharedMemory.ACCESS_READ_ONLY)
			object.callv("attach", [reader] + attach)
		"detached":
			object.detach()
		"closed":
			var other := opened(owner)
			object.callv("attach", [other] + attach)
			other.close()
	return object


func _good(method: Method) -> Array:
	return method.good(unique_name(), "")
