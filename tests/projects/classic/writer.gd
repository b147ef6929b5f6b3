extends Node

var shared_memory = SharedMemory.new()


func _ready():
	var result = shared_memory.create("SharedMemoryExample", 1024, SharedMemory.LOCAL_SCOPE)
	if result != OK:
		print("Could not create shared memory: ", result)
		get_tree().quit()
		return
	print("Status: ", shared_memory.get_status() == SharedMemory.STATUS_CREATED)
	shared_memory.write("Hello from Godot".to_utf8_buffer())
	await get_tree().create_timer(3.0).timeout
	shared_memory.close()
	get_tree().quit()
