extends Control
## The returns of all generations so far: their mean as a line, the best and the worst as a band.

const LEFT := 40.0
const TOP := 30.0
const BOTTOM := 22.0
const TEXT_SIZE := 14
## More generations than these are not shown.
const MOST := 400
const LINE_COLOR := Color("5fe08a")
const BAND_COLOR := Color(0.37, 0.88, 0.54, 0.18)
const GRID_COLOR := Color("3f4653")
const TEXT_COLOR := Color("9eaabb")
const SOLVED_COLOR := Color("f0c060")

## The return of a perfect episode.
@export var maximum := 200.0
@export var step := 50.0

var _means := PackedFloat32Array()
var _lows := PackedFloat32Array()
var _highs := PackedFloat32Array()
var _solved := 0.0


## Shows what demo/rl/plot.py has published. Any program may publish something else there, so parts
## of another type count as missing.
func show_progress(progress: Dictionary) -> void:
	_means = _numbers_of(progress, "means")
	_lows = _numbers_of(progress, "lows")
	_highs = _numbers_of(progress, "highs")
	var solved: Variant = progress.get("solved")
	_solved = solved if solved is float else 0.0
	queue_redraw()


func _draw() -> void:
	var font := get_theme_default_font()
	_write(font, Vector2(0, font.get_ascent(TEXT_SIZE)), "return of an episode", TEXT_COLOR)
	for mark in int(maximum / step) + 1:
		var y := _y(mark * step)
		draw_line(Vector2(LEFT, y), Vector2(size.x, y), GRID_COLOR)
		_write(font, Vector2(0, y + 5.0), "%3.0f" % (mark * step), TEXT_COLOR)
	var count := mini(_means.size(), mini(_lows.size(), _highs.size()))
	var end := Vector2(size.x - 110.0, size.y - 4.0)
	_write(font, end, "%d generations" % count, TEXT_COLOR)
	if _solved > 0.0:
		draw_dashed_line(
			Vector2(LEFT, _y(_solved)), Vector2(size.x, _y(_solved)), SOLVED_COLOR, 1.5
		)
		_write(font, Vector2(LEFT + 6.0, _y(_solved) - 5.0), "solved", SOLVED_COLOR)
	if count < 2:
		return
	var line := PackedVector2Array()
	for index in count:
		var x := lerpf(LEFT, size.x, float(index) / (count - 1))
		line.append(Vector2(x, _y(_means[index])))
		if index > 0:
			var before := lerpf(LEFT, size.x, float(index - 1) / (count - 1))
			var corners := PackedVector2Array(
				[
					Vector2(before, _y(_lows[index - 1])),
					Vector2(before, _y(_highs[index - 1])),
					Vector2(x, _y(_highs[index])),
					Vector2(x, _y(_lows[index])),
				]
			)
			draw_primitive(corners, PackedColorArray([BAND_COLOR]), PackedVector2Array())
	draw_polyline(line, LINE_COLOR, 2.0, true)


static func _numbers_of(progress: Dictionary, key: String) -> PackedFloat32Array:
	var numbers: Variant = progress.get(key)
	if numbers is PackedFloat32Array:
		return numbers.slice(-MOST)
	return PackedFloat32Array()


func _write(font: Font, place: Vector2, text: String, color: Color) -> void:
	draw_string(font, place, text, HORIZONTAL_ALIGNMENT_LEFT, -1, TEXT_SIZE, color)


func _y(value: float) -> float:
	var part := clampf(value / maximum, 0.0, 1.0) if is_finite(value) else 0.0
	return lerpf(size.y - BOTTOM, TOP, part)
