extends RefCounted
## Memory to measure with.


static func create(name: String, size: int) -> SharedMemory:
	var shm := SharedMemory.new()
	if shm.create(name, size) != OK:
		push_error(shm.get_last_error_message())
	return shm
