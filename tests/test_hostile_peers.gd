extends "res://peer_case.gd"
## Peers: every method, also of PacketPeer, every argument, hostile values, in every state, typed
## and untyped.
##
## As test_hostile.gd, from the same table.

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

const MISUSE := [ERR_INVALID_PARAMETER, ERR_UNCONFIGURED, ERR_ALREADY_IN_USE]
## A connected one has a message to receive. So has a full one, which has no room to send.
const STATES := ["new", "waiting", "connected", "full", "ended", "closed"]
const OPEN := ["waiting", "connected", "full", "ended"]
## The results of calls that wait for the other side, by state: without a timeout, and with one.
const OUTCOMES := {
	"waiting":
	{
		"send": [ERR_UNAVAILABLE, ERR_TIMEOUT],
		"request": [ERR_UNAVAILABLE, ERR_TIMEOUT],
		"receive": [ERR_DOES_NOT_EXIST, ERR_TIMEOUT],
		"wait": [ERR_TIMEOUT, ERR_TIMEOUT],
		"wait_connected": [ERR_TIMEOUT, ERR_TIMEOUT],
		"put_packet": [ERR_UNAVAILABLE],
		"put_var": [ERR_UNAVAILABLE],
		"get_packet": [ERR_UNAVAILABLE],
		"get_var": [ERR_UNAVAILABLE],
	},
	"connected": {"request": [ERR_TIMEOUT, ERR_TIMEOUT]},
	"full":
	{
		"send": [ERR_BUSY, ERR_TIMEOUT],
		"request": [ERR_BUSY, ERR_TIMEOUT],
		"put_packet": [ERR_BUSY],
		"put_var": [ERR_BUSY],
	},
	"ended":
	{
		"send": [ERR_UNAVAILABLE, ERR_TIMEOUT],
		"request": [ERR_CONNECTION_ERROR, ERR_CONNECTION_ERROR],
		"receive": [ERR_CONNECTION_ERROR, ERR_CONNECTION_ERROR],
		"wait_connected": [ERR_TIMEOUT, ERR_TIMEOUT],
		"put_packet": [ERR_UNAVAILABLE],
		"put_var": [ERR_UNAVAILABLE],
		"get_packet": [ERR_UNAVAILABLE],
		"get_var": [ERR_UNAVAILABLE],
	},
}
## Printed by the engine's own get_var() if it fails, and by the setter.
const OF_ENGINE := {"get_var": "err != OK", "set_encode_buffer_max_size": "Max encode buffer"}

var _methods := Methods.new("SharedMemoryPeer")
## The other side.
var _other := SharedMemoryPeer.new()


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
	var peer := _in_state("connected")
	for method in _methods.all:
		# In an exported game, the engine doesn't check the arguments of its own methods.
		if method.name in Methods.OF_PACKET_PEER:
			continue
		for position in method.arguments.size():
			for type in TYPE_MAX:
				if method.arguments[position].does_convert(type):
					continue
				var arguments := method.good(unique_name(), "")
				arguments[position] = Argument.empty(type)
				expect_error("Cannot convert argument")
				assert_eq(_methods.call_untyped(peer, method, arguments), null, method.name)
		for count: int in range(method.required) + [method.arguments.size() + 1]:
			var arguments := method.good(unique_name(), "")
			arguments.resize(count)
			expect_error("Method expected")
			assert_eq(_methods.call_untyped(peer, method, arguments), null, method.name)
	_check_unchanged(peer, "calls that were refused")


func test_floats_convert_to_integers() -> void:
	for method in _methods.all:
		for position in method.arguments.size():
			if method.arguments[position].type != TYPE_INT:
				continue
			for value: float in Argument.FLOATS:
				# Not a wait that takes long.
				if method.arguments[position].name == "timeout_msec" and int(value) > 20:
					continue
				var verdict: Variant = method.arguments[position].verdict(int(value))
				if verdict == null:
					continue
				var arguments := method.good(unique_name(), "")
				arguments[position] = value
				_check(method, "connected", arguments, _methods.call_untyped, verdict)


## Any bytes in the memory lead to a documented error, without a crash or an endless wait.
func test_random_memory_is_refused_or_read() -> void:
	var chance := RandomNumberGenerator.new()
	chance.seed = randi()
	note("seed %d" % chance.seed)
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", 2.0) * 1000)
	var calls := 0
	while Time.get_ticks_msec() < until:
		var peer := _in_state("connected")
		var memory := SharedMemory.new()
		assert_code(memory.open(peer.get_name()), OK, "open")
		for _round in 10:
			for _word in chance.randi_range(1, 5):
				var values := [0, 1, 2, 8, 16, 64, 1 << 30, 1 << 31, 0xffffffff, chance.randi()]
				# The lines of both lanes, and the first records of each.
				var line: int = [0, 128, 256, 512, 512 + 256 + BUFFER, 512 + BUFFER][
					chance.randi() % 6
				]
				memory.encode_u32(
					line + 4 * (chance.randi() % 64), values[chance.randi() % values.size()]
				)
			for method in _methods.all:
				if method.kind not in [Method.READS, Method.WRITES, Method.POLLS]:
					continue
				# Bytes that are no value, for the engine's get_var().
				allow_errors("is true. Returning")
				_methods.call_untyped(peer, method, method.good(unique_name(), ""))
				calls += 1
				var code := peer.get_last_error()
				if (
					code
					not in [
						OK,
						ERR_INVALID_DATA,
						ERR_DOES_NOT_EXIST,
						ERR_BUSY,
						ERR_TIMEOUT,
						ERR_UNAVAILABLE,
						ERR_CONNECTION_ERROR,
					]
				):
					fail("%s: %s" % [method.name, peer.get_last_error_message()])
	settle()
	assert_true(calls > 0, "calls")
	note("%d calls" % calls)


func _check(method: Method, state: String, arguments: Array, how: Callable, verdict: Error) -> void:
	var peer := _in_state(state)
	var why := "%s%s on a %s one" % [method.name, str(arguments).left(60), state]
	# The engine itself sends nothing.
	var is_empty := method.name == "put_packet" and Array(arguments[0]).is_empty()
	var code := verdict
	if method.name == "set_encode_buffer_max_size":
		code = OK
	elif is_empty:
		code = OK
	else:
		code = method.codes(verdict, state in OPEN, false)[0]
		if code == OK and method.kind != Method.OPENS:
			code = _outcome(method, state, arguments)
	if code in MISUSE and method.kind != Method.POLLS and not _is_ended(state, method, arguments):
		var caller := method.name.replace("_var", "_packet")
		expect_error("SharedMemoryPeer.%s(): " % caller)
	if method.name in OF_ENGINE and (code != OK or verdict != OK):
		expect_error(OF_ENGINE[method.name])
	var result: Variant = how.call(peer, method, arguments)
	assert_code(peer.get_last_error(), code, why)
	assert_true(method.may_return(result), why)
	if method.returns_code and not "_error" in method.name:
		assert_code(result, code, why)
	elif code != OK:
		assert_eq(result, method.failure(code), why)
	if code == ERR_INVALID_PARAMETER and state == "connected":
		_check_unchanged(peer, why)


## Nothing was sent, nothing was taken out.
func _check_unchanged(peer: SharedMemoryPeer, why: String) -> void:
	assert_eq(_other.receive(), null, why)
	assert_eq(peer.receive(), "there", why)


## Returns whether close() may have ended a thread that makes this call. That isn't printed.
func _is_ended(state: String, method: Method, arguments: Array) -> bool:
	return state == "closed" and _has_timeout(method, arguments)


func _has_timeout(method: Method, arguments: Array) -> bool:
	var last := method.arguments.size() - 1
	return (
		last >= 0
		and method.arguments[last].name == "timeout_msec"
		and arguments.size() > last
		and int(arguments[last]) > 0
	)


## Returns the result of a call with good arguments.
func _outcome(method: Method, state: String, arguments: Array) -> Error:
	var of_state: Dictionary = OUTCOMES.get(state, {})
	if method.name not in of_state:
		return OK
	return of_state[method.name][int(_has_timeout(method, arguments))]


func _in_state(state: String) -> SharedMemoryPeer:
	_other.close()
	var peer := SharedMemoryPeer.new()
	if state == "new":
		return peer
	var name := unique_name()
	peer.open(name, BUFFER)
	if state not in ["waiting", "closed"]:
		_other.open(name, BUFFER)
		connect_sides([peer, _other])
	match state:
		"connected":
			_other.send("there")
		"full":
			_other.send("there")
			# To the last byte of the shortest record, of 8 bytes.
			while peer.send(pattern(500)) == OK or peer.send("") == OK:
				pass
		"ended":
			_other.close()
			peer.get_status()
		"closed":
			peer.close()
	peer.clear_last_error()
	return peer
