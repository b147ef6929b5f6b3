extends SceneTree
## The other side of lockstep.gd: sends every question back, run by run.
##
## Arguments (after "--"): the name of the peer, and the port.

const RUNS := 10
const PATIENCE_MSEC := 10_000
## The first byte of the last question of a run.
const LAST := 0


func _initialize() -> void:
	var arguments := OS.get_cmdline_user_args()
	var peer := SharedMemoryPeer.new()
	var stream := StreamPeerTCP.new()
	if peer.open(arguments[0]) != OK:
		push_error(peer.get_last_error_message())
	stream.connect_to_host("127.0.0.1", arguments[1].to_int())
	while stream.get_status() == StreamPeerTCP.STATUS_CONNECTING:
		stream.poll()
	stream.set_no_delay(true)
	for _run in RUNS:
		if not _answer(peer) or not _answer_stream(stream):
			break
	quit()


func _answer(peer: SharedMemoryPeer) -> bool:
	while true:
		var question: Variant = peer.receive(PATIENCE_MSEC)
		if not question is PackedByteArray or peer.send(question, PATIENCE_MSEC) != OK:
			return false
		if question[0] == LAST:
			break
	return true


func _answer_stream(stream: StreamPeerTCP) -> bool:
	while true:
		var received := stream.get_data(64)
		if received[0] != OK:
			return false
		stream.put_data(received[1])
		if received[1][0] == LAST:
			break
	return true
