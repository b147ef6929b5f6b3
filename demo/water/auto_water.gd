extends "res://auto.gd"
## Ends the demo once Python has computed [constant ENOUGH] steps.

const Water := preload("res://water/water.gd")

const ENOUGH := 60

@onready var _water: Water = get_parent()


func _step() -> void:
	if _water.steps >= ENOUGH:
		print("Godot shows step %d" % _water.steps)
		finish()


func _progress() -> String:
	return "%d steps" % _water.steps
