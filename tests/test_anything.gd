extends "res://test_case.gd"
## Random calls of every method from eight threads on one object, with good and with bad arguments.
## The threads also close the object and drop its last reference.
##
## The calls come from the table in calls/methods.gd. SHM_TEST_SECONDS sets for how long.
## [br]Threads return the problems that they find: only the main thread makes assertions.

# same for every user

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

const THREADS := 8
const SECONDS := 3.0
const NAMES := 8

## The errors that each kind of method may return, with any calls of the other threads.
const CODES := {
	Method.OPENS:
	[
		ERR_INVALID_PARAMETER,
		ERR_ALREADY_IN_USE,
		ERR_ALREADY_EXISTS,
		ERR_DOES_NOT_EXIST,
		ERR_UNAVAILABLE,
		ERR_OUT_OF_MEMORY,
	],
	# The third is of wait_u32().
	Method.READS: [ERR_INVALID_PARAMETER, ERR_UNCONFIGURED, ERR_TIMEOUT],
	Method.WRITES: [ERR_INVALID_PARAMETER, ERR_UNCONFIGURED, ERR_UNAUTHORIZED],
	Method.STATIC: [ERR_INVALID_PARAMETER, ERR_DOES_NOT_EXIST, ERR_UNAVAILABLE],
}

var _methods := Methods.new()
## The one object of all threads.
var _memory := SharedMemory.new()
var _exchange := Mutex.new()


func test_random_calls_from_threads_keep_the_object_consistent() -> void:
	var started_with := randi()
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", SECONDS) * 1000)
	allow_errors("SharedMemory.")
	allow_errors("Cannot convert argument")
	allow_errors("Method expected")
	var threads: Array[Thread] = []
	for number in THREADS:
		var thread := Thread.new()
		thread.start(_work.bind(hash([started_with, number]), until))
		threads.append(thread)
	var problems := []
	var done := {}
	for thread in threads:
		var found: Array = thread.wait_to_finish()
		problems.append_array(found[0])
		for method: String in found[1]:
			var counts: Array = done.get_or_add(method, [0, 0])
			counts[0] += found[1][method][0]
			counts[1] += found[1][method][1]
	assert_eq(problems, [], "problems")

	var calls := 0
	var worked := 0
	for method in _methods.all:
		var counts: Array = done.get(method.name, [0, 0])
		assert_true(counts[1] > 0, "%s() has never worked, of %d times" % [method.name, counts[0]])
		calls += counts[0]
		worked += counts[1]
	note("seed %d: %d calls, of which %d worked" % [started_with, calls, worked])
	_memory.close()
	_memory.persistent = false
	_memory.backend = SharedMemory.BACKEND_NATIVE
	# Some have been persistent.
	for number in NAMES:
		SharedMemory.remove(_name(number))
	var left := Array(SharedMemory.list_names()).filter(
		func(name: String) -> bool: return name.begins_with(prefix)
	)
	assert_eq(left, [], "left")
	assert_code(_memory.open_or_create(unique_name(), 64), OK, "the object still works")


## Returns what is wrong, and how often each method was called and has worked.
func _work(started_with: int, until: int) -> Array:
	var chance := RandomNumberGenerator.new()
	chance.seed = started_with
	var problems := []
	var done := {}
	while Time.get_ticks_msec() < until and problems.size() < 5:
		# A reference of its own. The thread that drops the last one to a replaced object frees it.
		_exchange.lock()
		if chance.randf() < 0.2:
			_memory = SharedMemory.new()
		var memory := _memory
		_exchange.unlock()
		for _call in chance.randi() % 100:
			var method: Method = _methods.all[chance.randi() % _methods.all.size()]
			var counts: Array = done.get_or_add(method.name, [0, 0])
			counts[0] += 1
			var outcome := _call_one(memory, method, chance)
			if outcome == "worked":
				counts[1] += 1
			elif outcome != "refused":
				problems.append(outcome)
	return [problems, done]


## Returns "worked", "refused", or what is wrong.
func _call_one(memory: SharedMemory, method: Method, chance: RandomNumberGenerator) -> String:
	var arguments := []
	for argument in method.arguments:
		# The others have other names, which the test would have to find again.
		if argument.name == "backend":
			arguments.append(0)
		else:
			arguments.append(argument.any_good(chance, _name(chance.randi() % NAMES)))
	if chance.randf() < 0.3:
		arguments.resize(chance.randi_range(method.required, arguments.size()))
	var is_typed := true
	var converts := true
	if arguments and chance.randf() < 0.1:
		var position := chance.randi() % arguments.size()
		var argument := method.arguments[position]
		if chance.randf() < 0.2:
			arguments[position] = Argument.empty(chance.randi() % TYPE_MAX)
			# An object may be of the wrong class.
			is_typed = typeof(arguments[position]) == argument.type and argument.type != TYPE_OBJECT
			converts = argument.does_convert(typeof(arguments[position]))
		else:
			var bad: Array = argument.values()
			var value: Variant = bad[chance.randi() % bad.size()]
			# Not what costs too much to try, and no other backend.
			var is_backend: bool = argument.name == "backend" and argument.verdict(value) == OK
			if argument.verdict(value) != null and not is_backend:
				arguments[position] = value
	if chance.randf() < 0.01:
		arguments.resize(method.arguments.size() + 1)
		is_typed = false
		converts = false

	var result: Variant
	if is_typed and chance.randf() < 0.5:
		result = _methods.call_typed(memory, method, arguments)
	else:
		result = _methods.call_untyped(memory, method, arguments)
	var outcome := _judged(method, result, converts)
	if outcome:
		return outcome
	return "%s%s: %s" % [method.name, str(arguments).left(80), str(result).left(80)]


## Empty if it is wrong.
func _judged(method: Method, result: Variant, converts: bool) -> String:
	if not converts:
		return "refused" if result == null else ""
	var is_right := method.may_return(result)
	var has_worked := true
	if method.returns_code and method.kind != Method.GETS:
		has_worked = result == OK
		is_right = is_right and (has_worked or result in CODES[method.kind])
	elif result is PackedByteArray:
		has_worked = not result.is_empty()
		is_right = result.size() <= 2 * Argument.SIZE
	elif method.name == "get_size":
		is_right = result >= 0 and result <= 2 * Argument.SIZE
	elif method.name == "get_status":
		is_right = result >= 0 and result <= 3
	if not is_right:
		return ""
	return "worked" if has_worked else "refused"


func _name(number: int) -> String:
	return "%sx%d" % [prefix, number]
