extends Node
## Runs the tests of one file in an exported game, which takes no script to start with.

const Runner := preload("res://harness/runner.gd")


func _ready() -> void:
	Runner.run(get_tree())
