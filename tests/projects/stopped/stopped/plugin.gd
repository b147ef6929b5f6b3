@tool
extends EditorPlugin
## Plays the scene as the button does once the test has made the file `order`. Stops it as soon as
## the test has made the file `stop`, and begins again.

const ORDER := "res://order"
const STOP := "res://stop"

var _is_playing := false


func _process(_delta: float) -> void:
	if EditorInterface.get_resource_filesystem().is_scanning():
		return
	if not _is_playing and FileAccess.file_exists(ORDER):
		_is_playing = true
		EditorInterface.play_custom_scene("res://waiting.tscn")
	elif _is_playing and FileAccess.file_exists(STOP):
		_is_playing = false
		var was_playing := EditorInterface.is_playing_scene()
		EditorInterface.stop_playing_scene()
		DirAccess.remove_absolute(ORDER)
		DirAccess.remove_absolute(STOP)
		printerr("was it playing? ", was_playing, " Is it? ", EditorInterface.is_playing_scene())
