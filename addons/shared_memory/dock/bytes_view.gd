@tool
extends VBoxContainer
## The tab with the bytes, and with the numbers that begin at the cursor.

## Emitted when other bytes are to be shown.
signal look_requested

const HexView := preload("hex_view.gd")
const Look := preload("look.gd")
const OffsetField := preload("offset_field.gd")

## The types, with their longest numbers, in the order of a grid with three columns.
const LONGEST := {
	"u8": "255",
	"i32": "-2147483648",
	"i64": "-9223372036854775808",
	"u16": "65535",
	"float": "-999999.9999",
	"double": "-9.9999999e-308",
}
## A smaller float is written with an exponent.
const SMALLEST := 1e-4
const GAP := 12
const PLACE_WIDTH := 110
## Of the editor's font for code.
const FONT_SIZE := 0.85

var _top := BoxContainer.new()
var _go_to := HBoxContainer.new()
var _offset := OffsetField.new()
var _place := Label.new()
var _hex := HexView.new()
## Takes any width, so that the panel can be made narrower.
var _scroll := ScrollContainer.new()
var _margin := MarginContainer.new()
var _grid := GridContainer.new()
## A label for each type.
var _numbers := {}


func _init() -> void:
	name = "Bytes"
	var label := Label.new()
	label.text = "Go to"
	_go_to.add_child(label)
	_offset.offset_changed.connect(func() -> void: _hex.go_to(_offset.offset))
	_go_to.add_child(_offset)
	_place.text_overrun_behavior = TextServer.OVERRUN_TRIM_ELLIPSIS
	_place.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_place.auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
	_place.mouse_filter = Control.MOUSE_FILTER_PASS
	_go_to.add_child(_place)
	_top.add_child(_go_to)
	for type: String in LONGEST:
		_numbers[type] = Label.new()
		_numbers[type].auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
		_grid.add_child(_numbers[type])
	_margin.add_child(_grid)
	_scroll.horizontal_scroll_mode = ScrollContainer.SCROLL_MODE_SHOW_NEVER
	_scroll.vertical_scroll_mode = ScrollContainer.SCROLL_MODE_DISABLED
	_scroll.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_scroll.add_child(_margin)
	_top.add_child(_scroll)
	add_child(_top)
	_hex.moved.connect(_on_moved)
	add_child(_hex)
	resized.connect(_arrange)


func _notification(what: int) -> void:
	if what == NOTIFICATION_THEME_CHANGED:
		var font := get_theme_font(&"source", &"EditorFonts")
		var font_size := roundi(get_theme_font_size(&"source_size", &"EditorFonts") * FONT_SIZE)
		for type: String in LONGEST:
			var number: Label = _numbers[type]
			number.add_theme_font_override(&"font", font)
			number.add_theme_font_size_override(&"font_size", font_size)
			number.add_theme_stylebox_override(&"normal", StyleBoxEmpty.new())
			# A number that gets longer moves nothing.
			var text := "%s %s" % [type, LONGEST[type]]
			var needed := font.get_string_size(text, HORIZONTAL_ALIGNMENT_LEFT, -1, font_size)
			number.custom_minimum_size.x = ceilf(needed.x)
		var gap := roundi(GAP * EditorInterface.get_editor_scale())
		_grid.add_theme_constant_override(&"h_separation", gap)
		_grid.add_theme_constant_override(&"v_separation", 0)
		# As the bytes below.
		_margin.add_theme_constant_override(&"margin_left", roundi(HexView.MARGIN))
		_place.custom_minimum_size.x = PLACE_WIDTH * EditorInterface.get_editor_scale()
		_arrange()


## Is about this segment from now on.
func select(key: String) -> void:
	_offset.follow(key)
	_hex.start(_offset.offset)


## Shows what is in the segment now.
func show_look(look: Look, _segment: Dictionary) -> void:
	_hex.show_look(look)
	_show_numbers()


## Shows why there is nothing to see.
func show_problem(problem: String) -> void:
	_place.text = problem
	_place.tooltip_text = problem
	for type: String in LONGEST:
		_numbers[type].text = ""


func _show_numbers() -> void:
	var bytes := _hex.bytes_at_cursor()
	var texts := {}
	if bytes.size() >= 1:
		texts["u8"] = str(bytes[0])
	if bytes.size() >= 2:
		texts["u16"] = str(bytes.decode_u16(0))
	if bytes.size() >= 4:
		texts["i32"] = str(bytes.decode_s32(0))
		texts["float"] = _decimal(bytes.decode_float(0), 4)
	if bytes.size() >= 8:
		texts["i64"] = str(bytes.decode_s64(0))
		texts["double"] = _decimal(bytes.decode_double(0), 6)
	for type: String in LONGEST:
		_numbers[type].text = "%s %s" % [type, texts[type]] if texts.has(type) else ""
	_place.text = "byte %d (0x%x)" % [_hex.cursor, _hex.cursor]
	_place.tooltip_text = _place.text


static func _decimal(number: float, digits: int) -> String:
	var amount := absf(number)
	if number == 0 or not is_finite(number):
		return str(number)
	if amount >= SMALLEST and amount < pow(10, digits + 2):
		return String.num(number, digits)
	var parts := String.num_scientific(number).split("e")
	parts[0] = parts[0].left(digits + 3)
	return "e".join(parts)


## The numbers are beside the field if there is room for three columns. Below it, they take as many
## as there is room for.
func _arrange() -> void:
	var beside := _go_to.get_combined_minimum_size().x + _top.get_theme_constant(&"separation")
	for columns: int in [3, 2, 1]:
		_grid.columns = columns
		var needed := _margin.get_combined_minimum_size().x
		_top.vertical = columns < 3 or size.x < beside + needed
		if needed <= size.x:
			return


func _on_moved() -> void:
	_show_numbers()
	look_requested.emit()
