extends "res://peer_case.gd"
## SharedMemoryPeer: two objects that find each other by name, in one process.
##
## scenarios/test_talking.py has those of two programs.

const MAX := 9223372036854775807
const MIN := -9223372036854775808
## The calls that may wait, without their timeout.
const WAITING_CALLS := [
	["send", ["x"]], ["receive", []], ["request", ["x"]], ["wait", []], ["wait_connected", []]
]


func test_class_extends_packet_peer() -> void:
	assert_eq(
		ClassDB.get_parent_class("SharedMemoryPeer"), "PacketPeerExtension", "the parent class"
	)
	assert_true(ClassDB.can_instantiate("SharedMemoryPeer"), "it can be made")
	var peer: PacketPeer = SharedMemoryPeer.new()
	assert_eq(peer.get_class(), "SharedMemoryPeer", "get_class")
	var status: SharedMemoryPeer.Status = (peer as SharedMemoryPeer).get_status()
	assert_eq(status, SharedMemoryPeer.STATUS_CLOSED, "closed")
	assert_eq(peer.get_available_packet_count(), 0, "no packets")
	assert_eq((peer as SharedMemoryPeer).get_name(), &"", "name")


func test_values_of_all_kinds_arrive() -> void:
	var sides := connected()
	for value: Variant in _values():
		for index in 2:
			assert_code(sides[index].send(value), OK, "send")
			assert_eq(sides[1 - index].receive(), value, "receive")
			assert_last_error(sides[1 - index], OK)
	assert_eq(sides[0].receive(), null, "nothing more")
	assert_last_error(sides[0], ERR_DOES_NOT_EXIST, ["no message"])


func test_packets_and_variables_of_packet_peer() -> void:
	var sides := connected()
	var first: PacketPeer = sides[0]
	var second: PacketPeer = sides[1]
	for value: Variant in _values():
		assert_code(first.put_var(value), OK, "put_var")
		assert_eq(second.get_available_packet_count(), 1, "count")
		assert_eq(second.get_var(), value, "get_var")
		assert_code(second.get_packet_error(), OK, "get_var")
	for size in [1, 7, 100, 1500]:
		assert_code(first.put_packet(pattern(size)), OK, "put_packet")
		assert_code(first.put_packet(pattern(size, 3)), OK, "put_packet")
		assert_eq(second.get_available_packet_count(), 2 if size < 1500 else 2, "count")
		assert_eq(second.get_packet(), pattern(size), "get_packet")
		assert_eq(second.get_packet(), pattern(size, 3), "get_packet")
	assert_eq(second.get_available_packet_count(), 0, "none is left")
	assert_eq(second.get_packet(), PackedByteArray(), "no packet")
	assert_code(second.get_packet_error(), ERR_UNAVAILABLE, "no packet")
	# Untyped, as a script calls it that doesn't know the class.
	var untyped_first = sides[0]
	var untyped_second = sides[1]
	untyped_first.put_var({"a": [1, 2]})
	assert_eq(untyped_second.get_var(), {"a": [1, 2]}, "untyped")
	assert_code(untyped_first.call("put_packet", pattern(9)), OK, "call")
	assert_eq(untyped_second.call("get_packet"), pattern(9), "call")


func test_packets_and_messages_mix() -> void:
	var sides := connected()
	for value: Variant in _values():
		assert_code(sides[0].send(value), OK, "send")
		var expected: Variant = bytes_to_var(value) if value is PackedByteArray else value
		if not value is PackedByteArray:
			assert_eq(sides[1].get_var(), expected, "get_var of send")
		else:
			assert_eq(sides[1].get_packet(), value, "get_packet of send")
	assert_code(sides[0].put_var({"a": 1}), OK, "put_var")
	assert_eq(sides[1].receive(), var_to_bytes({"a": 1}), "receive of put_var")
	var image := Image.create_empty(2, 2, false, Image.FORMAT_RGBA8)
	assert_code(sides[0].send(image), OK, "send an image")
	assert_code(sides[0].send("next"), OK, "send")
	assert_eq(sides[1].get_packet(), PackedByteArray(), "an image is no packet")
	assert_code(sides[1].get_packet_error(), ERR_INVALID_DATA, "an image")
	assert_last_error(sides[1], ERR_INVALID_DATA, ["image", "receive()"])
	assert_eq(sides[1].get_var(), "next", "the image counts as received")


func test_request_returns_the_answer() -> void:
	var sides := connected()
	var thread := Thread.new()
	thread.start(_answer.bind(sides[1], 100))
	for number in 100:
		assert_eq(sides[0].request({"number": number}, LONG_MSEC), {"answer": number}, "request")
	assert_eq(thread.wait_to_finish(), 100, "answers")
	assert_eq(sides[0].request("nobody answers", 10), null, "too late")
	assert_last_error(sides[0], ERR_TIMEOUT, ["answer"])
	assert_eq(sides[1].receive(), "nobody answers", "received")
	sides[1].send("late")
	sides[1].send("another")
	assert_eq(sides[0].receive(), "another", "the late answer is dropped")
	assert_eq(sides[0].get_late_answer_count(), 1, "and counted")


func test_signals_tell_of_partners_and_messages() -> void:
	var sides := connected()
	var told := []
	sides[0].connected.connect(func() -> void: told.append("connected"))
	sides[0].disconnected.connect(func() -> void: told.append("disconnected"))
	sides[0].message_received.connect(func(value: Variant) -> void: told.append(value))
	sides[1].send(1)
	sides[1].send("two")
	sides[1].close()
	assert_code(sides[0].poll(), OK, "poll")
	assert_eq(told, ["connected", 1, "two", "disconnected"], "in order")
	told.clear()
	assert_code(sides[1].open(sides[0].get_name(), BUFFER), OK, "open again")
	connect_sides(sides)
	sides[1].send(3)
	assert_code(sides[0].poll(), OK, "poll")
	assert_eq(told, ["connected", 3], "the next partner")


func test_end_of_a_partner_is_told_once() -> void:
	var sides := connected()
	sides[1].send("last")
	sides[1].close()
	assert_eq(sides[1].get_status(), SharedMemoryPeer.STATUS_CLOSED, "closed")
	assert_eq(sides[0].get_status(), SharedMemoryPeer.STATUS_WAITING, "waiting")
	assert_eq(sides[0].receive(LONG_MSEC), "last", "its last message")
	assert_eq(sides[0].receive(LONG_MSEC), null, "the end")
	assert_last_error(sides[0], ERR_CONNECTION_ERROR, ["partner"])
	assert_eq(sides[0].receive(), null, "once")
	assert_last_error(sides[0], ERR_DOES_NOT_EXIST)
	assert_code(sides[0].send("nobody"), ERR_UNAVAILABLE, "no partner")
	assert_last_error(sides[0], ERR_UNAVAILABLE, ["no partner"])
	assert_code(sides[0].wait_connected(1), ERR_TIMEOUT, "wait_connected")
	assert_code(sides[0].wait(1), ERR_TIMEOUT, "wait")


## The text says what was missing: with a timeout, and without one.
func test_errors_name_what_was_missing() -> void:
	var peer := SharedMemoryPeer.new()
	assert_code(peer.open(unique_name(), BUFFER), OK, "open")
	_assert_missing(
		peer,
		{
			"send": ["there was no partner within 30ms", "no partner is connected"],
			"request": ["there was no partner within 30ms", "no partner is connected"],
			"receive": ["there was no message within 30ms", "there is no message"],
			"wait": ["there was no message within 30ms", "there is no message, and"],
			"wait_connected": ["there was no partner within 30ms", "there is no partner, and"],
		}
	)
	var sides := connected()
	_assert_missing(
		sides[0],
		{"request": ["there was no answer within 30ms", "there is no answer, and the call didn't"]}
	)
	while sides[0].send(pattern(100)) == OK:
		pass
	var no_room := ["there was no room for the message within 30ms", "the buffer is full"]
	_assert_missing(sides[0], {"send": no_room, "request": no_room})


func _assert_missing(peer: SharedMemoryPeer, texts: Dictionary) -> void:
	for method: String in texts:
		var arguments := [pattern(100)] if method in ["send", "request"] else []
		for index in 2:
			peer.callv(method, arguments + [[30, 0][index]])
			var message := peer.get_last_error_message()
			assert_true(message.begins_with(texts[method][index]), method + ": " + message)
			assert_false("0ns" in message or "queue" in message, message)


## Nothing is printed, and poll() succeeds. Later calls find a closed peer.
func test_connected_method_may_close_the_peer() -> void:
	var sides := connected()
	var told := []
	var receive := func(value: Variant) -> void:
		told.append(value)
		if value == "quit":
			sides[0].close()
	sides[0].message_received.connect(receive)
	for value: String in ["first", "quit", "never received"]:
		assert_code(sides[1].send(value), OK, "send")
	assert_code(sides[0].poll(), OK, "poll")
	assert_last_error(sides[0], OK)
	assert_eq(told, ["first", "quit"], "until it was closed")
	assert_eq(sides[0].get_status(), SharedMemoryPeer.STATUS_CLOSED, "closed")
	assert_code(sides[0].poll(), ERR_UNCONFIGURED, "poll of a closed peer")
	sides[0].message_received.disconnect(receive)


func test_connected_method_may_open_the_peer_again() -> void:
	var sides := connected()
	var name := sides[0].get_name()
	var told := []
	var open_again := func() -> void:
		sides[0].close()
		assert_code(sides[0].open(name, BUFFER), OK, "open again")
	sides[0].disconnected.connect(open_again)
	sides[0].connected.connect(told.append.bind("connected"))
	sides[1].close()
	assert_code(sides[0].poll(), OK, "poll")
	assert_last_error(sides[0], OK)
	assert_eq(sides[0].get_status(), SharedMemoryPeer.STATUS_WAITING, "open")
	assert_code(sides[1].open(name, BUFFER), OK, "open")
	connect_sides(sides)
	assert_code(sides[0].poll(), OK, "poll")
	assert_eq(told, ["connected", "connected"], "told")
	sides[0].disconnected.disconnect(open_again)


func test_third_peer_is_refused() -> void:
	var sides := connected()
	var third := SharedMemoryPeer.new()
	assert_code(third.open(sides[0].get_name()), ERR_ALREADY_IN_USE, "a third one")
	assert_last_error(third, ERR_ALREADY_IN_USE, ["two programs"])
	assert_eq(third.get_status(), SharedMemoryPeer.STATUS_CLOSED, "closed")
	sides[0].close()
	assert_code(third.open(sides[1].get_name()), OK, "the second one now")


func test_close_ends_a_wait() -> void:
	var peer := SharedMemoryPeer.new()
	assert_code(peer.open(unique_name()), OK, "open")
	var thread := Thread.new()
	thread.start(peer.receive.bind(LONG_MSEC))
	OS.delay_msec(50)
	var start := Time.get_ticks_msec()
	peer.close()
	assert_eq(thread.wait_to_finish(), null, "receive")
	assert_true(Time.get_ticks_msec() - start < 1000, "soon")
	assert_last_error(peer, ERR_UNCONFIGURED, ["closed"])
	# The thread may just make its next call. Only a call that doesn't wait is a mistake.
	for call: Array in WAITING_CALLS:
		peer.callv(call[0], call[1] + [1])
		assert_last_error(peer, ERR_UNCONFIGURED, ["open()"])
		expect_error("SharedMemoryPeer.%s(): no peer is open" % call[0])
		peer.callv(call[0], call[1] + [0])
		assert_last_error(peer, ERR_UNCONFIGURED, ["open()"])


func test_mistakes_are_printed() -> void:
	var peer := SharedMemoryPeer.new()
	for call: Array in WAITING_CALLS:
		expect_error("call open() first")
		peer.callv(call[0], call[1] + [1])
		assert_last_error(peer, ERR_UNCONFIGURED, ["open()"])
	assert_code(peer.poll(), ERR_UNCONFIGURED, "poll prints nothing")
	var name := unique_name()
	for size: int in [MIN, -1, 0, 4095, (1 << 30) + 1, MAX]:
		expect_error("buffer_size must be from 4096 to 1073741824, not %d" % size)
		assert_code(peer.open(name, size), ERR_INVALID_PARAMETER, "size")
	for scope: int in [MIN, -1, 2, MAX]:
		expect_error("scope must be a SharedMemory.Scope (0 or 1), not %d" % scope)
		assert_code(peer.callv("open", [name, BUFFER, scope]), ERR_INVALID_PARAMETER, "scope")
	for bad: String in ["", "/", "a/b", ".."]:
		expect_error("SharedMemoryPeer.open(): ")
		assert_code(peer.open(bad), ERR_INVALID_PARAMETER, "name")
	assert_code(peer.open(name, BUFFER), OK, "open")
	expect_error("this object is open already")
	assert_code(peer.open(name, BUFFER), ERR_ALREADY_IN_USE, "open again")
	for timeout: int in [MIN, -1]:
		for call: Array in WAITING_CALLS:
			expect_error("timeout_msec must be 0 or more, not %d" % timeout)
			peer.callv(call[0], call[1] + [timeout])
			assert_last_error(peer, ERR_INVALID_PARAMETER)
	for value: Variant in [null, Node, RID(), [[peer]], peer.close]:
		for method: String in ["send", "request"]:
			expect_error("SharedMemoryPeer.%s(): value" % method)
			peer.callv(method, [value, 0])
			assert_last_error(peer, ERR_INVALID_PARAMETER)
	for method: String in ["send", "request"]:
		for value: Variant in [pattern(BUFFER), "x".repeat(BUFFER), [pattern(BUFFER)]]:
			expect_error("SharedMemoryPeer.%s(): value: " % method)
			peer.callv(method, [value, 0])
			assert_last_error(
				peer, ERR_INVALID_PARAMETER, ["too many: at most %d fit" % (BUFFER / 2 - 32)]
			)
	expect_error("packet: %d bytes are too many" % BUFFER)
	assert_code(peer.put_packet(pattern(BUFFER)), ERR_INVALID_PARAMETER, "too long")
	assert_eq(peer.get_max_message_size(), BUFFER / 2 - 32, "the longest")
	assert_code(peer.put_packet(pattern(9)), ERR_UNAVAILABLE, "no partner")


## The memory of a program that runs. Nothing is printed.
func test_other_memory_under_the_name_is_left_alone() -> void:
	var stream := SharedMemoryStream.new()
	var queue := SharedMemoryQueue.new()
	var mutex := SharedMemoryMutex.new()
	var names: Array[String] = [unique_name(), unique_name(), unique_name()]
	assert_code(stream.create(names[0], 100), OK, "create")
	assert_code(queue.create(names[1], 4096), OK, "create")
	assert_code(mutex.open(names[2]), OK, "open")
	assert_code(stream.write("kept"), OK, "write")
	assert_code(queue.enqueue("kept"), OK, "enqueue")
	for case: Array in [["latest", names[0]], ["lanes", names[1]], ["locks", names[2]]]:
		var peer := SharedMemoryPeer.new()
		assert_code(peer.open(case[1], BUFFER), ERR_INVALID_DATA, case[0])
		assert_last_error(peer, ERR_INVALID_DATA, ["native pair", "layout"])
		assert_eq(peer.get_status(), SharedMemoryPeer.STATUS_CLOSED, case[0])
	assert_eq(stream.read(), "kept", "the message of the stream")
	assert_eq(queue.dequeue(), "kept", "the message of the queue")
	assert_code(mutex.lock(0), OK, "the lock")
	# Memory of zeros, whose creator lives: it may lay it out yet. And bytes that are no layout.
	for size: int in [16, 10_000]:
		var memory := created(size)
		var peer := SharedMemoryPeer.new()
		assert_false(peer.open(memory.get_name(), BUFFER) == OK, "zeros")
		assert_true(peer.get_last_error() in [ERR_BUSY, ERR_INVALID_PARAMETER], "zeros")
		assert_eq(memory.read(), _zeros(size), "zeros")
		memory.write(pattern(size))
		assert_false(peer.open(memory.get_name(), BUFFER) == OK, "bytes")
		assert_true(peer.get_last_error() in [ERR_INVALID_DATA, ERR_INVALID_PARAMETER], "bytes")
		assert_ne(peer.get_last_error_message(), "", "a text")
		assert_eq(memory.read(), pattern(size), "as they were")


func test_folder_under_the_name_is_left_alone() -> void:
	if not is_linux():
		return skip("makes a folder in /dev/shm")
	var name := unique_name()
	DirAccess.make_dir_absolute(file_of(name))
	var peer := SharedMemoryPeer.new()
	assert_code(peer.open(name), ERR_CANT_OPEN, "a folder")
	assert_last_error(peer, ERR_CANT_OPEN, [name])
	assert_true(DirAccess.dir_exists_absolute(file_of(name)), "it is still there")
	DirAccess.remove_absolute(file_of(name))


## A script that learns of the end of a partner from send() alone.
func test_message_for_an_ended_partner_is_not_sent_to_the_next_one() -> void:
	var sides := connected()
	assert_code(sides[1].send("from the first"), OK, "send")
	assert_eq(sides[0].receive(), "from the first", "receive")
	sides[1].close()
	assert_code(sides[1].open(sides[0].get_name()), OK, "open again")
	assert_code(sides[0].send("to the first"), ERR_CONNECTION_ERROR, "it has ended")
	assert_last_error(sides[0], ERR_CONNECTION_ERROR, ["partner"])
	connect_sides(sides)
	assert_code(sides[0].send("to the second"), OK, "told once")
	assert_eq(sides[1].receive(), "to the second", "receive")


func test_a_second_request_at_a_time_is_refused() -> void:
	var sides := connected()
	var thread := Thread.new()
	thread.start(sides[0].request.bind("first", LONG_MSEC))
	assert_eq(sides[1].receive(LONG_MSEC), "first", "the first one is on its way")
	assert_eq(sides[0].request("second", 10), null, "the second one")
	assert_last_error(sides[0], ERR_BUSY, ["request"])
	assert_code(sides[1].send("answer"), OK, "send")
	assert_eq(thread.wait_to_finish(), "answer", "the first one")
	assert_eq(sides[1].receive(), null, "the second one was not sent")


func test_limit_of_variables_is_that_of_the_engine() -> void:
	var sides := connected()
	var first: PacketPeer = sides[0]
	assert_eq(first.encode_buffer_max_size, 8 * 1024 * 1024, "the engine's")
	first.encode_buffer_max_size = 1024
	assert_code(first.put_var(pattern(1000)), OK, "what fits")
	expect_error("encode_buffer_max_size")
	assert_code(first.put_var(pattern(1100)), ERR_OUT_OF_MEMORY, "too long")
	assert_eq(sides[1].get_var(), pattern(1000), "the first one")
	assert_eq(sides[1].get_available_packet_count(), 0, "the second one was not sent")
	first.encode_buffer_max_size = 2048
	assert_code(first.put_var(pattern(1100)), OK, "now it fits")
	assert_eq(sides[1].get_var(), pattern(1100), "get_var")


## put_var() sends the bytes of any value, as the engine makes them.
func test_null_and_objects_as_variables() -> void:
	var sides := connected()
	assert_code(sides[0].put_var(null), OK, "null")
	assert_eq(sides[1].get_available_packet_count(), 1, "null is a packet")
	assert_eq(sides[1].get_var(), null, "null")
	assert_code(sides[1].get_packet_error(), OK, "and not an error")
	var object := RefCounted.new()
	assert_code(sides[0].put_var(object), OK, "an object")
	var got: Variant = sides[1].get_var()
	assert_true(got is EncodedObjectAsID, "it arrives as its ID")
	assert_eq((got as EncodedObjectAsID).object_id, object.get_instance_id(), "its ID")
	expect_error("SharedMemoryPeer.send(): value is an Object")
	assert_code(sides[0].send(object), ERR_INVALID_PARAMETER, "not in a message")
	expect_error("SharedMemoryPeer.send(): value is null")
	assert_code(sides[0].send(null), ERR_INVALID_PARAMETER, "not in a message")


## Only sending tells of another partner, and once.
func test_packets_pass_from_one_partner_to_the_next() -> void:
	var sides := connected()
	assert_code(sides[1].put_packet(pattern(3)), OK, "put_packet")
	assert_eq(sides[0].get_packet(), pattern(3), "get_packet")
	var name := sides[0].get_name()
	for round in 3:
		assert_code(sides[1].put_packet(pattern(4)), OK, "the last one")
		sides[1].close()
		assert_code(sides[1].open(name, BUFFER), OK, "open again")
		assert_eq(sides[0].get_packet(), pattern(4), "of the previous partner")
		connect_sides(sides)
		assert_code(sides[1].put_packet(pattern(5)), OK, "of the next one")
		if round == 1:
			assert_code(
				sides[0].put_packet(pattern(6)), ERR_CONNECTION_ERROR, "for the previous one"
			)
			assert_code(sides[0].put_packet(pattern(6)), OK, "once")
		assert_eq(sides[0].get_packet(), pattern(5), "without a sign of the change")
		assert_code(sides[0].get_packet_error(), OK, "without a sign of the change")
		if round == 2:
			assert_code(sides[0].put_packet(pattern(7)), OK, "this one is known")


func test_empty_packet_is_not_sent() -> void:
	var sides := connected()
	assert_code(sides[0].put_packet(PackedByteArray()), OK, "put_packet")
	assert_eq(sides[1].get_available_packet_count(), 0, "nothing has come")
	assert_code(sides[0].send(PackedByteArray()), OK, "an empty message is one")
	assert_eq(sides[1].get_available_packet_count(), 1, "it has come")
	assert_eq(sides[1].get_packet(), PackedByteArray(), "empty")
	assert_code(sides[1].get_packet_error(), OK, "a packet")


## Code that knows nothing of shared memory.
func test_code_for_any_packet_peer_runs() -> void:
	var sides := connected()
	for value: Variant in _values():
		_put_any(sides[0], value)
		assert_eq(_get_any(sides[1]), value, "any")


## A state of the other side is never printed, whatever is called in a loop.
func test_nothing_is_printed_without_a_partner() -> void:
	var peer := SharedMemoryPeer.new()
	var untyped = peer
	assert_code(peer.open(unique_name(), BUFFER), OK, "open")
	for _frame in 3:
		assert_code(peer.send("x"), ERR_UNAVAILABLE, "send")
		assert_code(untyped.send("x", 1), ERR_TIMEOUT, "send")
		assert_eq(untyped.receive(), null, "receive")
		assert_eq(peer.receive(1), null, "receive")
		assert_eq(peer.request("x", 1), null, "request")
		assert_code(peer.wait(1), ERR_TIMEOUT, "wait")
		assert_code(untyped.wait_connected(1), ERR_TIMEOUT, "wait_connected")
		assert_code(peer.poll(), OK, "poll")
		assert_code(peer.put_packet(pattern(3)), ERR_UNAVAILABLE, "put_packet")
		assert_code(peer.put_var(3), ERR_UNAVAILABLE, "put_var")
		assert_eq(untyped.get_packet(), PackedByteArray(), "get_packet")
	assert_last_error(peer, ERR_UNAVAILABLE, ["no message"])
	peer.clear_last_error()
	assert_last_error(peer, OK)


func test_full_buffer() -> void:
	var sides := connected()
	var sent := 0
	while sides[0].send(pattern(100)) == OK:
		sent += 1
	assert_last_error(sides[0], ERR_BUSY, ["full"])
	assert_code(sides[0].send(pattern(100), 10), ERR_TIMEOUT, "full")
	assert_eq(sides[1].get_available_packet_count(), sent, "all of them")
	assert_true(sides[1].get_available_bytes() > sent * 100, "bytes")
	assert_eq(sides[1].receive(), pattern(100), "receive")
	assert_code(sides[0].send(pattern(100)), OK, "room")


func test_no_memory_is_left() -> void:
	var name := unique_name()
	var first := SharedMemoryPeer.new()
	var second := SharedMemoryPeer.new()
	assert_code(first.open(name), OK, "open")
	assert_code(second.open(name), OK, "open")
	assert_true(SharedMemory.exists(name), "there")
	first.close()
	second = null
	assert_false(SharedMemory.exists(name), "gone")


func _answer(peer: SharedMemoryPeer, count: int) -> int:
	for number in count:
		var asked: Variant = peer.receive(LONG_MSEC)
		if not asked is Dictionary or asked.number != number:
			return number
		peer.send({"answer": asked.number})
	return count


func _put_any(peer: PacketPeer, value: Variant) -> void:
	assert_code(peer.put_var(value), OK, "put_var")


func _get_any(peer: PacketPeer) -> Variant:
	return peer.get_var() if peer.get_available_packet_count() > 0 else null


func _zeros(size: int) -> PackedByteArray:
	var zeros := PackedByteArray()
	zeros.resize(size)
	return zeros


func _values() -> Array:
	return [
		true,
		7,
		MIN,
		0.1,
		"Grüße",
		"",
		&"name",
		^"a/b",
		Vector3(1, 2, 3),
		Color.RED,
		[],
		[1, [null]],
		{"a": [1, "b"], 3: null},
		pattern(50),
		PackedInt32Array([1, -2]),
		PackedVector2Array([Vector2(1, 2)]),
		PackedStringArray(["a", "b"]),
		Transform3D(),
	]
