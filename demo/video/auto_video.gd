extends Node
## With [code]-- --auto[/code] on the command line: waits for pictures of demo/python/video.py,
## hands one out, and quits once that was seen; with exit code 1 and the reason if it wasn't in
## time.

const Video := preload("res://video/video.gd")

const ENOUGH := 30
const TIMEOUT_SECONDS := 40.0

var _waited := 0.0

@onready var _window: Video = get_parent()


func _ready() -> void:
	var is_auto := "--auto" in OS.get_cmdline_user_args()
	set_process(is_auto)
	if is_auto:
		# As a screen would have it.
		Engine.max_fps = 60


func _process(delta: float) -> void:
	_waited += delta
	if _window.screen.is_seen():
		print("Godot received %d pictures, and one was taken from it" % _window.received)
		_finish(OK)
	elif _window.received >= ENOUGH and _window.screen.count == 0:
		set_process(false)
		if await _hand_out() == OK:
			set_process(true)
		else:
			printerr(_window.screen_memory.get_last_error_message())
			_finish(FAILED)
	elif _waited > TIMEOUT_SECONDS:
		printerr("Only %d pictures in %.0f seconds" % [_window.received, _waited])
		_finish(ERR_TIMEOUT)


func _hand_out() -> Error:
	if DisplayServer.get_name() != "headless":
		print("Godot hands out its window")
		return await _window.hand_out_screen()
	# Without a screen there is nothing to take a picture of: back goes what came, upside down.
	print("Godot hands out number %d, upside down" % _window.video.count)
	var picture: Image = _window.video.image.duplicate()
	picture.flip_y()
	return _window.hand_out(picture)


func _finish(error: Error) -> void:
	set_process(false)
	get_tree().quit(0 if error == OK else 1)
