extends RefCounted
## Requests between two Godots, each of which waits for the other. SharedMemoryPeer and
## StreamPeerTCP take turns, which blocks in the system, too.

const Answer := preload("lockstep_answer.gd")

## The first tenth of the rounds is for warming up.
const ROUNDS := 1000
## A run that is slow ends after this time.
const LONGEST_USEC := 300_000


## The microseconds of each round, by run.
func run(options: Dictionary) -> Dictionary:
	var server := TCPServer.new()
	server.listen(0, "127.0.0.1")
	var peer := SharedMemoryPeer.new()
	if peer.open(options.prefix + "game") != OK:
		push_error(peer.get_last_error_message())
	var partner := OS.create_process(
		OS.get_executable_path(),
		[
			"--headless",
			"--path",
			ProjectSettings.globalize_path("res://"),
			"--script",
			"res://lockstep_answer.gd",
			"--",
			peer.get_name(),
			str(server.get_local_port())
		]
	)
	if peer.wait_connected(Answer.PATIENCE_MSEC) != OK:
		push_error("the partner doesn't come: " + peer.get_last_error_message())
		return {}
	var end := Time.get_ticks_msec() + Answer.PATIENCE_MSEC
	while not server.is_connection_available() and Time.get_ticks_msec() < end:
		OS.delay_msec(1)
	var stream := server.take_connection()
	stream.set_no_delay(true)
	var result := {"SharedMemoryPeer": [], "StreamPeerTCP": []}
	for _run in Answer.RUNS:
		result["SharedMemoryPeer"].append(_ask(_request.bind(peer)))
		result["StreamPeerTCP"].append(_ask(_exchange.bind(stream)))
	while OS.is_process_running(partner):
		if Time.get_ticks_msec() > end + Answer.PATIENCE_MSEC:
			push_error("the partner does not end")
			OS.kill(partner)
			break
		OS.delay_msec(5)
	return result


func _ask(request: Callable) -> Array[int]:
	var question := PackedByteArray()
	question.resize(64)
	question.fill(7)
	var samples: Array[int] = []
	var first := Time.get_ticks_usec()
	for round in ROUNDS:
		question[1] = round % 256
		var start := Time.get_ticks_usec()
		var answer: Variant = request.call(question)
		var now := Time.get_ticks_usec()
		if answer != question:
			push_error("the answer is not the question: %s" % answer)
			break
		samples.append(now - start)
		if now - first > LONGEST_USEC:
			break
	question[0] = Answer.LAST
	request.call(question)
	return samples.slice(samples.size() / 10)


func _request(question: PackedByteArray, peer: SharedMemoryPeer) -> Variant:
	return peer.request(question, Answer.PATIENCE_MSEC)


func _exchange(question: PackedByteArray, stream: StreamPeerTCP) -> Variant:
	stream.put_data(question)
	return stream.get_data(question.size())[1]
