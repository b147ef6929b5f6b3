extends Node
## Makes the segment that the command line names, and answers the program that writes to it.

var _memory := SharedMemory.new()
var _frames := 0


func _ready() -> void:
	var name_of_it := OS.get_cmdline_user_args()[0]
	var code := _memory.create(name_of_it, 1000)
	if code != OK:
		_end("create: %s" % _memory.get_last_error_message())
		return
	var peer := SharedMemory.new()
	code = peer.open(name_of_it, 1000)
	if code != OK:
		_end("open: %s" % peer.get_last_error_message())
		return
	peer.write("from the game".to_utf8_buffer())
	if _memory.read(13).get_string_from_utf8() != "from the game":
		_end("the written text was not read back")


func _process(_delta: float) -> void:
	_frames += 1
	var text := _memory.read(20, 500).get_string_from_utf8()
	if text == "from the test":
		_end("")
	elif _frames > 5000:
		_end("nobody wrote")


func _end(problem: String) -> void:
	printerr("the game ends: ", problem if problem else "all is well")
	set_process(false)
	get_tree().quit(1 if problem else 0)
