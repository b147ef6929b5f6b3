extends Node
## Measures the addon in Godot. tools/bench_measure.py starts it, and reports its values.
##
## Arguments (after "--"): a file to write them to, a folder on a disk, a prefix for names, a
## Python, and the parts to measure.

const PARTS := {
	"calls": preload("calls.gd"),
	"copies": preload("copies.gd"),
	"lockstep": preload("lockstep.gd"),
	"objects": preload("objects.gd"),
	"python": preload("python.gd"),
	"round_trips": preload("round_trips.gd"),
	"structs": preload("structs.gd"),
}


func _ready() -> void:
	var arguments := OS.get_cmdline_user_args()
	var options := {"folder": arguments[1], "prefix": arguments[2], "python": arguments[3]}
	var results := {}
	for part in arguments.slice(4):
		print("==> ", part)
		results[part] = PARTS[part].new().run(options)
	# Written last: where there is a file, nothing broke off.
	FileAccess.open(arguments[0], FileAccess.WRITE).store_string(JSON.stringify(results, "", false))
	get_tree().quit()
