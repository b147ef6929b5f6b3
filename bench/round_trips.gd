extends RefCounted
## Godot → Python → Godot: a message goes out, and comes back as a copy. Both sides wait busily.

const Segments := preload("segments.gd")

const PARTNER := "res://partner.py"
## Bytes of a message: how often.
const ROUNDS := {64: 5000, 65_536: 2000, 1_048_576: 400}
## A size is given up after this time, with the rounds that it has by then.
const CAP_USEC := 4_000_000
## A trip that takes longer than this has failed.
const TRIP_MSEC := 10_000


func run(options: Dictionary) -> Dictionary:
	var transports := {
		"this addon": Memory.new(options.prefix + "trip"),
		"StreamPeerTCP": Stream.new("tcp", "TCPServer", options),
	}
	# Pipes of 4.3 never block, and a long message would be lost in part.
	if Engine.get_version_info().hex >= 0x040400:
		transports["OS pipe"] = Pipe.new()
	if ClassDB.class_exists("StreamPeerUDS"):
		transports["StreamPeerUDS"] = Stream.new("uds", "UDSServer", options)
	var result := {}
	for name: String in transports:
		result[name] = {}
		for size: int in ROUNDS:
			print("==> round trips of %d bytes: %s" % [size, name])
			result[name][size] = _measure(transports[name], options.python, size)
	return result


## The microseconds of each trip.
func _measure(transport: Transport, python: String, size: int) -> Array[int]:
	var message := PackedByteArray()
	message.resize(size)
	message.fill(0x5A)
	var samples: Array[int] = []
	transport.start(python, size)
	var warm_up: int = ROUNDS[size] / 10
	var end := Time.get_ticks_usec() + CAP_USEC
	for i: int in ROUNDS[size] + warm_up:
		message[0] = i % 256
		var start := Time.get_ticks_usec()
		var answer := transport.trip(message)
		var now := Time.get_ticks_usec()
		if answer != message:
			push_error("the answer is not the message: %d bytes" % answer.size())
			break
		if i >= warm_up:
			samples.append(now - start)
		# On a busy machine, the warm-up alone may take longer.
		if now > end and not samples.is_empty():
			break
	transport.stop()
	return samples


class Transport:
	var _pid := -1

	func start(_python: String, _size: int) -> void:
		pass

	func trip(_message: PackedByteArray) -> PackedByteArray:
		return PackedByteArray()

	func stop() -> void:
		var deadline := Time.get_ticks_msec() + 2000
		while OS.is_process_running(_pid):
			if Time.get_ticks_msec() > deadline:
				push_error("the partner does not end")
				OS.kill(_pid)
				break
			OS.delay_msec(5)

	func _partner(arguments: Array) -> PackedStringArray:
		return PackedStringArray([ProjectSettings.globalize_path(PARTNER)] + arguments)


## The memory holds two counters and two messages. Each side writes its message first, then
## its counter.
class Memory:
	extends Transport

	const COUNTER := 0
	const ANSWER_COUNTER := 64
	const MESSAGE := 128
	const END := 0xFFFF_FFFF

	var _name: String
	var _counter: int
	var _shm: SharedMemory

	func _init(name: String) -> void:
		_name = name

	func start(python: String, size: int) -> void:
		_shm = Segments.create(_name, MESSAGE + 2 * size)
		_counter = 0
		_pid = OS.create_process(python, _partner(["memory", _shm.get_name(), size]))

	func trip(message: PackedByteArray) -> PackedByteArray:
		_counter += 1
		_shm.write(message, MESSAGE)
		_shm.encode_u32(COUNTER, _counter)
		var deadline := Time.get_ticks_msec() + TRIP_MSEC
		while _shm.decode_u32(ANSWER_COUNTER) != _counter:
			if Time.get_ticks_msec() > deadline:
				return PackedByteArray()
		return _shm.read(message.size(), MESSAGE + message.size())

	func stop() -> void:
		_shm.encode_u32(COUNTER, END)
		super()
		_shm.close()


## A stream socket: TCP on the loopback interface, or a Unix socket, which Godot has from 4.6 on.
class Stream:
	extends Transport

	var _kind: String
	var _server: RefCounted
	var _path: String
	var _peer: StreamPeer

	func _init(kind: String, server_class: String, options: Dictionary) -> void:
		_kind = kind
		_server = ClassDB.instantiate(server_class)
		_path = options.folder.path_join("bench.sock")

	func start(python: String, size: int) -> void:
		var address := _path
		if _kind == "tcp":
			_server.call("listen", 0, "127.0.0.1")
			address = str(_server.call("get_local_port"))
		else:
			_server.call("listen", _path)
		_pid = OS.create_process(python, _partner([_kind, address, size]))
		var deadline := Time.get_ticks_msec() + TRIP_MSEC
		while not _server.call("is_connection_available") and Time.get_ticks_msec() < deadline:
			OS.delay_msec(1)
		_peer = _server.call("take_connection")
		_server.call("stop")
		if _kind == "tcp":
			_peer.call("set_no_delay", true)

	func trip(message: PackedByteArray) -> PackedByteArray:
		_peer.put_data(message)
		var deadline := Time.get_ticks_msec() + TRIP_MSEC
		while _peer.get_available_bytes() == 0:
			if Time.get_ticks_msec() > deadline:
				return PackedByteArray()
		return _peer.get_data(message.size())[1]

	func stop() -> void:
		_peer.call("disconnect_from_host")
		super()
		DirAccess.remove_absolute(_path)


## The partner's standard input and output. Godot can't wait busily here: of a long message, a pipe
## that doesn't block takes a part, and Godot doesn't tell how much.
class Pipe:
	extends Transport

	var _stdio: FileAccess

	func start(python: String, size: int) -> void:
		var process := OS.execute_with_pipe(python, _partner(["pipe", "-", size]))
		_stdio = process.stdio
		_pid = process.pid

	func trip(message: PackedByteArray) -> PackedByteArray:
		_stdio.store_buffer(message)
		var answer := _stdio.get_buffer(message.size())
		while answer.size() < message.size():
			var more := _stdio.get_buffer(message.size() - answer.size())
			if more.is_empty():
				break
			answer.append_array(more)
		return answer

	func stop() -> void:
		_stdio.close()
		super()
