extends Control
## A round instrument.

const START := deg_to_rad(135)
const SWEEP := deg_to_rad(270)
const WIDTH := 14.0
const TRACK_COLOR := Color("3b4351")
const RED_TRACK_COLOR := Color("66444a")
const TICK_COLOR := Color("9eaabb")
const TEXT_COLOR := Color("eceff4")
const ARC_COLOR := Color("6fb5e8")
const RED_COLOR := Color("ff8a80")

@export var unit := ""
@export var maximum := 100.0
@export var step := 20.0
## The start of the red range.
@export var red_from := 100.0
## The numbers at the marks are divided by this, to be short.
@export var divisor := 1.0

var value := 0.0:
	set(new_value):
		value = clampf(new_value, 0.0, maximum)
		queue_redraw()


func _draw() -> void:
	var center := Vector2(size.x / 2, size.y * 0.54)
	var radius := minf(size.x, size.y) / 2 - WIDTH / 2
	_draw_arc(center, radius, 0.0, red_from, TRACK_COLOR)
	_draw_arc(center, radius, red_from, maximum, RED_TRACK_COLOR)
	_draw_arc(center, radius, 0.0, value, ARC_COLOR if value < red_from else RED_COLOR)
	var needle := Vector2.from_angle(_angle(value))
	var tip := center + needle * (radius + WIDTH / 2)
	draw_line(center + needle * (radius - WIDTH), tip, TEXT_COLOR, 4.0, true)
	for mark in int(maximum / step) + 1:
		var at := center + Vector2.from_angle(_angle(mark * step)) * (radius - WIDTH - 17)
		_draw_text(at, String.num(mark * step / divisor, 0), 15, TICK_COLOR)
	_draw_text(center, String.num(value, 0), 52, TEXT_COLOR)
	_draw_text(center + Vector2(0, radius * 0.38), unit, 16, TICK_COLOR)


func _draw_arc(center: Vector2, radius: float, from: float, to: float, color: Color) -> void:
	draw_arc(center, radius, _angle(from), _angle(to), 96, color, WIDTH, true)


func _angle(of_value: float) -> float:
	return START + SWEEP * of_value / maximum


func _draw_text(at: Vector2, text: String, font_size: int, color: Color) -> void:
	var font := get_theme_default_font()
	var width := font.get_string_size(text, HORIZONTAL_ALIGNMENT_LEFT, -1, font_size).x
	var place := at + Vector2(-width / 2, font.get_ascent(font_size) * 0.36)
	draw_string(font, place, text, HORIZONTAL_ALIGNMENT_LEFT, -1, font_size, color)
