extends Control
## The last seconds of several values, as lines.

const SECONDS := 8.0
const MAXIMUM := 250.0
const BACK_COLOR := Color("2b303a")
const GRID_COLOR := Color("3f4653")
const NAMES: Array[String] = ["speed, km/h", "throttle, %", "brake, %"]
const COLORS: Array[Color] = [Color("6fb5e8"), Color("7fd08f"), Color("ff8a80")]

var _times := PackedFloat64Array()
var _values: Array[PackedFloat32Array] = [[], [], []]


## One value a line.
func add(time: float, values: Array) -> void:
	if not _times.is_empty() and time < _times[-1]:
		# Another simulator.
		_drop(_times.size())
	_times.append(time)
	for index in _values.size():
		_values[index].append(values[index])
	_drop(_times.bsearch(time - SECONDS))
	queue_redraw()


func _drop(count: int) -> void:
	_times = _times.slice(count)
	for index in _values.size():
		_values[index] = _values[index].slice(count)


func _draw() -> void:
	draw_rect(Rect2(Vector2.ZERO, size), BACK_COLOR)
	var font := get_theme_default_font()
	for level: float in [50.0, 100.0, 150.0, 200.0]:
		var y := _y(level)
		draw_line(Vector2(0, y), Vector2(size.x, y), GRID_COLOR)
		draw_string(
			font,
			Vector2(6, y - 3),
			String.num(level, 0),
			HORIZONTAL_ALIGNMENT_LEFT,
			-1,
			12,
			GRID_COLOR.lightened(0.4)
		)
	for index in NAMES.size():
		var place := Vector2(size.x - 130, 22 + 18 * index)
		draw_string(font, place, NAMES[index], HORIZONTAL_ALIGNMENT_LEFT, -1, 14, COLORS[index])
		_draw_line(_values[index], COLORS[index])


func _draw_line(values: PackedFloat32Array, color: Color) -> void:
	if values.size() < 2:
		return
	var points := PackedVector2Array()
	for index in values.size():
		var ago := _times[-1] - _times[index]
		points.append(Vector2(size.x * (1.0 - ago / SECONDS), _y(values[index])))
	draw_polyline(points, color, 2.0, true)


func _y(value: float) -> float:
	return size.y * (1.0 - value / MAXIMUM)
