extends Node


func _ready():
	var shared_memory = SharedMemory.new()
	if shared_memory.open("SharedMemoryExample", 1024) == OK:
		var data = shared_memory.read()
		print("Read: ", data.get_string_from_utf8())
		shared_memory.close()
	else:
		print("Could not open shared memory")
	get_tree().quit()
