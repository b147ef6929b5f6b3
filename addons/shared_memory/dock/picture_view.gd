@tool
extends VBoxContainer
## The tab with the bytes as a picture, whose size and format the user gives.

## Emitted when another picture is to be shown.
signal look_requested

const Look := preload("look.gd")
const OffsetField := preload("offset_field.gd")
const Picture := preload("picture.gd")
const Remembered := preload("remembered.gd")

const MOST_PIXELS := 1 << 24
const LONGEST_SIDE := 16384
## The formats, and the bytes of a pixel in each.
const FORMATS := {
	"L8": [Image.FORMAT_L8, 1],
	"LA8": [Image.FORMAT_LA8, 2],
	"RGB8": [Image.FORMAT_RGB8, 3],
	"RGBA8": [Image.FORMAT_RGBA8, 4],
	"BGR8": [Image.FORMAT_RGB8, 3],
	"BGRA8": [Image.FORMAT_RGBA8, 4],
	"RF": [Image.FORMAT_RF, 4],
	"RGBAF": [Image.FORMAT_RGBAF, 16],
}

var _key := ""
var _width := SpinBox.new()
var _height := SpinBox.new()
var _format := OptionButton.new()
var _offset := OffsetField.new()
var _stride := SpinBox.new()
var _note := Label.new()
var _picture := Picture.new()
var _is_recalling := false


func _init() -> void:
	name = "Picture"
	var top := HFlowContainer.new()
	_add_number(top, _width, "", 1, "Pixels in a row.")
	_add_number(top, _height, "×", 1, "Rows.")
	for format: String in FORMATS:
		_format.add_item(format)
	_format.item_selected.connect(func(_index: int) -> void: _on_changed())
	top.add_child(_format)
	_add_label(top, "from byte")
	_offset.offset_changed.connect(look_requested.emit)
	top.add_child(_offset)
	var tip := "Bytes from one row to the next. 0: the rows follow each other without gaps."
	_add_number(top, _stride, "stride", 0, tip)
	_stride.max_value = LONGEST_SIDE * 16
	add_child(top)
	_note.text_overrun_behavior = TextServer.OVERRUN_TRIM_ELLIPSIS
	_note.mouse_filter = Control.MOUSE_FILTER_PASS
	add_child(_note)
	add_child(_picture)


## Is about this segment from now on.
func select(key: String) -> void:
	_key = key
	_offset.follow(key)
	_is_recalling = true
	_width.value = Remembered.recall_last(key, "width", 320)
	_height.value = Remembered.recall_last(key, "height", 240)
	_stride.value = Remembered.recall_last(key, "stride", 0)
	_format.select(clampi(Remembered.recall_last(key, "pixels", 3), 0, FORMATS.size() - 1))
	_is_recalling = false


## Shows what is in the segment now.
func show_look(look: Look, _segment: Dictionary) -> void:
	var columns := int(_width.value)
	var rows := int(_height.value)
	var layout := _format.get_item_text(_format.selected)
	var pixel: int = FORMATS[layout][1]
	var stride := int(_stride.value) if _stride.value > 0 else columns * pixel
	var needed := stride * (rows - 1) + columns * pixel
	var left := maxi(look.size - _offset.offset, 0)
	if columns * rows > MOST_PIXELS:
		show_problem("This panel shows at most %d pixels." % MOST_PIXELS)
	elif stride < columns * pixel:
		show_problem("A row takes %d bytes, so the stride can't be less." % (columns * pixel))
	elif needed > left:
		var text := "The picture takes %d bytes, but the segment has only %d from byte %d on."
		show_problem(text % [needed, left, _offset.offset])
	else:
		var image := Image.create_empty(columns, rows, false, FORMATS[layout][0])
		if look.read_image(image, _offset.offset, 0 if _stride.value == 0 else stride) != OK:
			show_problem(look.problem)
			return
		_picture.show_image(image, layout.begins_with("BGR"))
		_note.text = "%d of %d bytes" % [needed, left]
		_note.tooltip_text = ""


## Shows why there is nothing to see.
func show_problem(problem: String) -> void:
	_picture.show_nothing()
	_note.text = problem
	_note.tooltip_text = problem


func _add_number(top: Control, box: SpinBox, text: String, least: int, tip: String) -> void:
	if not text.is_empty():
		_add_label(top, text)
	box.min_value = least
	box.max_value = LONGEST_SIDE
	box.tooltip_text = tip
	box.value_changed.connect(func(_value: float) -> void: _on_changed())
	top.add_child(box)


func _add_label(top: Control, text: String) -> void:
	var label := Label.new()
	label.text = text
	top.add_child(label)


func _on_changed() -> void:
	if _is_recalling:
		return
	Remembered.remember(_key, "width", int(_width.value))
	Remembered.remember(_key, "height", int(_height.value))
	Remembered.remember(_key, "stride", int(_stride.value))
	Remembered.remember(_key, "pixels", _format.selected)
	look_requested.emit()
