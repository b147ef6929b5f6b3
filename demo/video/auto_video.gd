extends "res://auto.gd"
## Shows [constant ENOUGH] pictures, hands one out, and ends once Python has saved it.

const Video := preload("res://video/video.gd")

const ENOUGH := 120

var _handed_out := false
## Stands in for the window, which has no picture if it is headless.
var _screen := SharedMemoryStream.new()

@onready var _video: Video = get_parent()


func _begin() -> void:
	_video.texture.live_changed.connect(_print_source)


func _step() -> void:
	if _video.shown < ENOUGH:
		return
	if not _handed_out:
		_handed_out = true
		_hand_out()
	elif not _video.texture.is_live():
		# Python ends once it has saved the picture.
		print("Godot has shown %d pictures, and Python has left" % _video.shown)
		finish()


func _progress() -> String:
	return "only %d pictures, %s handed out" % [_video.shown, "one" if _handed_out else "none"]


func _print_source(is_live: bool) -> void:
	print("Godot says: Python is ", "here" if is_live else "gone")


func _hand_out() -> void:
	if DisplayServer.get_name() != "headless":
		print("Godot hands out its window")
		await _video.hand_out_screen()
		finish()
		return
	print("Godot hands out the last picture, upside down")
	var picture := _video.texture.get_picture()
	picture.flip_y()
	if (
		_screen.create("SharedMemoryScreen", picture.get_data_size()) != OK
		or _screen.write(picture)
	):
		finish(_screen.get_last_error_message())
