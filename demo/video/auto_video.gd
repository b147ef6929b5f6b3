extends "res://auto.gd"
## Reads [constant ENOUGH] pictures, hands one out, and ends once Python has read it.

const Video := preload("res://video/video.gd")

const ENOUGH := 30

var _handed_out := false

@onready var _video: Video = get_parent()


func _step() -> void:
	if _video.screen.is_seen():
		print("Godot received %d pictures, and one was taken from it" % _video.received)
		finish()
	elif _video.received >= ENOUGH and not _handed_out:
		_handed_out = true
		if await _hand_out() != OK:
			finish(_video.screen_memory.get_last_error_message())


func _progress() -> String:
	return "only %d pictures, %s handed out" % [_video.received, "one" if _handed_out else "none"]


func _hand_out() -> Error:
	if DisplayServer.get_name() != "headless":
		print("Godot hands out its window")
		return await _video.hand_out_screen()
	# A headless window has no picture. Python gets its own one back, upside down.
	print("Godot hands out number %d, upside down" % _video.video.count)
	var picture: Image = _video.video.image.duplicate()
	picture.flip_y()
	return _video.hand_out(picture)
