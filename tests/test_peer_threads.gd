extends "res://peer_case.gd"
## One peer in several threads: calls that wait and are closed, messages, packets, and any calls.
##
## Threads return the problems that they find: only the main thread makes assertions.

# time limit: 120 s

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

const THREADS := 8
const SECONDS := 2.0
const MESSAGES := 2000
## The calls that wait, with arguments that make them wait.
const WAITING := [
	["receive", [LONG_MSEC]],
	["wait", [LONG_MSEC]],
	["wait_connected", [LONG_MSEC]],
	["send", ["x", LONG_MSEC]],
	["request", ["x", LONG_MSEC]],
]
const CODES := [
	OK,
	ERR_UNAVAILABLE,
	ERR_UNCONFIGURED,
	ERR_ALREADY_IN_USE,
	ERR_DOES_NOT_EXIST,
	ERR_BUSY,
	ERR_TIMEOUT,
	ERR_CONNECTION_ERROR,
]

## The two objects of all threads.
var _sides: Array[SharedMemoryPeer]
var _exchange := Mutex.new()


## Within 50 ms in the median, as the machine may be busy. Without a partner, and with one that
## neither answers nor receives.
func test_close_ends_each_call_that_waits() -> void:
	var times: Array[float] = []
	for is_connected: bool in [false, true]:
		for call: Array in WAITING:
			if is_connected and call[0] == "wait_connected":
				continue
			for _round in 3:
				var sides := connected() if is_connected else _alone()
				while is_connected and call[0] == "send" and sides[0].send("x") == OK:
					pass
				var thread := Thread.new()
				thread.start(_timed.bind(sides[0], call))
				OS.delay_msec(30)
				assert_true(thread.is_alive(), "%s waits" % call[0])
				var start := Time.get_ticks_usec()
				sides[0].close()
				var ended: Array = thread.wait_to_finish()
				assert_eq(ended[0], ERR_UNCONFIGURED, call[0])
				assert_last_error(sides[0], ERR_UNCONFIGURED, ["closed"])
				times.append((ended[1] - start) / 1000.0)
	times.sort()
	assert_true(times[times.size() / 2] < 50.0, "the median is %.1f ms" % times[times.size() / 2])
	assert_true(times[-1] < 1000.0, "the longest is %.1f ms" % times[-1])
	note("%.1f ms, at most %.1f" % [times[times.size() / 2], times[-1]])


func test_threads_send_and_receive_each_message_once() -> void:
	var sides := connected()
	var senders := _started(3, _send_all.bind(sides[0], false))
	var receivers := _started(3, _receive_all.bind(sides[1], false))
	_check_all(senders, receivers, sides)


## Two threads get packets: each has bytes of its own.
func test_threads_put_and_get_each_packet_once() -> void:
	var sides := connected()
	var senders := _started(2, _send_all.bind(sides[0], true))
	var receivers := _started(2, _receive_all.bind(sides[1], true))
	_check_all(senders, receivers, sides)


## Any calls on two objects with one name, which are also closed, opened and dropped.
func test_random_calls_from_threads_keep_peers_consistent() -> void:
	var methods := Methods.new("SharedMemoryPeer")
	var started_with := randi()
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", SECONDS) * 1000)
	var name := unique_name()
	_renew(name)
	# The mistakes that a race makes of right calls, and bytes that are no value for get_var().
	allow_errors("SharedMemoryPeer.")
	allow_errors("is true. Returning")
	var threads: Array[Thread] = []
	for number in THREADS:
		var thread := Thread.new()
		thread.start(_call_any.bind(methods, hash([started_with, number]), until, name))
		threads.append(thread)
	var problems := {}
	var done := {}
	for thread in threads:
		var found: Array = thread.wait_to_finish()
		problems.merge(found[0])
		for method: String in found[1]:
			done[method] = done.get(method, 0) + found[1][method]
	assert_eq(problems, {}, "problems")
	var calls := 0
	for method in methods.all:
		if method.name not in ["put_var", "set_encode_buffer_max_size"]:
			assert_true(done.get(method.name, 0) > 0, "%s() was called" % method.name)
		calls += done.get(method.name, 0)
	note("seed %d: %d calls" % [started_with, calls])
	for side in _sides:
		side.close()
	_sides.clear()
	assert_false(SharedMemory.exists(name), "nothing is left")


func _timed(peer: SharedMemoryPeer, call: Array) -> Array:
	var result: Variant = peer.callv(call[0], call[1])
	var ended_at := Time.get_ticks_usec()
	return [peer.get_last_error() if result == null else result, ended_at]


func _alone() -> Array[SharedMemoryPeer]:
	var sides: Array[SharedMemoryPeer] = [SharedMemoryPeer.new()]
	assert_code(sides[0].open(unique_name(), BUFFER), OK, "open")
	return sides


func _started(count: int, work: Callable) -> Array[Thread]:
	var threads: Array[Thread] = []
	for number in count:
		var thread := Thread.new()
		# After the arguments that are bound.
		thread.start(func() -> Array: return work.call(number))
		threads.append(thread)
	return threads


## A message says which thread has sent it, and is of a length that differs.
func _send_all(number: int, side: SharedMemoryPeer, as_packets: bool) -> Array:
	for index in MESSAGES:
		var message := pattern(1 + index % 300, index)
		message.append_array(bytes([number, index / 256, index % 256]))
		var code := ERR_BUSY
		while code == ERR_BUSY:
			code = side.put_packet(message) if as_packets else side.send(message, LONG_MSEC)
		if code != OK:
			return ["%d of %d: %s" % [index, number, error_string(code)]]
	return []


## Returns the keys of the messages; a text is a problem. A message for each receiver ends it.
func _receive_all(_number: int, side: SharedMemoryPeer, as_packets: bool) -> Array:
	var found := []
	while true:
		var message: Variant = null
		if not as_packets:
			message = side.receive(LONG_MSEC)
		elif side.wait(LONG_MSEC) == OK:
			message = side.get_packet()
			# Another thread was faster.
			if message.is_empty():
				continue
		if not message is PackedByteArray:
			return found + ["no message: %s" % side.get_last_error_message()]
		if message == bytes([0]):
			return found
		var key: PackedByteArray = message.slice(-3)
		var index: int = key[1] * 256 + key[2]
		if message.slice(0, -3) != pattern(1 + index % 300, index):
			found.append("message %d is mixed" % index)
		found.append(key[0] * 65536 + index)
	return found


func _check_all(
	senders: Array[Thread], receivers: Array[Thread], sides: Array[SharedMemoryPeer]
) -> void:
	for sender in senders:
		assert_eq(sender.wait_to_finish(), [], "sender")
	for _receiver in receivers:
		assert_code(sides[0].send(bytes([0]), LONG_MSEC), OK, "the end")
	var found := []
	for receiver in receivers:
		var of_one: Array = receiver.wait_to_finish()
		found.append_array(of_one)
	var expected := []
	for number in senders.size():
		for index in MESSAGES:
			expected.append(number * 65536 + index)
	found.sort()
	assert_true(found == expected, "%d of %d messages" % [found.size(), expected.size()])


func _renew(name: String) -> void:
	_sides = [SharedMemoryPeer.new(), SharedMemoryPeer.new()]
	for side in _sides:
		side.open(name, BUFFER)


func _call_any(methods: Methods, started_with: int, until: int, name: String) -> Array:
	var chance := RandomNumberGenerator.new()
	chance.seed = started_with
	var problems := {}
	var done := {}
	while Time.get_ticks_msec() < until and problems.is_empty():
		_exchange.lock()
		if chance.randf() < 0.02:
			_renew(name)
		var side := _sides[chance.randi() % 2]
		_exchange.unlock()
		for _call in chance.randi() % 100:
			if chance.randf() < 0.02:
				side.open(name, BUFFER)
			var method: Method = methods.all[chance.randi() % methods.all.size()]
			if method.name in ["put_var", "set_encode_buffer_max_size"]:
				# From one thread at a time.
				continue
			if method.name == "close" and chance.randf() < 0.9:
				continue
			done[method.name] = done.get(method.name, 0) + 1
			var arguments := []
			for argument in method.arguments:
				arguments.append(argument.any_good(chance, name))
			if method.name in ["receive", "send", "request", "wait", "wait_connected"]:
				arguments[-1] = chance.randi() % 2
			var how := methods.call_typed if chance.randf() < 0.5 else methods.call_untyped
			var result: Variant = how.call(side, method, arguments)
			var is_right := method.may_return(result) or result == null
			if method.returns_code and result not in CODES:
				is_right = false
			if not is_right:
				problems["%s%s" % [method.name, str(arguments).left(60)]] = str(result).left(60)
	return [problems, done]
