extends Control
## A bar from zero to a value, with a title.

const HEIGHT := 12.0
const TEXT_SIZE := 14
const TRACK_COLOR := Color("3b4351")
const TEXT_COLOR := Color("9eaabb")

@export var title := ""
@export var minimum := 0.0
@export var color := Color("6fb5e8")

var value := 0.0:
	set(new_value):
		value = clampf(new_value, minimum, 1.0)
		queue_redraw()


func _draw() -> void:
	var font := get_theme_default_font()
	var baseline := Vector2(0, font.get_ascent(TEXT_SIZE))
	var percent := "%d %%" % roundi(value * 100.0)
	draw_string(font, baseline, title, HORIZONTAL_ALIGNMENT_LEFT, -1, TEXT_SIZE, TEXT_COLOR)
	draw_string(font, baseline, percent, HORIZONTAL_ALIGNMENT_RIGHT, size.x, TEXT_SIZE, TEXT_COLOR)
	var top := size.y - HEIGHT
	draw_rect(Rect2(0, top, size.x, HEIGHT), TRACK_COLOR)
	draw_rect(Rect2(_x(0.0), top, _x(value) - _x(0.0), HEIGHT).abs(), color)


func _x(of_value: float) -> float:
	return size.x * (of_value - minimum) / (1.0 - minimum)
