extends Node
## With [code]-- --auto[/code] on the command line: tells of simulators that come and go, reads
## records of them, tells what the instruments show, and quits; with exit code 1 and the reason if
## there are too few records in time, or if they make no sense.

const Telemetry := preload("res://telemetry/telemetry.gd")

const ENOUGH := 120
const TIMEOUT_SECONDS := 30.0

var _waited := 0.0

@onready var _window: Telemetry = get_parent()


func _ready() -> void:
	var is_auto := "--auto" in OS.get_cmdline_user_args()
	set_process(is_auto)
	if is_auto:
		# As a screen would have it: without one, each frame would find the same record.
		Engine.max_fps = 60
		_window.state_changed.connect(_tell_state)


func _process(delta: float) -> void:
	_waited += delta
	if _window.records >= ENOUGH:
		print("Godot shows ", _window.describe())
		var distance := _window.record.place.length()
		if absf(distance - 100.0) < 0.1:
			_finish(OK)
		else:
			# The other numbers could be anything; this one is always the same.
			printerr("The car is %.1f m from the middle of a course of 100 m" % distance)
			_finish(ERR_INVALID_DATA)
	elif _waited > TIMEOUT_SECONDS:
		printerr("Only %d records in %.0f seconds" % [_window.records, _waited])
		_finish(ERR_TIMEOUT)


func _tell_state() -> void:
	print("Godot says: ", Telemetry.TEXTS[_window.state])


func _finish(error: Error) -> void:
	set_process(false)
	get_tree().quit(0 if error == OK else 1)
