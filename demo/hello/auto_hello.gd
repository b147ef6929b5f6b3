extends "res://auto.gd"
## Ends once Python has answered.

const Hello := preload("res://hello/hello.gd")

@onready var _hello: Hello = get_parent()


func _step() -> void:
	match _hello.shm.get_status():
		SharedMemory.STATUS_UNINITIALIZED:
			# The scene closes the memory once it has the answer.
			finish()
		SharedMemory.STATUS_ERROR:
			finish(_hello.shm.get_last_error_message())


func _progress() -> String:
	return "Python has not answered"
