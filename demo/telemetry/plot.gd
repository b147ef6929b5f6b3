extends Control
## The last seconds of three values, as lines.

const SECONDS := 8.0
const MAXIMUM := 240.0
const STEP := 40.0
const LEFT := 40.0
const TEXT_SIZE := 14
const GRID_COLOR := Color("3f4653")
const TEXT_COLOR := Color("9eaabb")
const NAMES: Array[String] = ["speed, km/h", "throttle, %", "brake, %"]
const COLORS: Array[Color] = [Color("6fb5e8"), Color("7fd08f"), Color("ff8a80")]

var _times := PackedFloat64Array()
var _values: Array[PackedFloat32Array] = [[], [], []]


## Adds one value per line.
func add(time: float, values: Array) -> void:
	if not _times.is_empty() and time < _times[-1]:
		# The time starts again with another simulator.
		_drop(_times.size())
	_times.append(time)
	for index in _values.size():
		_values[index].append(values[index])
	# The newest of the older points stays, so that the line begins at the left edge.
	_drop(maxi(0, _times.bsearch(time - SECONDS) - 1))
	queue_redraw()


func _drop(count: int) -> void:
	_times = _times.slice(count)
	for index in _values.size():
		_values[index] = _values[index].slice(count)


func _draw() -> void:
	var font := get_theme_default_font()
	var place := Vector2(LEFT, font.get_ascent(TEXT_SIZE))
	for index in NAMES.size():
		draw_string(
			font, place, NAMES[index], HORIZONTAL_ALIGNMENT_LEFT, -1, TEXT_SIZE, COLORS[index]
		)
		place.x += 120.0
	draw_string(
		font,
		Vector2(0, place.y),
		"the last %.0f seconds" % SECONDS,
		HORIZONTAL_ALIGNMENT_RIGHT,
		size.x,
		TEXT_SIZE,
		TEXT_COLOR
	)
	for mark in int(MAXIMUM / STEP) + 1:
		var y := _y(mark * STEP)
		draw_line(Vector2(LEFT, y), Vector2(size.x, y), GRID_COLOR)
		var label := Vector2(0, y + 5)
		var text := String.num(mark * STEP, 0)
		draw_string(font, label, text, HORIZONTAL_ALIGNMENT_RIGHT, LEFT - 10, 13, TEXT_COLOR)
	for index in NAMES.size():
		_draw_line(_values[index], COLORS[index])


func _draw_line(values: PackedFloat32Array, color: Color) -> void:
	if values.size() < 2:
		return
	var points := PackedVector2Array()
	for index in values.size():
		var ago := minf(_times[-1] - _times[index], SECONDS)
		points.append(Vector2(lerpf(size.x, LEFT, ago / SECONDS), _y(values[index])))
	draw_polyline(points, color, 2.0, true)


func _y(value: float) -> float:
	return lerpf(size.y - 6.0, 34.0, value / MAXIMUM)
