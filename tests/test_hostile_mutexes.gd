extends "res://test_case.gd"
## Mutexes: every method, every argument, hostile values, in every state, typed and untyped.
##
## As test_hostile.gd, from the same table.

# same for every user

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

const MISUSE := [ERR_INVALID_PARAMETER, ERR_UNCONFIGURED, ERR_ALREADY_IN_USE]
const STATES := ["new", "open", "holder", "locked out", "closed"]
const HOLDERS := ["open", "holder", "locked out"]

var _methods := Methods.new("SharedMemoryMutex")
var _name := ""
## Holds the lock if the object's state says so.
var _other := SharedMemoryMutex.new()


func test_table_is_complete() -> void:
	assert_eq(_methods.problems, [] as Array[String], "differences between ClassDB and the table")


func test_bad_and_good_values() -> void:
	for state: String in STATES:
		for method in _methods.all:
			for position in method.arguments.size():
				for value: Variant in method.arguments[position].values():
					var verdict: Variant = method.arguments[position].verdict(value)
					if verdict == null:
						continue
					for how: Callable in [_methods.call_typed, _methods.call_untyped]:
						var arguments := method.good(unique_name(), "")
						arguments[position] = value
						_check(method, state, arguments, how, verdict)


func test_calls_with_any_number_of_defaults() -> void:
	for state: String in STATES:
		for method in _methods.all:
			for count in range(method.required, method.arguments.size() + 1):
				for how: Callable in [_methods.call_typed, _methods.call_untyped]:
					_check(method, state, method.good(unique_name(), "").slice(0, count), how, OK)


func test_wrong_types_and_numbers_are_refused() -> void:
	var mutex := _in_state("open")
	for method in _methods.all:
		for position in method.arguments.size():
			for type in TYPE_MAX:
				if method.arguments[position].does_convert(type):
					continue
				var arguments := method.good(unique_name(), "")
				arguments[position] = Argument.empty(type)
				expect_error("Cannot convert argument")
				assert_eq(_methods.call_untyped(mutex, method, arguments), null, method.name)
		for count: int in range(method.required) + [method.arguments.size() + 1]:
			var arguments := method.good(unique_name(), "")
			arguments.resize(count)
			expect_error("Method expected")
			assert_eq(_methods.call_untyped(mutex, method, arguments), null, method.name)


## Any words beside the locks lead to a documented error, and never to two holders.
func test_hostile_words() -> void:
	var chance := RandomNumberGenerator.new()
	chance.seed = randi()
	note("seed %d" % chance.seed)
	var mutex := _in_state("open")
	var memory := SharedMemory.new()
	assert_code(memory.open(_name), OK)
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", 2.0) * 1000)
	var taken := 0
	while Time.get_ticks_msec() < until:
		var values := [0, 1, 2, 0x7fffffff, 0xffffffff, chance.randi()]
		var offset: int = 4 * chance.randi_range(0, 68)
		var before := memory.decode_u32(offset)
		memory.encode_u32(offset, values[chance.randi() % values.size()])
		for one: SharedMemoryMutex in [mutex, _other]:
			var code := one.lock(chance.randi() % 2)
			assert_true(code in [OK, ERR_BUSY, ERR_INVALID_DATA, ERR_TIMEOUT], error_string(code))
			if code == OK:
				taken += 1
				assert_false((_other if one == mutex else mutex).try_lock(), "two holders")
				assert_code(one.unlock(), OK)
		var third := SharedMemoryMutex.new()
		var opened_as := third.open(_name)
		assert_true(opened_as in [OK, ERR_BUSY, ERR_INVALID_DATA], error_string(opened_as))
		memory.encode_u32(offset, before)
	assert_true(taken > 0, "locks were taken")
	note("%d locks were taken" % taken)


func _check(method: Method, state: String, arguments: Array, how: Callable, verdict: Error) -> void:
	var mutex := _in_state(state)
	var why := "%s%s on a %s one" % [method.name, str(arguments).left(60), state]
	var codes := method.codes(verdict, state in HOLDERS, false)
	if verdict == OK and state in HOLDERS:
		codes = _codes_of_state(method, state, arguments)
	if codes.size() > 1:
		allow_errors("SharedMemoryMutex.")
	elif codes[0] in MISUSE and not _is_ended(state, method, arguments):
		expect_error("SharedMemoryMutex.%s(): " % method.name)
	var result: Variant = how.call(mutex, method, arguments)
	var code := mutex.get_last_error()
	assert_true(code in codes, "%s: %s" % [why, error_string(code)])
	assert_true(method.may_return(result), why)
	if method.returns_code and not "last_error" in method.name:
		assert_code(result, code, why)
	if code == OK:
		return
	if not method.returns_code:
		assert_eq(result, method.failure(code), why)
	# Nothing has changed.
	if state == "holder":
		assert_false(_other.try_lock(), why + ": it holds the lock still")
	elif state == "locked out":
		assert_code(_other.unlock(), OK, why)
		_other.lock(0)
	elif state == "open":
		assert_true(_other.try_lock(), why + ": it holds no lock")


## Returns whether close() may have ended a thread that makes this call. That isn't printed.
func _is_ended(state: String, method: Method, arguments: Array) -> bool:
	if state != "closed":
		return false
	return method.name == "unlock" or (method.name == "lock" and int(arguments[0]) > 0)


func _codes_of_state(method: Method, state: String, arguments: Array) -> Array[Error]:
	match [method.name, state]:
		["open", _]:
			return [ERR_ALREADY_IN_USE]
		["lock", "holder"], ["try_lock", "holder"]:
			return [ERR_ALREADY_IN_USE]
		["lock", "locked out"]:
			return [ERR_BUSY if arguments[0] == 0 else ERR_TIMEOUT]
		["try_lock", "locked out"]:
			return [ERR_BUSY]
		["unlock", "open"], ["unlock", "locked out"]:
			return [ERR_UNCONFIGURED]
	return [OK]


func _in_state(state: String) -> SharedMemoryMutex:
	_other.close()
	_name = unique_name()
	_other.open(_name)
	var mutex := SharedMemoryMutex.new()
	if state != "new":
		mutex.open(_name)
	match state:
		"holder":
			mutex.lock(0)
		"locked out":
			_other.lock(0)
		"closed":
			mutex.close()
	mutex.clear_last_error()
	return mutex
