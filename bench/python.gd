extends RefCounted
## Godot beside the Python package. Requests go to a program in Python and to one in C. Queues are
## called in GDScript and in Python. All ways take turns.

const Loop := preload("loop.gd")
const Segments := preload("segments.gd")

## The first byte of a question, as in answer.py and answer.c.
const QUIT := 0
const SPIN := 1
const SLEEP := 2
const PATIENCE_MSEC := 10_000
## The microseconds before each question to a partner that sleeps.
const PAUSE_USEC := 200
## The messages in a queue of a run.
const BATCH_USEC := 10_000
const QUEUE := "queue.enqueue(bytes); queue.dequeue()"

var _pids: Array[int] = []


## The microseconds of each request and the nanoseconds of each message in a queue, by run. The
## first tenth of the requests is for warming up.
func run(options: Dictionary) -> Dictionary:
	var partners := {
		"Python": _start(options.prefix + "python", options.python, ["answer.py"]),
		"C": _start(options.prefix + "c", options.folder.path_join("answer"), []),
	}
	# The runs, and the requests of a run in each kind.
	var rounds := OS.get_environment("BENCH_ROUNDS").split_floats(" ")
	var result := {"both spin": {}, "both sleep": {}, "queue": {"Python": [], "GDScript": []}}
	for kind: String in ["both spin", "both sleep"]:
		for partner: String in partners:
			result[kind][partner] = []
	var bytes := PackedByteArray()
	bytes.resize(64)
	var queue := SharedMemoryQueue.new()
	queue.attach(Segments.create(options.prefix + "queue", 8192))
	var variables := {"queue: SharedMemoryQueue": queue, "bytes: PackedByteArray": bytes}
	var full := Loop.new(QUEUE, variables)
	var times := full.times_for(BATCH_USEC)
	for _run in int(rounds[0]):
		for partner: String in partners:
			var peer: SharedMemoryPeer = partners[partner]
			result["both spin"][partner].append(_ask(peer, SPIN, int(rounds[1]), 0))
			result["both sleep"][partner].append(_ask(peer, SLEEP, int(rounds[2]), PAUSE_USEC))
		# With the loop, as in answer.py. A busy machine may delay an empty loop more than a full one.
		result["queue"]["GDScript"].append(full.run(times) * 1000.0 / times)
		var python: SharedMemoryPeer = partners["Python"]
		var asked: Variant = python.request({"queue": times, "bytes": bytes}, PATIENCE_MSEC)
		if not asked is int:
			push_error(python.get_last_error_message())
			break
		result["queue"]["Python"].append(float(asked) / times)
	for partner: String in partners:
		_ask(partners[partner], SLEEP, 0, 0, QUIT)
	_finish()
	return result


func _start(name: String, program: String, arguments: Array) -> SharedMemoryPeer:
	var peer := SharedMemoryPeer.new()
	if peer.open(name, 1 << 16) != OK:
		push_error(peer.get_last_error_message())
	var files := arguments.map(func(file: String) -> String: return _path(file))
	_pids.append(OS.create_process(program, files + [peer.get_name()]))
	if peer.wait_connected(PATIENCE_MSEC) != OK:
		push_error("%s doesn't come: %s" % [program, peer.get_last_error_message()])
	return peer


func _path(file: String) -> String:
	return ProjectSettings.globalize_path("res://" + file)


## Asks [param rounds] times. The last question tells the partner to sleep until the next run, or to
## quit.
func _ask(
	peer: SharedMemoryPeer, how: int, rounds: int, pause: int, last: int = SLEEP
) -> Array[int]:
	var question := PackedByteArray()
	question.resize(64)
	question[0] = how
	var samples: Array[int] = []
	for round in rounds:
		question[1] = round % 256
		if pause > 0:
			OS.delay_usec(pause)
		var start := Time.get_ticks_usec()
		var answer: Variant = peer.request(question, PATIENCE_MSEC)
		var now := Time.get_ticks_usec()
		if answer != question:
			push_error("the answer is not the question: %s" % answer)
			break
		samples.append(now - start)
	question[0] = last
	peer.request(question, PATIENCE_MSEC)
	return samples.slice(samples.size() / 10)


func _finish() -> void:
	var end := Time.get_ticks_msec() + PATIENCE_MSEC
	for pid in _pids:
		while OS.is_process_running(pid):
			if Time.get_ticks_msec() > end:
				push_error("a partner does not end")
				OS.kill(pid)
				break
			OS.delay_msec(5)
