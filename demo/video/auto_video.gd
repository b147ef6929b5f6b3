extends Node
## With [code]-- --auto[/code] on the command line: waits for pictures of demo/python/video.py,
## hands one out, turned upside down, and quits once that was seen; with exit code 1 and the reason
## if it wasn't in time.

const Video := preload("res://video/video.gd")

const ENOUGH := 30
const TIMEOUT_SECONDS := 30.0

var _waited := 0.0

@onready var _window: Video = get_parent()


func _ready() -> void:
	set_process("--auto" in OS.get_cmdline_user_args())
	Engine.max_fps = 60


func _process(delta: float) -> void:
	_waited += delta
	if _window.screen.count > 0 and _window.screen.seen() == _window.screen.count:
		print("Godot received %d pictures, and handed one out" % _window.received)
		_finish(OK)
	elif _window.received >= ENOUGH and _window.screen.count == 0:
		# Without a screen there is nothing to take a picture of.
		var picture: Image = _window.video.image.duplicate()
		picture.flip_y()
		if _window.hand_out(picture) != OK:
			printerr(_window.screen_memory.get_last_error_message())
			_finish(FAILED)
	elif _waited > TIMEOUT_SECONDS:
		printerr("Only %d pictures in %.0f seconds" % [_window.received, _waited])
		_finish(ERR_TIMEOUT)


func _finish(error: Error) -> void:
	set_process(false)
	get_tree().quit(0 if error == OK else 1)
