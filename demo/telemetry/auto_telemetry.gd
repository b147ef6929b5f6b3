extends Node
## With [code]-- --auto[/code] on the command line: reads records of demo/python/simulator.py, and
## quits; with exit code 1 and the reason if there are none in time, or if they make no sense.

const Telemetry := preload("res://telemetry/telemetry.gd")

const ENOUGH := 60
const TIMEOUT_SECONDS := 20.0

var _waited := 0.0

@onready var _window: Telemetry = get_parent()


func _ready() -> void:
	set_process("--auto" in OS.get_cmdline_user_args())
	# As a screen would have it: without one, each frame would find the same record.
	Engine.max_fps = 60


func _process(delta: float) -> void:
	_waited += delta
	var record := _window.record
	if _window.records >= ENOUGH:
		# A circle, as fast as it says: two sides that read other bytes would hardly agree.
		var is_sound := (
			absf(record.place.length() - 100.0) < 0.1
			and record.rpm > 800.0
			and record.speed > 0.0
			and record.gear in range(1, 7)
		)
		print("Godot read %d records, the last at %.2f s" % [_window.records, record.time])
		_finish(OK if is_sound else ERR_INVALID_DATA)
	elif _waited > TIMEOUT_SECONDS:
		printerr("Only %d records in %.0f seconds" % [_window.records, _waited])
		_finish(ERR_TIMEOUT)


func _finish(error: Error) -> void:
	set_process(false)
	get_tree().quit(0 if error == OK else 1)
