extends Control
## Shows bytes as a hex dump. Folds rows of zeros, and highlights bytes that have just changed.

const COLUMNS := 16
const GROUP := 8
const FADE_SECONDS := 1.5
const FONT_SIZE := 13
const MARGIN := 4.0

const OFFSET_COLOR := Color("6c7585")
const ZERO_COLOR := Color("4d5563")
const BYTE_COLOR := Color("d8dee9")
const CHANGED_COLOR := Color("56c288", 0.45)

## The colours of ranges of bytes. A key is the offset of the first byte with this colour.
var range_colors: Dictionary = {}:
	set(value):
		range_colors = value
		queue_redraw()

var _bytes := PackedByteArray()
## The time of the last change of each byte, in seconds.
var _changed_at := PackedFloat64Array()
## The offset of each row. -1 stands for any number of rows of zeros.
var _rows := PackedInt32Array()
var _font := SystemFont.new()
var _cell := Vector2.ZERO
var _fading := false


func _ready() -> void:
	_font.font_names = ["Cascadia Mono", "Consolas", "Menlo", "DejaVu Sans Mono", "monospace"]
	# Each character is drawn into a cell of its own, so the font need not be monospaced.
	_cell.x = ceilf(_font.get_string_size("0", HORIZONTAL_ALIGNMENT_LEFT, -1, FONT_SIZE).x)
	_cell.y = ceilf(_font.get_height(FONT_SIZE)) + 3.0
	_fold()


func _process(_delta: float) -> void:
	if _fading:
		queue_redraw()


## Shows these bytes from now on.
func show_bytes(bytes: PackedByteArray) -> void:
	if bytes == _bytes:
		return
	var now := Time.get_ticks_msec() / 1000.0
	var same_memory := bytes.size() == _bytes.size()
	_changed_at.resize(bytes.size())
	for index in bytes.size():
		if not same_memory:
			_changed_at[index] = -FADE_SECONDS
		elif bytes[index] != _bytes[index]:
			_changed_at[index] = now
	_bytes = bytes
	_fading = same_memory
	_fold()
	queue_redraw()


func _fold() -> void:
	_rows.clear()
	var zeros := PackedByteArray()
	zeros.resize(COLUMNS)
	zeros.fill(0)
	for offset in range(0, _bytes.size(), COLUMNS):
		if offset == 0 or _bytes.slice(offset, offset + COLUMNS) != zeros:
			_rows.append(offset)
		elif _rows[-1] != -1:
			_rows.append(-1)
	custom_minimum_size = Vector2(_text_x(COLUMNS) + MARGIN, _rows.size() * _cell.y + 2 * MARGIN)


func _draw() -> void:
	_fading = false
	var now := Time.get_ticks_msec() / 1000.0
	for row in _rows.size():
		var top := MARGIN + row * _cell.y
		if _rows[row] == -1:
			_draw_word("····", MARGIN, top, ZERO_COLOR)
			continue
		_draw_word("%04X" % _rows[row], MARGIN, top, OFFSET_COLOR)
		for column in mini(COLUMNS, _bytes.size() - _rows[row]):
			_draw_byte(_rows[row] + column, column, top, now)


func _draw_byte(offset: int, column: int, top: float, now: float) -> void:
	var byte := _bytes[offset]
	var freshness := clampf(1.0 - (now - _changed_at[offset]) / FADE_SECONDS, 0.0, 1.0)
	if freshness > 0.0:
		_fading = true
		var light := Color(CHANGED_COLOR, CHANGED_COLOR.a * freshness)
		draw_rect(Rect2(_hex_x(column) - 2.0, top, 2.0 * _cell.x + 4.0, _cell.y), light)
		draw_rect(Rect2(_text_x(column), top, _cell.x, _cell.y), light)
	var color := ZERO_COLOR if byte == 0 else _range_color(offset)
	var printable := byte >= 0x20 and byte < 0x7F
	_draw_word("%02X" % byte, _hex_x(column), top, color)
	_draw_word(char(byte) if printable else "·", _text_x(column), top, color)


func _draw_word(word: String, x: float, top: float, color: Color) -> void:
	var baseline := top + (_cell.y + _font.get_ascent(FONT_SIZE) - _font.get_descent(FONT_SIZE)) / 2
	for index in word.length():
		var place := Vector2(x + index * _cell.x, baseline)
		draw_string(
			_font, place, word[index], HORIZONTAL_ALIGNMENT_CENTER, _cell.x, FONT_SIZE, color
		)


func _range_color(offset: int) -> Color:
	var color := BYTE_COLOR
	for first: int in range_colors:
		if first > offset:
			break
		color = range_colors[first]
	return color


func _hex_x(column: int) -> float:
	var group_gap := _cell.x if column >= GROUP else 0.0
	return MARGIN + 6.0 * _cell.x + column * 3.0 * _cell.x + group_gap


func _text_x(column: int) -> float:
	return _hex_x(COLUMNS) + _cell.x + column * _cell.x
