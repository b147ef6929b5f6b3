extends RefCounted
## The cost of objects: creating and closing, memory, and many threads at once.

const Loop := preload("loop.gd")
const Segments := preload("segments.gd")

const MEBIBYTE := 1_048_576
const OBJECTS := 100_000
const HOLDERS := 500

const THREADS: Array[int] = [1, 2, 8]
const THREAD_ROUNDS := 7
const THREAD_RUNS := 300_000
## The first two show how far the machine goes, and how far the engine does. In an editor's build,
## every call on an object takes a lock that all threads share, to see whether the object lives.
const THREAD_STATEMENTS: Array[String] = [
	"pass",
	"shm.get_reference_count()",
	"shm.get_size()",
	"shm.write(bytes, 0)",
	"shm.read_into(into, 0)",
]

var _kept: Array[Array] = []


func run(options: Dictionary) -> Dictionary:
	return {
		"create_close_ns": _create_and_close(options.prefix + "create"),
		"bytes_each": _memory(options.prefix),
		"runs_per_second": _threads(options.prefix),
	}


func _create_and_close(name: String) -> Dictionary:
	var variables := {"shm: SharedMemory": SharedMemory.new(), "name: String": name}
	var statements := {"1 MiB": "shm.create(name, %d); shm.close()" % MEBIBYTE}
	return Loop.compare(statements, variables, 41, 10_000)


func _memory(prefix: String) -> Dictionary:
	var plain := func(_i: int) -> RefCounted: return RefCounted.new()
	var empty := func(_i: int) -> RefCounted: return SharedMemory.new()
	var holder := func(i: int) -> RefCounted: return Segments.create("%sheld%d" % [prefix, i], 4096)
	return {
		"RefCounted": _bytes_each(OBJECTS, plain),
		"SharedMemory": _bytes_each(OBJECTS, empty),
		"SharedMemory that holds 4 KiB": _bytes_each(HOLDERS, holder),
	}


func _bytes_each(count: int, make: Callable) -> float:
	var kept: Array[RefCounted] = []
	kept.resize(count)
	# Until the end: otherwise the next ones would take the place of these.
	_kept.append(kept)
	var before := _resident_bytes()
	for i in count:
		kept[i] = make.call(i)
	return float(_resident_bytes() - before) / count


## The memory of this process that is the process's own (not files, not segments).
func _resident_bytes() -> int:
	var file := FileAccess.open("/proc/self/status", FileAccess.READ)
	while file:
		var line := file.get_line()
		if line.begins_with("RssAnon:"):
			return line.to_int() * 1024
		if line == "":
			break
	return 0


func _threads(prefix: String) -> Dictionary:
	var result := {}
	for statement in THREAD_STATEMENTS:
		result[statement] = {}
		for count in THREADS:
			var loops: Array[Loop] = []
			for i in count:
				loops.append(Loop.new(statement, _variables("%sthread%d" % [prefix, i])))
			result[statement][count] = []
			for _round in THREAD_ROUNDS:
				result[statement][count].append(_runs_per_second(loops))
	return result


func _variables(name: String) -> Dictionary:
	var bytes := PackedByteArray()
	bytes.resize(64)
	return {
		"shm: SharedMemory": Segments.create(name, 4096),
		"bytes: PackedByteArray": bytes,
		"into: PackedByteArray": bytes.duplicate(),
	}


func _runs_per_second(loops: Array[Loop]) -> float:
	var threads: Array[Thread] = []
	var start := Time.get_ticks_usec()
	for loop in loops:
		threads.append(Thread.new())
		threads.back().start(loop.run.bind(THREAD_RUNS))
	for thread in threads:
		thread.wait_to_finish()
	return loops.size() * THREAD_RUNS * 1e6 / (Time.get_ticks_usec() - start)
