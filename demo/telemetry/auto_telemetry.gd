extends "res://auto.gd"
## Prints the state whenever it changes, and what the instruments show after some records.

const Telemetry := preload("res://telemetry/telemetry.gd")

const ENOUGH := 120

@onready var _telemetry: Telemetry = get_parent()


func _begin() -> void:
	_telemetry.state_changed.connect(_print_state)


func _step() -> void:
	if _telemetry.records < ENOUGH:
		return
	print("Godot shows ", _telemetry.describe())
	# The other numbers change all the time. This one is always the same.
	var place := Vector2(_telemetry.record[Telemetry.Field.X], _telemetry.record[Telemetry.Field.Y])
	if absf(place.length() - 100.0) < 0.1:
		finish()
	else:
		finish("The car is at %s, not on a course with a radius of 100 m" % place)


func _progress() -> String:
	return "only %d records" % _telemetry.records


func _print_state() -> void:
	print("Godot says: ", Telemetry.TEXTS[_telemetry.state])
