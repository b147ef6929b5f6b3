extends "res://auto.gd"
## Ends after some seconds of play, whoever plays. It is for pictures.

## In physics steps.
const ENOUGH := 100

var _steps := 0


func _physics_process(_delta: float) -> void:
	# The tree is paused while a program thinks.
	if not get_tree().paused:
		_steps += 1


func _step() -> void:
	if _steps >= ENOUGH:
		finish()


func _progress() -> String:
	return "only %d physics steps" % _steps
