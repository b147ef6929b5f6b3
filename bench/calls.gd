extends RefCounted
## The cost of a call, beside a call of the engine: the cheapest one on the same object, or one that
## makes the same array.

const Loop := preload("loop.gd")
const Segments := preload("segments.gd")

const YARDSTICK := "get_reference_count()"
const ARRAY_YARDSTICK := "bytes.slice(0, 64)"
const ARRAY_CALLS: Array[String] = ["read(64, 0)", "read(64)"]
## One line each. The last three leave out arguments that have defaults: the engine passes those on
## in another way.
const CALLS: Array[String] = [
	YARDSTICK,
	"get_size()",
	"is_open()",
	"get_status()",
	"decode_u32(8)",
	"encode_u32(8, 1)",
	"atomic_load_u32(8)",
	"atomic_add_u32(8, 1)",
	"notify_u32(8)",
	"write(bytes, 0)",
	"read(64, 0)",
	"read_into(into, 0)",
	"write(bytes)",
	"read(64)",
	"read_into(into)",
	"unpack('<16I')",
	"pack('<16I', values)",
	"decode_var(64)",
	"encode_var(64, value)",
]
## The same 64 bytes as a message, or as an element. Each has memory of its own.
const MESSAGES := {
	"stream: write(bytes), read()": "stream.write(bytes); stream.read()",
	"queue: enqueue(bytes), dequeue()": "queue.enqueue(bytes); queue.dequeue()",
	"array: set_element(3, bytes), get_element(3)":
	"array.set_element(3, bytes); array.get_element(3)",
}
## The same in the native layout, beside the first two. The last one has 1 MiB.
const NATIVE := {
	"native stream: write(bytes), read()": "native_stream.write(bytes); native_stream.read()",
	"native stream: has_new_data()": "native_stream.has_new_data()",
	"native queue: enqueue(bytes), dequeue()":
	"native_queue.enqueue(bytes); native_queue.dequeue()",
	"native stream: write(mebibyte), read()": "large_stream.write(mebibyte); large_stream.read()",
}
const MEBIBYTE := 1 << 20

const ROUNDS := 41
const BATCH_USEC := 10_000


func run(options: Dictionary) -> Dictionary:
	var shm := Segments.create(options.prefix + "calls", 4096)
	var bytes := PackedByteArray()
	bytes.resize(64)
	var variables := {
		"shm: SharedMemory": shm,
		"bytes: PackedByteArray": bytes,
		"into: PackedByteArray": bytes.duplicate(),
		"values: Array": range(16),
		"value: PackedByteArray": bytes,
	}
	shm.encode_var(64, bytes)
	var statements := {ARRAY_YARDSTICK: ARRAY_YARDSTICK}
	for line in CALLS:
		if shm.has_method(line.get_slice("(", 0)):
			statements[line] = "shm." + line
	# An older library lacks these classes: they are left out.
	if ClassDB.class_exists("SharedMemoryStream"):
		statements.merge(MESSAGES)
		variables.merge(_messengers(options.prefix))
	if ClassDB.class_has_integer_constant("SharedMemoryStream", "LAYOUT_NATIVE"):
		statements.merge(NATIVE)
		variables.merge(_native_messengers(options.prefix))
		var mebibyte := PackedByteArray()
		mebibyte.resize(MEBIBYTE)
		variables["mebibyte: PackedByteArray"] = mebibyte
	return {
		"yardstick": YARDSTICK,
		"array_yardstick": ARRAY_YARDSTICK,
		"array_calls": ARRAY_CALLS,
		"ns": Loop.compare(statements, variables, ROUNDS, BATCH_USEC),
	}


func _messengers(prefix: String) -> Dictionary:
	return _attached(
		prefix,
		4096,
		[
			["stream", "SharedMemoryStream", [3]],
			["queue", "SharedMemoryQueue", [3, 64]],
			["array", "SharedMemoryArray", ["64s"]],
		]
	)


func _native_messengers(prefix: String) -> Dictionary:
	var objects := _attached(
		prefix,
		4096,
		[["native_stream", "SharedMemoryStream", []], ["native_queue", "SharedMemoryQueue", []]]
	)
	objects.merge(
		_attached(prefix, 5 * MEBIBYTE, [["large_stream", "SharedMemoryStream", [0, MEBIBYTE]]])
	)
	return objects


## Objects by their declarations. Each has memory of its own.
func _attached(prefix: String, size: int, lines: Array) -> Dictionary:
	var objects := {}
	# Not by their names: a script that names a class that isn't there doesn't compile.
	for line: Array in lines:
		var object: RefCounted = ClassDB.instantiate(line[1])
		if object.callv("attach", [Segments.create(prefix + line[0], size)] + line[2]) != OK:
			push_error(object.call("get_last_error_message"))
		objects["%s: %s" % [line[0], line[1]]] = object
	return objects
