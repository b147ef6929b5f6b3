extends SceneTree
## Obeys a scenario in Python, order by order: see harness/agent.py.
##
## An order is the Godot text of an array: [name of the order, ...]. The answer is one mark.

const TestCase := preload("res://test_case.gd")
const END_OF_ORDER := "\u001e"

var _objects := {}
var _next := 1


func _initialize() -> void:
	TestCase.mark("ready", {"pid": OS.get_process_id()})
	while true:
		var order := _read_order()
		if order.is_empty():
			break
		TestCase.mark("answer", {"value": _encoded(_obey(str_to_var(order)))})
	_objects.clear()
	TestCase.mark("done")
	quit()


func _obey(order: Array) -> Variant:
	match order[0]:
		"new":
			return _keep(ClassDB.instantiate(order[1]))
		"free":
			_objects.erase(order[1])
		"call":
			var object: Object = _objects[order[1]]
			return object.callv(order[2], order[3])
		"run":
			# The text of a script with a function `run`: for typed calls, or many of them.
			var script := GDScript.new()
			script.source_code = order[1]
			if script.reload() != OK:
				return "the script does not compile"
			return script.new().callv("run", order[2])
		_:
			push_error("no such order: %s" % order[0])
	return null


func _keep(object: Object) -> int:
	_objects[_next] = object
	_next += 1
	return _next - 1


## A whole order; empty at the end of the input.
func _read_order() -> String:
	var order := ""
	var empty_parts := 0
	while not order.ends_with(END_OF_ORDER):
		# At most 1,023 bytes at once, without a line end. One that is left over reads as an empty
		# part, so only the second in a row is the end of the input.
		var part := OS.read_string_from_stdin()
		empty_parts = empty_parts + 1 if part.is_empty() else 0
		if empty_parts == 2:
			return ""
		order += part
	return order.trim_suffix(END_OF_ORDER)


## JSON has no bytes.
func _encoded(value: Variant) -> Variant:
	if value is PackedByteArray:
		return {"hex": value.hex_encode()}
	if value is Array:
		return value.map(_encoded)
	return value
