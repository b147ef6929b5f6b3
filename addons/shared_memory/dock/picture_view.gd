@tool
extends VBoxContainer
## The tab with an image.
##
## In a stream or queue, it is that of the message. Otherwise, the bytes are an image whose size and
## format the user gives.

## Emitted when another image is to be shown.
signal look_requested

const Look := preload("look.gd")
const OffsetField := preload("offset_field.gd")
const Picture := preload("picture.gd")
const Remembered := preload("remembered.gd")

## The layouts with messages, and the message that is shown.
const MESSAGES := {"latest": "The newest message", "lanes": "The next message of the queue"}
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
var _settings := HFlowContainer.new()
var _bytes_note := Label.new()
var _width := SpinBox.new()
var _height := SpinBox.new()
var _format := OptionButton.new()
var _offset := OffsetField.new()
var _stride := SpinBox.new()
var _note := Label.new()
var _picture := Picture.new()
var _is_recalling := false


func _init() -> void:
	name = "Image"
	_add_number(_width, "", 1, "Pixels in a row.")
	_add_number(_height, "×", 1, "Rows.")
	for format: String in FORMATS:
		_format.add_item(format)
	_format.item_selected.connect(func(_index: int) -> void: _on_changed())
	_settings.add_child(_format)
	_add_label("from byte")
	_offset.offset_changed.connect(look_requested.emit)
	_settings.add_child(_offset)
	var tip := "Bytes from one row to the next. 0: the rows follow each other without gaps."
	_add_number(_stride, "stride", 0, tip)
	_stride.max_value = LONGEST_SIDE * 16
	_settings.add_child(_bytes_note)
	add_child(_settings)
	_note.autowrap_mode = TextServer.AUTOWRAP_WORD_SMART
	_note.auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
	add_child(_note)
	add_child(_picture)


## Is about this segment from now on.
func select(key: String) -> void:
	_key = key
	_picture.show_nothing()
	_tell("", "")
	_offset.follow(key)
	_is_recalling = true
	_width.value = Remembered.recall_last(key, "width", 320)
	_height.value = Remembered.recall_last(key, "height", 240)
	_stride.value = Remembered.recall_last(key, "stride", 0)
	_format.select(clampi(Remembered.recall_last(key, "pixels", 3), 0, FORMATS.size() - 1))
	_is_recalling = false


## Shows what is in the segment now.
func show_look(look: Look, segment: Dictionary) -> void:
	var layout: String = segment.get("layout", "")
	_settings.visible = not MESSAGES.has(layout)
	if MESSAGES.has(layout):
		_show_message(look, layout)
	else:
		_show_bytes(look)


## Shows why there is nothing to see.
func show_problem(problem: String) -> void:
	_picture.show_nothing()
	_tell(problem, "")


func _show_message(look: Look, layout: String) -> void:
	var value: Variant = look.read_message(layout)
	if value is Image:
		_tell(Picture.text_of(value), "")
		_picture.show_image(value)
	elif value != null:
		var type := type_string(typeof(value))
		show_problem(
			"%s is not an image. It is of type %s: see the tab Message." % [MESSAGES[layout], type]
		)
	# While the writer is busy, the image that is shown stays.
	elif look.error != ERR_BUSY or _picture.texture == null:
		var is_absent := look.error == ERR_DOES_NOT_EXIST
		show_problem("There is no message." if is_absent else look.problem)


func _show_bytes(look: Look) -> void:
	var columns := int(_width.value)
	var rows := int(_height.value)
	var format := _format.get_item_text(_format.selected)
	var pixel: int = FORMATS[format][1]
	var stride := int(_stride.value) if _stride.value > 0 else columns * pixel
	var needed := stride * (rows - 1) + columns * pixel
	var left := maxi(look.size - _offset.offset, 0)
	if columns * rows > MOST_PIXELS:
		show_problem("This panel shows at most %d pixels." % MOST_PIXELS)
	elif stride < columns * pixel:
		show_problem("A row takes %d bytes, so the stride can't be less." % (columns * pixel))
	elif needed > left:
		var text := "The image takes %d bytes, but the segment has only %d from byte %d on."
		show_problem(text % [needed, left, _offset.offset])
	else:
		var image := Image.create_empty(columns, rows, false, FORMATS[format][0])
		if look.read_image(image, _offset.offset, 0 if _stride.value == 0 else stride) != OK:
			show_problem(look.problem)
			return
		_picture.show_image(image, format.begins_with("BGR"))
		_tell("", "%d of %d bytes" % [needed, left])


## Shows a text in a row of its own, or a short one behind the settings.
func _tell(text: String, short_text: String) -> void:
	_note.text = text
	_note.visible = not text.is_empty()
	_bytes_note.text = short_text


func _add_number(box: SpinBox, text: String, least: int, tip: String) -> void:
	if not text.is_empty():
		_add_label(text)
	box.min_value = least
	box.max_value = LONGEST_SIDE
	box.tooltip_text = tip
	box.value_changed.connect(func(_value: float) -> void: _on_changed())
	_settings.add_child(box)


func _add_label(text: String) -> void:
	var label := Label.new()
	label.text = text
	_settings.add_child(label)


func _on_changed() -> void:
	if _is_recalling:
		return
	Remembered.remember(_key, "width", int(_width.value))
	Remembered.remember(_key, "height", int(_height.value))
	Remembered.remember(_key, "stride", int(_stride.value))
	Remembered.remember(_key, "pixels", _format.selected)
	look_requested.emit()
