extends "res://auto.gd"
## Ends the demo once Python has computed [constant ENOUGH] steps.

const Water := preload("res://water/water.gd")

const ENOUGH := 60

@onready var _water: Water = get_parent()


func _step() -> void:
	if _water.steps >= ENOUGH:
		var heights := _water.heights.duplicate()
		heights.sort()
		print("Godot shows step %d from %.2f to %.2f" % [_water.steps, heights[0], heights[-1]])
		finish()


func _progress() -> String:
	return "%d steps" % _water.steps
