@tool
extends VBoxContainer
## The tab with the bytes as a struct, by a format that the user types.

## Emitted when other numbers are to be shown.
signal look_requested

const Look := preload("look.gd")
const OffsetField := preload("offset_field.gd")
const Remembered := preload("remembered.gd")
const Table := preload("table.gd")
const ValueRows := preload("value_rows.gd")

const HELP := """The format of a struct, as in Python's module struct.
b h i q: signed integers of 1, 2, 4 and 8 bytes. B H I Q: unsigned ones.
e f d: floats of 2, 4 and 8 bytes. 16s: a text of 16 bytes. x: a byte to skip.
I:frame: gives the value I the name frame, with a colon on both sides. 4T{...}: four structs.
A name may have any characters except a colon, also spaces.
< little-endian, > big-endian, @ or nothing: as a C compiler aligns.
pack(4) at the beginning: as #pragma pack(4).
The help of SharedMemory.pack() has more."""

## The width of the format, in which a struct of some values can be read.
const LEAST_WIDTH := 300
## A larger struct would have more values than a person reads, and make the editor stand still.
const LARGEST := 1 << 20

var _key := ""
var _format := LineEdit.new()
var _offset := OffsetField.new()
var _extent := Label.new()
var _note := Label.new()
var _table := Table.new()
## The format whose size is [member _struct_size].
var _measured := ""
var _struct_size := 0
var _mistake := ""


func _init() -> void:
	name = "Numbers"
	# In a narrow panel, the format has a row for itself.
	var top := HFlowContainer.new()
	_format.placeholder_text = "Struct format, such as <I3f or I:frame: 3f:position:"
	_format.tooltip_text = HELP
	_format.custom_minimum_size.x = LEAST_WIDTH * EditorInterface.get_editor_scale()
	_format.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_format.text_changed.connect(_on_format_changed)
	top.add_child(_format)
	var place := HBoxContainer.new()
	var label := Label.new()
	label.text = "from byte"
	place.add_child(label)
	_offset.offset_changed.connect(look_requested.emit)
	place.add_child(_offset)
	_extent.auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
	place.add_child(_extent)
	top.add_child(place)
	add_child(top)
	_note.autowrap_mode = TextServer.AUTOWRAP_WORD_SMART
	_note.auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
	add_child(_note)
	add_child(_table)


func _notification(what: int) -> void:
	if what == NOTIFICATION_THEME_CHANGED:
		var width := roundi(120 * EditorInterface.get_editor_scale())
		_table.set_titles(["Field", "Value"], [width, width], [1, 2])
		_table.column_titles_visible = false


## Is about this segment from now on.
func select(key: String) -> void:
	_key = key
	_offset.follow(key)
	_format.text = Remembered.recall_last(key, "format", "")


## Shows what is in the segment now.
func show_look(look: Look, _segment: Dictionary) -> void:
	var format := _format.text.strip_edges()
	var left := maxi(look.size - _offset.offset, 0)
	_measure(look, format)
	if format.is_empty():
		_show([], "", "Type the format of the struct that the other program writes.")
	elif not _mistake.is_empty():
		_show([], "", _mistake)
	elif _struct_size > LARGEST:
		_show(
			[],
			"",
			"The struct takes %d bytes. This panel shows up to %d." % [_struct_size, LARGEST]
		)
	elif _struct_size > left:
		var text := "The struct takes %d bytes, but the segment has only %d from byte %d on."
		_show([], "", text % [_struct_size, left, _offset.offset])
	else:
		var values: Variant = look.unpack(format, _offset.offset)
		var rows: Array[Array] = [] if values == null else ValueRows.new(values).rows
		_show(rows, "%d of %d bytes" % [_struct_size, left], look.problem)


## Shows why there is nothing to see.
func show_problem(problem: String) -> void:
	_show([], "", problem)


## Checks a format once, and not at each look.
func _measure(look: Look, format: String) -> void:
	if format != _measured:
		_measured = format
		_struct_size = look.size_of(format)
		_mistake = look.problem


func _show(rows: Array[Array], extent: String, problem: String) -> void:
	_table.show_rows(rows)
	_table.visible = problem.is_empty()
	_extent.text = extent
	_note.text = problem
	_note.visible = not problem.is_empty()
	var is_hint := _format.text.strip_edges().is_empty()
	var color := get_theme_color(&"font_color" if is_hint else &"warning_color", &"Editor")
	_note.add_theme_color_override(&"font_color", color)


func _on_format_changed(format: String) -> void:
	Remembered.remember(_key, "format", format)
	look_requested.emit()
