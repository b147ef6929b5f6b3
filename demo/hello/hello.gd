extends Control
## The first example of the README, with its texts in a window. The partner is demo/python/hello.py.

var shm := SharedMemory.new()

@onready var _godot_text: Label = %GodotText
@onready var _python_text: Label = %PythonText
@onready var _status_text: Label = %StatusText
@onready var _status_light: Control = %StatusLight


func _ready() -> void:
	if shm.create("hello_example", 1024) != OK:
		push_error(shm.get_last_error_message())
		_status_text.text = shm.get_last_error_message()
		return
	shm.write("Hello from Godot!".to_utf8_buffer())
	_godot_text.text = shm.read(512).get_string_from_utf8()


func _process(_delta: float) -> void:
	if shm.is_open():
		# 512 bytes, from byte 512 on. New memory is all zeros, which is an empty text.
		var answer := shm.read(512, 512).get_string_from_utf8()
		if answer != "":
			print(answer)
			_python_text.text = answer
			_status_text.text = "Python has answered, and Godot has closed the memory."
			_status_light.modulate = Color("7fd08f")
			shm.close()
