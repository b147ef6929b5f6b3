extends CanvasLayer
## Tells who plays, how well, and how far a learner is.
##
## It goes on while the tree is paused, which it is while a program thinks.

const Rl := preload("res://rl/rl.gd")
const LearningCurve := preload("res://rl/curve.gd")

## The stream in which the learner publishes how far it is.
const PROGRESS_NAME := "godot_rl_progress"
const PLAYERS: Array[String] = [
	"Nobody plays.",
	"You play: mouse over a plate, or arrow keys for all. S: a script plays.",
	"A script plays. S: you play.",
]

## The mean reward of the plates, over about a second.
var mean_reward := 0.0

var _progress := SharedMemoryStream.new()

@onready var _game: Rl = get_parent()
@onready var _player_label: Label = %Player
@onready var _reward_label: Label = %Reward
@onready var _progress_panel: Control = %Progress
@onready var _curve: LearningCurve = %Curve


func _ready() -> void:
	# Without a window, nobody looks on.
	set_process(DisplayServer.get_name() != "headless")
	get_viewport().msaa_3d = Viewport.MSAA_4X
	# The stream need not be there yet.
	_progress.open(PROGRESS_NAME)


func _process(delta: float) -> void:
	var sum := 0.0
	for plate in _game.plates:
		sum += plate.reward
		plate.show_reward(delta)
	mean_reward = lerpf(mean_reward, sum / _game.plates.size(), 1.0 - exp(-delta))
	_reward_label.text = "Reward per action: %.2f of 1" % mean_reward
	if _game.gym.is_connected_to_program():
		_player_label.text = "A program plays."
	else:
		_player_label.text = PLAYERS[_game.gym.mode]
	_show_progress()


func _show_progress() -> void:
	if not _progress.has_new_data():
		return
	var progress: Variant = _progress.read()
	if progress is Dictionary:
		_progress_panel.show()
		_curve.show_progress(progress)
