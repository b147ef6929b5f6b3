@tool
extends LineEdit
## A field for the byte at which something begins: decimal, or hexadecimal with [code]0x[/code].
##
## The views of a segment share it, and it is remembered.

## Emitted when the user has changed it.
signal offset_changed

const Remembered := preload("remembered.gd")

## The offset in bytes.
var offset := 0

var _key := ""


func _init() -> void:
	placeholder_text = "0"
	tooltip_text = "The first byte, such as 64 or 0x40."
	custom_minimum_size.x = 90 * EditorInterface.get_editor_scale()
	text_changed.connect(_on_text_changed)
	visibility_changed.connect(recall)


## Is about this segment from now on.
func follow(key: String) -> void:
	_key = key
	recall()


## Takes the offset that another view may have set.
func recall() -> void:
	if not _key.is_empty() and not has_focus():
		offset = maxi(Remembered.recall(_key, "offset", 0), 0)
		text = "" if offset == 0 else str(offset)


## Sets the offset for all views of the segment.
func remember(to: int) -> void:
	offset = to
	Remembered.remember(_key, "offset", to)


func _on_text_changed(_text: String) -> void:
	var typed := text.strip_edges()
	var is_hex := typed.to_lower().begins_with("0x") and typed.is_valid_hex_number(true)
	var is_valid := is_hex or typed.is_valid_int() or typed.is_empty()
	var number := typed.hex_to_int() if is_hex else typed.to_int()
	is_valid = is_valid and number >= 0 and typed.length() < 17
	if is_valid:
		remove_theme_color_override(&"font_color")
		remember(number)
		offset_changed.emit()
	else:
		add_theme_color_override(&"font_color", get_theme_color(&"error_color", &"Editor"))
