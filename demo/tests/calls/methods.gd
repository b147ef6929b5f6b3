extends RefCounted
## Every method of SharedMemory as ClassDB tells it, and what ClassDB can't tell: which values each
## argument takes, and how the method fails.
##
## The tests that call everything are driven by this. A new method is a line in [constant TABLE];
## one that a pattern there covers needs nothing.

const Argument := preload("res://tests/calls/argument.gd")
const Method := preload("res://tests/calls/method.gd")

const LAST := Argument.SIZE - 1

## What it does, and what each argument takes: the constants are those of the two classes above.
const TABLE := {
	"create": [Method.TAKES, {"name": Argument.NEW_NAME, "size": Argument.ROOM, "scope": [0, 1]}],
	"open":
	[Method.TAKES, {"name": Argument.OLD_NAME, "size": [0, Argument.SIZE], "access": [0, 1]}],
	"open_or_create":
	[Method.TAKES, {"name": Argument.NEW_NAME, "size": Argument.ROOM, "scope": [0, 1]}],
	"read": [Method.READS, {"size": [0, Argument.SIZE], "offset": [0, LAST]}],
	"read_into": [Method.READS, {"buffer": [1, Argument.SIZE], "offset": [0, LAST]}],
	"write": [Method.WRITES, {"data": [1, Argument.SIZE], "offset": [0, LAST]}],
	"fill": [Method.WRITES, {"value": [0, 255], "offset": [0, LAST], "size": [0, Argument.SIZE]}],
	"decode_*": [Method.READS, {"byte_offset": Argument.FITS}],
	"encode_*": [Method.WRITES, {"byte_offset": Argument.FITS, "value": Argument.ANY}],
	"set_persistent": [Method.SETS, {"persistent": Argument.ANY}],
	"set_backend": [Method.SETS_IF_FREE, {"backend": [0, 3]}],
	"get_*": [Method.ASKS, {}],
	"is_*": [Method.ASKS, {}],
	"clear_last_error": [Method.DOES, {}],
	"unlink": [Method.DOES, {}],
	"close": [Method.DOES, {}],
	"exists":
	[Method.STATIC, {"name": Argument.ASKED_NAME, "scope": [0, 1], "backend": Argument.BACKEND}],
	"remove":
	[Method.STATIC, {"name": Argument.OLD_NAME, "scope": [0, 1], "backend": Argument.BACKEND}],
	"list_names": [Method.STATIC, {}],
	"generate_name": [Method.STATIC, {"prefix": Argument.PREFIX}],
}

## How many bytes a number has, by what its methods are named for.
const WIDTHS := {
	"u8": 1,
	"s8": 1,
	"u16": 2,
	"s16": 2,
	"half": 2,
	"u32": 4,
	"s32": 4,
	"float": 4,
	"u64": 8,
	"s64": 8,
	"double": 8,
}

var all: Array[Method] = []
## What ClassDB and the table don't agree on.
var problems: Array[String] = []
## A function for every method and every number of arguments that it takes, like
## `create_2(object, a0, a1)`: calls of which the compiler knows all types, as in a user's script.
var typed := GDScript.new()


func _init() -> void:
	var unused := TABLE.keys()
	for found in ClassDB.class_get_method_list("SharedMemory", true):
		var line := _line_for(found.name)
		if line:
			unused.erase(line)
			_add(found, TABLE[line])
		else:
			problems.append("%s() has no line in calls/methods.gd" % found.name)
	for line: String in unused:
		problems.append("there is no %s()" % line)

	typed.source_code = "extends RefCounted\n"
	for method in all:
		for count in range(method.required, method.arguments.size() + 1):
			typed.source_code += method.typed_source(count)
	if typed.reload() != OK:
		problems.append("can't compile:\n" + typed.source_code)


func call_typed(memory: SharedMemory, method: Method, arguments: Array) -> Variant:
	return typed.callv("%s_%d" % [method.name, arguments.size()], [memory] + arguments)


func call_untyped(memory: SharedMemory, method: Method, arguments: Array) -> Variant:
	return memory.callv(method.name, arguments)


func _line_for(name: String) -> String:
	if name in TABLE:
		return name
	for pattern: String in TABLE:
		if "*" in pattern and name.match(pattern):
			return pattern
	return ""


func _add(found: Dictionary, line: Array) -> void:
	var method := Method.new()
	method.name = found.name
	method.does = line[0]
	method.required = found.args.size() - found.default_args.size()
	method.returns = found.return.type
	method.returns_code = found.return.class_name == &"Error"
	all.append(method)

	var there := []
	for described: Dictionary in found.args:
		var argument := Argument.new()
		argument.name = described.name
		argument.type = described.type
		argument.takes = line[1].get(argument.name, Argument.ANY)
		if argument.takes is String and argument.takes == Argument.FITS:
			var number := method.name.get_slice("_", 1)
			argument.takes = [0, Argument.SIZE - WIDTHS.get(number, 1)]
			if number not in WIDTHS:
				problems.append("how many bytes has what %s() is named for?" % method.name)
		method.arguments.append(argument)
		there.append(argument.name)
	if line[1].keys() != there:
		problems.append("%s() has the arguments %s, not %s" % [method.name, there, line[1].keys()])
	if (method.does == Method.STATIC) != bool(found.flags & METHOD_FLAG_STATIC):
		problems.append("is %s() static?" % method.name)
