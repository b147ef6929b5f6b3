@tool
extends VBoxContainer
## The tab with the bytes, and with the numbers that begin at the cursor.

## Emitted when other bytes are to be shown.
signal look_requested

const HexView := preload("hex_view.gd")
const Look := preload("look.gd")
const OffsetField := preload("offset_field.gd")
const ValueRows := preload("value_rows.gd")

var _offset := OffsetField.new()
var _hex := HexView.new()
var _values := Label.new()


func _init() -> void:
	name = "Bytes"
	var top := HBoxContainer.new()
	var label := Label.new()
	label.text = "Go to"
	top.add_child(label)
	_offset.offset_changed.connect(func() -> void: _hex.go_to(_offset.offset))
	top.add_child(_offset)
	_values.text_overrun_behavior = TextServer.OVERRUN_TRIM_ELLIPSIS
	_values.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_values.auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
	_values.mouse_filter = Control.MOUSE_FILTER_PASS
	top.add_child(_values)
	add_child(top)
	_hex.moved.connect(_on_moved)
	add_child(_hex)


## Is about this segment from now on.
func select(key: String) -> void:
	_offset.follow(key)
	_hex.start(_offset.offset)


## Shows what is in the segment now.
func show_look(look: Look, _segment: Dictionary) -> void:
	_hex.show_look(look)
	_show_values()


## Shows why there is nothing to see.
func show_problem(problem: String) -> void:
	_values.text = problem


func _show_values() -> void:
	var bytes := _hex.bytes_at_cursor()
	var texts := PackedStringArray(["byte %d (0x%x)" % [_hex.cursor, _hex.cursor]])
	if bytes.size() >= 1:
		texts.append("u8 %d" % bytes[0])
	if bytes.size() >= 4:
		texts.append("u16 %d" % bytes.decode_u16(0))
		texts.append("i32 %d" % bytes.decode_s32(0))
		texts.append("float %s" % String.num(bytes.decode_float(0), 4))
	if bytes.size() >= 8:
		texts.append("i64 %d" % bytes.decode_s64(0))
		texts.append("double %s" % String.num(bytes.decode_double(0), 6))
	_values.text = "   ".join(texts)
	_values.tooltip_text = "\n".join(texts)


func _on_moved() -> void:
	_show_values()
	look_requested.emit()
