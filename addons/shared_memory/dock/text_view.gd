@tool
extends VBoxContainer
## The tab with the bytes as a text.

## Emitted when another text is to be shown.
signal look_requested

const Look := preload("look.gd")
const OffsetField := preload("offset_field.gd")
const Remembered := preload("remembered.gd")

const LONGEST := 16384
## In the order of [code]SharedMemory.TextEncoding[/code].
const ENCODINGS := ["UTF-8", "Latin-1", "UTF-16", "UTF-32"]

var _key := ""
var _offset := OffsetField.new()
var _encoding := OptionButton.new()
var _note := Label.new()
var _text := TextEdit.new()


func _init() -> void:
	name = "Text"
	var top := HBoxContainer.new()
	for encoding: String in ENCODINGS:
		_encoding.add_item(encoding)
	_encoding.tooltip_text = "The encoding of the text."
	_encoding.item_selected.connect(_on_encoding_selected)
	top.add_child(_encoding)
	var label := Label.new()
	label.text = "from byte"
	top.add_child(label)
	_offset.offset_changed.connect(look_requested.emit)
	top.add_child(_offset)
	_note.text_overrun_behavior = TextServer.OVERRUN_TRIM_ELLIPSIS
	_note.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	top.add_child(_note)
	add_child(top)
	_text.editable = false
	_text.draw_control_chars = true
	_text.wrap_mode = TextEdit.LINE_WRAPPING_BOUNDARY
	_text.size_flags_vertical = Control.SIZE_EXPAND_FILL
	_text.auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
	add_child(_text)


func _notification(what: int) -> void:
	if what == NOTIFICATION_THEME_CHANGED:
		_text.add_theme_font_override(&"font", get_theme_font(&"source", &"EditorFonts"))
		var font_size := get_theme_font_size(&"source_size", &"EditorFonts")
		_text.add_theme_font_size_override(&"font_size", font_size)


## Is about this segment from now on.
func select(key: String) -> void:
	_key = key
	_offset.follow(key)
	_encoding.select(clampi(Remembered.recall_last(key, "encoding", 0), 0, ENCODINGS.size() - 1))
	_text.text = ""


## Shows what is in the segment now.
func show_look(look: Look, _segment: Dictionary) -> void:
	var text := look.read_text(_offset.offset, LONGEST, _encoding.selected)
	_note.text = "%d characters, up to NUL" % text.length()
	if text == _text.text:
		return
	var place := _text.scroll_vertical
	_text.text = text
	_text.scroll_vertical = place


## Shows why there is nothing to see.
func show_problem(problem: String) -> void:
	_note.text = problem


func _on_encoding_selected(encoding: int) -> void:
	Remembered.remember(_key, "encoding", encoding)
	look_requested.emit()
