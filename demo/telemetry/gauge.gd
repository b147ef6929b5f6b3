extends Control
## A round instrument with a needle.

const START := deg_to_rad(135)
const SWEEP := deg_to_rad(270)
const FACE_COLOR := Color("2b303a")
const TICK_COLOR := Color("8c97a8")
const TEXT_COLOR := Color("d8dee9")
const NEEDLE_COLOR := Color("ff8a80")
const ARC_COLOR := Color("6fb5e8")

@export var title := ""
@export var maximum := 100.0
@export var step := 20.0

var value := 0.0:
	set(new_value):
		value = clampf(new_value, 0.0, maximum)
		queue_redraw()


func _draw() -> void:
	var center := size / 2
	var radius := minf(size.x, size.y) / 2 - 4.0
	var font := get_theme_default_font()
	draw_circle(center, radius, FACE_COLOR)
	draw_arc(center, radius - 5, START, START + SWEEP, 64, TICK_COLOR, 2.0, true)
	draw_arc(center, radius - 5, START, _angle(value), 64, ARC_COLOR, 6.0, true)
	for mark in int(maximum / step) + 1:
		var direction := Vector2.from_angle(_angle(mark * step))
		draw_line(
			center + direction * (radius - 18),
			center + direction * (radius - 8),
			TICK_COLOR,
			2.0,
			true
		)
		_draw_text(
			font, center + direction * (radius - 32), String.num(mark * step, 0), 13, TICK_COLOR
		)
	_draw_text(font, center + Vector2(0, radius * 0.45), String.num(value, 0), 30, TEXT_COLOR)
	_draw_text(font, center + Vector2(0, radius * 0.72), title, 14, TICK_COLOR)
	var needle := Vector2.from_angle(_angle(value))
	draw_line(center - needle * 12, center + needle * (radius - 24), NEEDLE_COLOR, 3.0, true)
	draw_circle(center, 7.0, NEEDLE_COLOR)


func _angle(of_value: float) -> float:
	return START + SWEEP * of_value / maximum


func _draw_text(font: Font, at: Vector2, text: String, font_size: int, color: Color) -> void:
	var extent := font.get_string_size(text, HORIZONTAL_ALIGNMENT_LEFT, -1, font_size)
	var place := at + Vector2(-extent.x / 2, extent.y / 4)
	draw_string(font, place, text, HORIZONTAL_ALIGNMENT_LEFT, -1, font_size, color)
