extends Node
## Watches the example of read_image: whether each frame that it shows is whole. All bytes of a
## frame are its number, modulo 251.
##
## Prints a line with the last state and the frames so far, again and again.

const LINE_EVERY_MSEC := 50

var _last := 0
var _states := {}
var _printed_at := 0


## After the example's own turn: a child comes after its parent.
func _process(_delta: float) -> void:
	var reader: Node = get_parent()
	if reader.shown in [0, _last]:
		return
	_last = reader.shown
	var image: Image = reader.image
	var bytes := image.get_data()
	var is_whole := bytes.count(_last % 251) == bytes.size()
	var is_bgr: bool = reader.shading.get_shader_parameter("bgr")
	var state := "%d %d %d %s" % [image.get_width(), image.get_height(), image.get_format(), is_bgr]
	var counts: Array = _states.get_or_add(state, [0, 0])
	counts[int(is_whole)] += 1
	var shows_image: bool = reader.texture.get_size() == Vector2(image.get_size())
	if not shows_image or reader.texture.get_format() != image.get_format():
		push_error("the texture has another size or format than the image")
	if Time.get_ticks_msec() > _printed_at + LINE_EVERY_MSEC:
		_printed_at = Time.get_ticks_msec()
		print("##frames## ", JSON.stringify({"state": state, "counts": _states}, "", false))
