extends "res://test_case.gd"
## Streams, queues and arrays: every method, every argument, hostile values; and hostile memory.
##
## As test_hostile.gd, from the same table.

# same for every user

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

const MISUSE := [ERR_INVALID_PARAMETER, ERR_UNCONFIGURED]
const STATES := ["new", "attached", "reader", "detached", "closed"]
const WORKS := ["attached", "reader"]
## The errors that methods may return for random memory.
const OF_MEMORY := [
	OK,
	ERR_INVALID_DATA,
	ERR_DOES_NOT_EXIST,
	ERR_BUSY,
	ERR_TIMEOUT,
	ERR_INVALID_PARAMETER,
	ERR_UNAVAILABLE,
]
## The bytes that random values go to: all words that a layout's calls read.
const SPOILT := {true: 1024, false: Argument.SIZE}

## The layout that is tested.
var _is_native := false
var _methods: Methods


func test_table_is_complete() -> void:
	for case: Array in Methods.ATTACHED:
		_begin(case)
		assert_eq(_methods.problems, [] as Array[String], case[0])


func test_bad_values_fail() -> void:
	for case: Array in Methods.ATTACHED:
		_begin(case)
		for state: String in STATES:
			for method: Method in _methods.all:
				for position in method.arguments.size():
					_check_values(case[0], state, method, position)


func test_good_calls_work() -> void:
	for case: Array in Methods.ATTACHED:
		_begin(case)
		for state: String in STATES:
			for method: Method in _methods.all:
				for count in range(_methods.fewest(method), method.arguments.size() + 1):
					for how: Callable in [_methods.call_typed, _methods.call_untyped]:
						_check_good_call(case[0], state, method, count, how)


func test_wrong_types_and_numbers_are_refused() -> void:
	for case: Array in Methods.ATTACHED:
		_begin(case)
		var methods := _methods
		var object := _in_state(case[0], "attached")
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
		for case: Array in Methods.ATTACHED:
			_begin(case)
			var of_class: String = case[0]
			var object := _in_state(of_class, "attached")
			if of_class != "SharedMemoryArray":
				object.lock_timeout_msec = 0
			for _round in 10:
				_spoil(Argument.memory, chance)
				for method: Method in _methods.all:
					if method.kind in [Method.READS, Method.WRITES, Method.POLLS]:
						allow_errors(of_class)
						_methods.call_untyped(object, method, _good(method))
						calls += 1
						var code: Error = object.get_last_error()
						if not code in OF_MEMORY:
							fail("%s.%s: %s" % [of_class, method.name, error_string(code)])
			object.callv("attach", [Argument.memory] + _attach_arguments(of_class))
			assert_true(object.get_last_error() in OF_MEMORY, "attach")
	note("%d calls" % calls)


## A few fields, or all of it.
func _spoil(memory: SharedMemory, chance: RandomNumberGenerator) -> void:
	if chance.randf() < 0.3:
		for offset in range(0, SPOILT[_is_native], 4):
			memory.encode_u32(offset, chance.randi())
		return
	for _field in chance.randi_range(1, 3):
		var values := [0, 1, 2, 5, 11, 64, 1 << 31, 0xffffffff, chance.randi()]
		var words: int = SPOILT[_is_native] / 4 if _is_native else 8
		memory.encode_u32(4 * (chance.randi() % words), values[chance.randi() % values.size()])


func _check_values(of_class: String, state: String, method: Method, position: int) -> void:
	# So that the right one is among the values.
	_in_state(of_class, state)
	for value: Variant in method.arguments[position].values():
		var verdict: Variant = method.arguments[position].verdict(value)
		if verdict == null:
			continue
		for how: Callable in [_methods.call_typed, _methods.call_untyped]:
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
		if arguments.size() > 2 and arguments[2] is int and arguments[2] > 0 and codes == [OK]:
			# The memory may be too small, and the queue that is there for shorter messages.
			codes = [OK, ERR_INVALID_PARAMETER]
	var before := Argument.memory.read()
	object.clear_last_error()
	if codes.size() > 1:
		allow_errors(of_class)
	elif codes[0] in MISUSE and method.kind != Method.POLLS:
		if not _is_ended(state, method, arguments):
			expect_error("%s.%s(): " % [of_class, method.name])
	var result: Variant = how.call(object, method, arguments)
	var code: Error = object.get_last_error()
	assert_true(code in codes, "%s: %s" % [why, error_string(code)])
	if method.returns_code:
		if not "last_error" in method.name:
			assert_code(result, code, why)
	elif code != OK:
		assert_eq(result, method.failure(code), why)
	if code != OK:
		assert_eq(Argument.memory.read(), before, why + ": the memory")


## Returns whether the call would wait if the object hadn't been detached. That isn't printed.
func _is_ended(state: String, method: Method, arguments: Array) -> bool:
	var last := method.arguments.size() - 1
	var may_wait := (
		state in ["detached", "closed"] and method.name in ["wait", "enqueue", "dequeue"]
	)
	return may_wait and arguments.size() > last and int(arguments[last]) > 0


## An object of that class. [member Argument.memory] is, and has, what it would be attached to.
func _in_state(of_class: String, state: String) -> RefCounted:
	var attach := _attach_arguments(of_class)
	var owner := created(Methods.size_for(_is_native))
	var object: RefCounted = ClassDB.instantiate(of_class)
	object.callv("attach", [owner] + attach)
	if of_class == "SharedMemoryStream":
		# A text is a message in each layout, and an image for read_image() of the native one.
		object.write(Argument.image_of(5) if _is_native else "there")
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


## Chooses the class and its layout.
func _begin(case: Array) -> void:
	_is_native = case[1]
	Argument.is_native = _is_native
	_methods = Methods.new(case[0], _is_native)


func _attach_arguments(of_class: String) -> Array:
	return Methods.attach_arguments(of_class, _is_native)
