extends "res://harness/agent.gd"
## Obeys as agent.gd does, while frames are processed and drawn. A function `run` may await.

var _reader := Thread.new()


func _initialize() -> void:
	TestCase.mark("ready", {"pid": OS.get_process_id()})
	_reader.start(_read_orders)


func _finalize() -> void:
	_reader.wait_to_finish()


func _read_orders() -> void:
	var order := "more"
	while not order.is_empty():
		order = _read_order()
		_take.call_deferred(order)


func _take(order: String) -> void:
	if order.is_empty():
		_objects.clear()
		TestCase.mark("done")
		quit()
		return
	var parts: Array = str_to_var(order)
	var value: Variant
	if parts[0] == "run":
		var script := GDScript.new()
		script.source_code = parts[1]
		value = "the script does not compile"
		if script.reload() == OK:
			value = await script.new().callv("run", parts[2])
	else:
		value = _obey(parts)
	TestCase.mark("answer", {"value": _encoded(value)})
