extends "res://auto.gd"
## Clicks on the picture, and ends once the click is seen in it.

const Bridge := preload("res://bridge/bridge.gd")

const AT := Vector2(100, 50)

var _clicked := 0

# Without a screen, a texture has no pixels to look at.
var _stream := SharedMemoryStream.new()

@onready var _bridge: Bridge = get_parent()


func _begin() -> void:
	_stream.open((_bridge.picture.texture as Bridge.LivePicture).memory_name)


func _step() -> void:
	var texture := _bridge.picture.texture as Bridge.LivePicture
	if not texture.is_live() or not _stream.has_new_data():
		return
	var picture: Image = _stream.read()
	if _clicked == 0:
		print("Godot sees the picture of Python")
		_bridge.click(AT, Color.RED)
		_clicked = Time.get_ticks_msec()
	elif picture.get_pixelv(AT).is_equal_approx(Color.RED):
		print("Godot sees its click after %d ms" % (Time.get_ticks_msec() - _clicked))
		finish()


func _progress() -> String:
	return "no click is in the picture" if _clicked > 0 else "there is no picture"
