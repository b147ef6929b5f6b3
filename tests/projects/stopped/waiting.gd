extends Node
## A game whose main thread waits for a minute.


func _ready() -> void:
	var order := FileAccess.get_file_as_string("res://order").split(" ")
	var memory := SharedMemory.new()
	var code := memory.create(order[1], 4096) if order[2] == "game" else memory.open(order[1])
	var stream := SharedMemoryStream.new()
	var queue := SharedMemoryQueue.new()
	var target: Object = stream if order[0] == "SharedMemoryStream" else queue
	if code == OK:
		code = target.call("attach", memory, 0, 64)
	if order[3] == "enqueue":
		while code == OK:
			code = queue.enqueue("x")
		code = OK if code == ERR_BUSY else code
	var file := FileAccess.open("res://waits", FileAccess.WRITE)
	file.store_string("%d %d\n" % [OS.get_process_id(), code])
	file.close()
	var arguments := ["x", 60_000] if order[3] == "enqueue" else [60_000]
	printerr("it went on with ", target.callv(order[3], arguments))
