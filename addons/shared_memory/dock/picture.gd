@tool
extends TextureRect
## A picture of any size, in the room that there is.

## Graphics cards take no larger textures everywhere.
const LONGEST_SIDE := 4096
const EXCHANGE := """shader_type canvas_item;
uniform bool is_bgr;
void fragment() {
	if (is_bgr) {
		COLOR = COLOR.bgra;
	}
}
"""

var _frames := ImageTexture.new()


func _init() -> void:
	size_flags_vertical = Control.SIZE_EXPAND_FILL
	expand_mode = TextureRect.EXPAND_IGNORE_SIZE
	stretch_mode = TextureRect.STRETCH_KEEP_ASPECT_CENTERED
	var shading := ShaderMaterial.new()
	shading.shader = Shader.new()
	shading.shader.code = EXCHANGE
	material = shading
	resized.connect(_choose_filter)


## Shows an image, which is changed if it is too large.
func show_image(image: Image, is_bgr := false) -> void:
	if image.is_empty():
		show_nothing()
		return
	var longest := maxi(image.get_width(), image.get_height())
	if longest > LONGEST_SIDE:
		var area := Vector2i(Vector2(image.get_size()) * LONGEST_SIDE / longest).maxi(1)
		image.resize(area.x, area.y, Image.INTERPOLATE_NEAREST)
	var fits := Vector2i(_frames.get_size()) == image.get_size()
	if fits and _frames.get_format() == image.get_format():
		_frames.update(image)
	else:
		_frames.set_image(image)
	(material as ShaderMaterial).set_shader_parameter(&"is_bgr", is_bgr)
	texture = _frames
	_choose_filter()


func show_nothing() -> void:
	texture = null


## Shows the pixels of a small picture as they are.
func _choose_filter() -> void:
	var is_enlarged := texture != null and texture.get_size() < size
	texture_filter = TEXTURE_FILTER_NEAREST if is_enlarged else TEXTURE_FILTER_LINEAR
