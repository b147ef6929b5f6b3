@tool
extends TextureRect
## An image of any size, in the room that there is.

## Graphics cards take no larger textures everywhere.
const LONGEST_SIDE := 4096
## The names of the formats that programs use most.
const FORMATS := {
	Image.FORMAT_L8: "L8",
	Image.FORMAT_LA8: "LA8",
	Image.FORMAT_R8: "R8",
	Image.FORMAT_RG8: "RG8",
	Image.FORMAT_RGB8: "RGB8",
	Image.FORMAT_RGBA8: "RGBA8",
	Image.FORMAT_RF: "RF",
	Image.FORMAT_RGF: "RGF",
	Image.FORMAT_RGBF: "RGBF",
	Image.FORMAT_RGBAF: "RGBAF",
	Image.FORMAT_RH: "RH",
	Image.FORMAT_RGBAH: "RGBAH",
}
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


## Returns what a person wants to know of an image: its size, format and bytes.
static func text_of(image: Image) -> String:
	var format: String = FORMATS.get(image.get_format(), "format %d" % image.get_format())
	var facts := [image.get_width(), image.get_height(), format, image.get_data_size()]
	return "Image of %d × %d, %s, %d bytes" % facts


## Shows the pixels of a small image as they are.
func _choose_filter() -> void:
	var is_enlarged := texture != null and texture.get_size() < size
	texture_filter = TEXTURE_FILTER_NEAREST if is_enlarged else TEXTURE_FILTER_LINEAR
