extends RefCounted
## What a call costs, beside the cheapest call of the engine on the same object.

const Loop := preload("loop.gd")
const Segments := preload("segments.gd")

const YARDSTICK := "get_reference_count()"
## One line each. The last three leave out arguments that have defaults: the engine passes those on
## in another way.
const CALLS: Array[String] = [
	YARDSTICK,
	"get_size()",
	"is_open()",
	"get_status()",
	"decode_u32(8)",
	"encode_u32(8, 1)",
	"write(bytes, 0)",
	"read(64, 0)",
	"read_into(into, 0)",
	"write(bytes)",
	"read(64)",
	"read_into(into)",
]

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
	}
	var statements := {}
	for line in CALLS:
		if shm.has_method(line.get_slice("(", 0)):
			statements[line] = "shm." + line
	return {
		"yardstick": YARDSTICK,
		"ns": Loop.compare(statements, variables, ROUNDS, BATCH_USEC),
	}
