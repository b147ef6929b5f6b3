extends RefCounted
## The cost of structs as a simulator writes them: 128 vehicles of 1,888 bytes, each with 157 names.

const Loop := preload("loop.gd")
const Segments := preload("segments.gd")

const VEHICLES := 128
const VEHICLE_BYTES := 1888
const ROUNDS := 21
const BATCH_USEC := 20_000


func run(options: Dictionary) -> Dictionary:
	var format := "<pack(4) %dT{%s}:vehicles:" % [VEHICLES, _vehicle()]
	var size := VEHICLES * VEHICLE_BYTES
	var shm := Segments.create(options.prefix + "structs", size)
	# An older library lacks the format: nothing is measured then.
	if not shm.has_method("unpack_dictionary"):
		return {}
	if SharedMemory.calcsize(format) != size:
		push_error("a vehicle has other than %d bytes" % VEHICLE_BYTES)
	var bytes := PackedByteArray()
	bytes.resize(size)
	var statements := {
		"unpack(format)": "shm.unpack(format)",
		"unpack_dictionary(format)": "shm.unpack_dictionary(format)",
		"unpack_dictionary(format), 4 of its names": "shm.unpack_dictionary(few)",
		"pack(format, array)": "shm.pack(format, array)",
		"pack(format, dictionary)": "shm.pack(format, dictionary)",
		"calcsize(format)": "SharedMemory.calcsize(format)",
		"read_into(bytes)": "shm.read_into(bytes)",
	}
	var variables := {
		"shm: SharedMemory": shm,
		"format: String": format,
		"few: String": "<%dT{i:id: 64s:name: 3d:position: d:speed: 1788x}:vehicles:" % VEHICLES,
		"array: Array": shm.unpack(format),
		"dictionary: Dictionary": shm.call("unpack_dictionary", format),
		"bytes: PackedByteArray": bytes,
	}
	return Loop.compare(statements, variables, ROUNDS, BATCH_USEC)


func _vehicle() -> String:
	var numbers := func(count: int) -> String:
		return " ".join(range(count).map(func(index: int) -> String: return "d:value%d:" % index))
	return (
		"i:id: 64s:name: 3d:position: 9d:orientation: %s 4T{%s 3d:temperature:}:wheels: 444x"
		% [numbers.call(60), numbers.call(22)]
	)
