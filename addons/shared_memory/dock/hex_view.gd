@tool
extends Control
## Bytes in hexadecimal and as characters, for segments of any size.
##
## Only the bytes that are visible are read. Bytes that have changed are marked for a moment.

## Emitted when other bytes have become visible, or the cursor has moved.
signal moved

const Look := preload("look.gd")

const FADE_MSEC := 1500.0
const GROUP := 8
const MARGIN := 4.0

## The byte under the cursor.
var cursor := 0

var _size := 0
var _columns := 16
var _first := 0
var _bytes := PackedByteArray()
## The time of the last change of each visible byte, by its offset.
var _changed := {}
var _bar := VScrollBar.new()
var _font := FontVariation.new()
var _font_size := 14
var _cell := Vector2(8, 16)
var _digits := 4


func _init() -> void:
	focus_mode = Control.FOCUS_ALL
	clip_contents = true
	size_flags_vertical = Control.SIZE_EXPAND_FILL
	_bar.set_anchors_and_offsets_preset(Control.PRESET_RIGHT_WIDE)
	_bar.grow_horizontal = Control.GROW_DIRECTION_BEGIN
	_bar.step = 1
	_bar.value_changed.connect(_on_scrolled)
	add_child(_bar)
	resized.connect(_arrange)


func _notification(what: int) -> void:
	if what == NOTIFICATION_THEME_CHANGED:
		_font.base_font = get_theme_font(&"source", &"EditorFonts")
		# A ligature would join bytes that have nothing to do with each other.
		var server := TextServerManager.get_primary_interface()
		var off := {}
		for feature: String in ["calt", "liga", "clig", "dlig"]:
			off[server.name_to_tag(feature)] = 0
		_font.opentype_features = off
		_font_size = get_theme_font_size(&"source_size", &"EditorFonts")
		# The size of a text is rounded up, so one character would seem wider than it is.
		var row := _font.get_string_size("0".repeat(100), HORIZONTAL_ALIGNMENT_LEFT, -1, _font_size)
		_cell.x = row.x / 100
		_cell.y = ceilf(_font.get_height(_font_size)) + 2
		custom_minimum_size = Vector2(_cell.x * 20, _cell.y * 3)
		_arrange()


func _process(_delta: float) -> void:
	if _changed.is_empty():
		set_process(false)
	queue_redraw()


## Shows another segment from now on.
func start(at: int) -> void:
	_bytes = PackedByteArray()
	_changed = {}
	_size = 0
	cursor = at
	_bar.value = 0


## Takes the visible bytes from a segment.
func show_look(look: Look) -> void:
	if look.size != _size:
		var is_first_look := _size == 0
		_size = look.size
		cursor = clampi(cursor, 0, _size - 1)
		_arrange()
		if is_first_look:
			_show_cursor()
	var first := int(_bar.value) * _columns
	var bytes := look.read(first, _columns * _visible_rows())
	if first == _first and bytes == _bytes:
		return
	_mark_changes(first, bytes)
	_first = first
	_bytes = bytes
	queue_redraw()


## Shows this byte, and moves the cursor there.
func go_to(offset: int) -> void:
	cursor = clampi(offset, 0, maxi(_size - 1, 0))
	_show_cursor()
	queue_redraw()
	moved.emit()


## Returns the visible bytes from the cursor on.
func bytes_at_cursor() -> PackedByteArray:
	var at := cursor - _first
	return _bytes.slice(at) if at >= 0 and at < _bytes.size() else PackedByteArray()


func _mark_changes(first: int, bytes: PackedByteArray) -> void:
	var now := Time.get_ticks_msec()
	for offset: int in _changed.keys():
		if now - _changed[offset] > FADE_MSEC:
			_changed.erase(offset)
	for at in range(maxi(first, _first), mini(first + bytes.size(), _first + _bytes.size())):
		if bytes[at - first] != _bytes[at - _first]:
			_changed[at] = now
	set_process(not _changed.is_empty())


func _draw() -> void:
	if has_focus():
		draw_style_box(get_theme_stylebox(&"focus", &"Tree"), Rect2(Vector2.ZERO, size))
	var now := Time.get_ticks_msec()
	for row in ceili(_bytes.size() / float(_columns)):
		_draw_row(row, now)


func _draw_row(row: int, now: int) -> void:
	var start := row * _columns
	var top := MARGIN + row * _cell.y
	# Bytes that are zero are dim, so each kind has a text of its own, with gaps for the other.
	var hex := ["", ""]
	var characters := ["", ""]
	for column in mini(_columns, _bytes.size() - start):
		var byte := _bytes[start + column]
		var zero := int(byte == 0)
		if column > 0 and column % GROUP == 0:
			hex = [hex[0] + " ", hex[1] + " "]
		hex[zero] += "%02x " % byte
		hex[1 - zero] += "   "
		characters[zero] += char(byte) if byte >= 0x20 and byte < 0x7f else "·"
		characters[1 - zero] += " "
		_draw_mark(_first + start + column, column, top, now)
	var plain := get_theme_color(&"font_color", &"Editor")
	var dim := Color(plain, 0.4)
	var offset := "%0*x" % [_digits, _first + start]
	_draw_text(offset, MARGIN, top, Color(get_theme_color(&"accent_color", &"Editor"), 0.8))
	for kind in 2:
		_draw_text(hex[kind], _hex_x(0), top, dim if kind else plain)
		_draw_text(characters[kind], _character_x(0), top, dim if kind else plain)


func _draw_mark(offset: int, column: int, top: float, now: int) -> void:
	var areas: Array[Rect2] = [
		Rect2(_hex_x(column) - 2, top, 2 * _cell.x + 4, _cell.y),
		Rect2(_character_x(column), top, _cell.x, _cell.y),
	]
	if _changed.has(offset):
		var freshness := clampf(1.0 - (now - _changed[offset]) / FADE_MSEC, 0.0, 1.0)
		if freshness == 0.0:
			_changed.erase(offset)
		var mark := Color(get_theme_color(&"success_color", &"Editor"), 0.5 * freshness)
		for area in areas:
			draw_rect(area, mark)
	if offset == cursor:
		for area in areas:
			draw_rect(area, get_theme_color(&"accent_color", &"Editor"), false, 1.0)


func _draw_text(text: String, x: float, top: float, color: Color) -> void:
	var baseline := (
		top + (_cell.y + _font.get_ascent(_font_size) - _font.get_descent(_font_size)) / 2
	)
	var place := Vector2(x, baseline)
	draw_string(_font, place, text, HORIZONTAL_ALIGNMENT_LEFT, -1, _font_size, color)


func _gui_input(event: InputEvent) -> void:
	if event is InputEventMouseButton and event.pressed:
		_on_button(event)
		return
	var page := _columns * maxi(_visible_rows() - 1, 1)
	var steps := {
		&"ui_left": -1,
		&"ui_right": 1,
		&"ui_up": -_columns,
		&"ui_down": _columns,
		&"ui_page_up": -page,
		&"ui_page_down": page,
		&"ui_home": -cursor,
		&"ui_end": _size - 1 - cursor,
	}
	for action: StringName in steps:
		if event.is_action_pressed(action, true):
			go_to(cursor + steps[action])
			accept_event()
			return


func _on_button(event: InputEventMouseButton) -> void:
	match event.button_index:
		MOUSE_BUTTON_WHEEL_UP:
			_bar.value -= 3
		MOUSE_BUTTON_WHEEL_DOWN:
			_bar.value += 3
		MOUSE_BUTTON_LEFT:
			grab_focus()
			var offset := _offset_at(event.position)
			if offset >= 0:
				go_to(offset)
	accept_event()


func _offset_at(place: Vector2) -> int:
	var row := floori((place.y - MARGIN) / _cell.y)
	for column in _columns:
		var is_hex := (
			place.x >= _hex_x(column) - _cell.x / 2 and place.x < _hex_x(column) + _cell.x * 2.5
		)
		var is_character := floori((place.x - _character_x(0)) / _cell.x) == column
		if row >= 0 and (is_hex or is_character):
			var offset := row * _columns + column
			return _first + offset if offset < _bytes.size() else -1
	return -1


func _arrange() -> void:
	var first := int(_bar.value) * _columns
	_digits = maxi(4, ("%x" % maxi(_size - 1, 0)).length())
	_columns = 4
	for columns: int in [8, 16, 32]:
		_columns = columns if width_of(columns) <= size.x else _columns
	_bar.max_value = ceili(_size / float(_columns))
	_bar.page = _visible_rows()
	_bar.visible = _bar.max_value > _bar.page
	_bar.value = floori(first / float(_columns))
	queue_redraw()


func _show_cursor() -> void:
	var row := floori(cursor / float(_columns))
	_bar.value = clampi(int(_bar.value), row - _visible_rows() + 1, row)


func _visible_rows() -> int:
	return maxi(1, floori((size.y - 2 * MARGIN) / _cell.y))


func width_of(columns: int) -> float:
	var groups := ceili(columns / float(GROUP))
	return (_digits + 2 + columns * 4 + groups + 1) * _cell.x + 2 * MARGIN + _bar.size.x


func _hex_x(column: int) -> float:
	return MARGIN + (_digits + 2 + column * 3 + floori(column / float(GROUP))) * _cell.x


func _character_x(column: int) -> float:
	return _hex_x(_columns) + (1 + column) * _cell.x


func _on_scrolled(_value: float) -> void:
	moved.emit()
