extends Node3D
## Sixteen plates with balls: a game, and an environment for reinforcement learning.
##
## Started by itself, the game is played by a script, or by hand: the key S changes that. A program,
## such as demo/rl/train.py, plays it through the node Gym.

const Gym := preload("res://addons/shared_memory/shared_memory_gym.gd")
const Plate := preload("res://rl/plate.gd")
const PLATE := preload("res://rl/plate.tscn")

const COLUMNS := 4
const SPACING := 5.2

var plates: Array[Plate] = []

@onready var gym: Gym = $Gym


func _enter_tree() -> void:
	# Before the gym is ready, which counts its agents then.
	for index in COLUMNS * COLUMNS:
		var plate: Plate = PLATE.instantiate()
		plate.name = "Plate%d" % (index + 1)
		var middle := (COLUMNS - 1) / 2.0
		plate.position.x = (index % COLUMNS - middle) * SPACING
		plate.position.z = (floorf(float(index) / COLUMNS) - middle) * SPACING
		$Gym.add_child(plate)
		plates.append(plate)


func _unhandled_key_input(event: InputEvent) -> void:
	if event.is_pressed() and not event.is_echo() and (event as InputEventKey).keycode == KEY_S:
		gym.mode = Gym.Mode.HUMAN if gym.mode == Gym.Mode.SCRIPT else Gym.Mode.SCRIPT
