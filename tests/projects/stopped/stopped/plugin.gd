@tool
extends EditorPlugin
## Plays the scene as the button does, and stops it as soon as the test has made the file `stop`.

enum { SCANNING, PLAYING, STOPPED }

var _state := SCANNING


func _process(_delta: float) -> void:
	if _state == SCANNING and not EditorInterface.get_resource_filesystem().is_scanning():
		_state = PLAYING
		EditorInterface.play_custom_scene("res://waiting.tscn")
	elif _state == PLAYING and FileAccess.file_exists("res://stop"):
		_state = STOPPED
		var was_playing := EditorInterface.is_playing_scene()
		EditorInterface.stop_playing_scene()
		printerr("was it playing? ", was_playing, " Is it? ", EditorInterface.is_playing_scene())
