extends RefCounted
## Every method of SharedMemory as ClassDB tells it, and what ClassDB can't tell: which values each
## argument takes, and how the method fails.
##
## The tests that call everything are driven by this. A new method is a line in [constant TABLES];
## one that a pattern there covers needs nothing.

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")

const LAST := Argument.SIZE - 1

## What `attach()` takes beside the memory, so that most of the calls work.
const ATTACHED := {
	"SharedMemoryStream": [SharedMemoryStream.LAYOUT_LSM_V2],
	"SharedMemoryQueue": [SharedMemoryQueue.LAYOUT_LSM_V2, Argument.LONGEST],
	"SharedMemoryArray": ["<4B"],
}

## What it does, and what each argument takes: the constants are those of the two classes above.
## Then what it returns if it fails, where that isn't an [enum Error] or an empty value.
const TABLES := {
	"SharedMemory":
	{
		"create":
		[Method.TAKES, {"name": Argument.NEW_NAME, "size": Argument.ROOM, "scope": [0, 1]}],
		"open":
		[Method.TAKES, {"name": Argument.OLD_NAME, "size": [0, Argument.SIZE], "access": [0, 1]}],
		"open_or_create":
		[Method.TAKES, {"name": Argument.NEW_NAME, "size": Argument.ROOM, "scope": [0, 1]}],
		"read": [Method.READS, {"size": [0, Argument.SIZE], "offset": [0, LAST]}],
		"read_into": [Method.READS, {"buffer": [1, Argument.SIZE], "offset": [0, LAST]}],
		"write": [Method.WRITES, {"data": [1, Argument.SIZE], "offset": [0, LAST]}],
		"fill":
		[Method.WRITES, {"value": [0, 255], "offset": [0, LAST], "size": [0, Argument.SIZE]}],
		"decode_*": [Method.READS, {"byte_offset": Argument.FITS}],
		"encode_*": [Method.WRITES, {"byte_offset": Argument.FITS, "value": Argument.ANY}],
		"decode_var": [Method.READS, {"byte_offset": Argument.ENCODED}],
		"decode_var_size": [Method.READS, {"byte_offset": Argument.ENCODED}],
		"has_encoded_var": [Method.READS, {"byte_offset": [0, LAST]}],
		"encode_var":
		[
			Method.WRITES,
			{"byte_offset": [0, Argument.SIZE - 4], "value": Argument.ENCODABLE},
			-1,
		],
		"read_*_array": [Method.READS, {"count": Argument.SOME, "byte_offset": Argument.FITS}],
		"write_*_array": [Method.WRITES, {"data": Argument.SOME, "byte_offset": Argument.FITS}],
		"read_string": [Method.READS, {"max_bytes": [0, Argument.MAX], "byte_offset": [0, LAST]}],
		"write_string": [Method.WRITES, {"text": Argument.TEXT, "byte_offset": [0, LAST]}],
		"read_image": [Method.READS, {"image": Argument.IMAGE, "byte_offset": [0, LAST]}],
		"write_image": [Method.WRITES, {"image": Argument.IMAGE, "byte_offset": [0, LAST]}],
		"pack":
		[
			Method.WRITES,
			{
				"format": Argument.FORMAT,
				"values": Argument.VALUES,
				"byte_offset": [0, Argument.SIZE - 4]
			}
		],
		"unpack":
		[Method.READS, {"format": Argument.FORMAT, "byte_offset": [0, Argument.SIZE - 4]}],
		"calcsize": [Method.STATIC, {"format": Argument.FORMAT}, -1],
		"set_persistent": [Method.SETS, {"persistent": Argument.ANY}],
		"set_backend": [Method.SETS_IF_FREE, {"backend": [0, 3]}],
		"get_*": [Method.ASKS, {}],
		"is_*": [Method.ASKS, {}],
		"clear_last_error": [Method.DOES, {}],
		"unlink": [Method.DOES, {}],
		"close": [Method.DOES, {}],
		"exists":
		[
			Method.STATIC,
			{"name": Argument.ASKED_NAME, "scope": [0, 1], "backend": Argument.BACKEND}
		],
		"remove":
		[Method.STATIC, {"name": Argument.OLD_NAME, "scope": [0, 1], "backend": Argument.BACKEND}],
		"list_names": [Method.STATIC, {}],
		"generate_name": [Method.STATIC, {"prefix": Argument.PREFIX}],
	},
	"SharedMemoryStream":
	{
		"attach": [Method.SETS, {"memory": Argument.MEMORY, "layout": [1, 3]}],
		"write": [Method.WRITES, {"value": Argument.MESSAGE}],
		"read": [Method.READS, {}],
		"has_new_data": [Method.READS, {}],
		"mark_as_read": [Method.WRITES, {}],
		"is_message_read": [Method.READS, {}],
		"get_capacity": [Method.READS, {}],
		"poll": [Method.POLLS, {}],
		"detach": [Method.DOES, {}],
		"get_memory": [Method.ASKS, {}],
		"reset": [Method.WRITES, {}],
		"set_lock_timeout_msec": [Method.SETS, {"msec": [0, 0x7fffffff]}],
		"get_lock_timeout_msec": [Method.ASKS, {}],
		"*_last_error*": [Method.DOES, {}],
	},
	"SharedMemoryQueue":
	{
		"attach":
		[
			Method.SETS,
			{
				"memory": Argument.MEMORY,
				"layout": [2, 3],
				"max_message_size": [0, Argument.MAX],
			}
		],
		"enqueue": [Method.WRITES, {"data": [0, Argument.LONGEST]}],
		"dequeue": [Method.WRITES, {}],
		"peek": [Method.WRITES, {}],
		"is_*": [Method.READS, {}],
		"get_message_count": [Method.READS, {}],
		"get_capacity": [Method.READS, {}],
		"get_max_message_size": [Method.READS, {}],
		"poll": [Method.POLLS, {}],
		"detach": [Method.DOES, {}],
		"get_memory": [Method.ASKS, {}],
		"reset": [Method.WRITES, {}],
		"set_lock_timeout_msec": [Method.SETS, {"msec": [0, 0x7fffffff]}],
		"get_lock_timeout_msec": [Method.ASKS, {}],
		"*_last_error*": [Method.DOES, {}],
	},
	"SharedMemoryArray":
	{
		"attach": [Method.SETS, {"memory": Argument.MEMORY, "element_format": Argument.FORMAT}],
		"get_element_count": [Method.READS, {}],
		"get_element": [Method.READS, {"index": [0, Argument.ELEMENTS - 1]}],
		"set_element":
		[Method.WRITES, {"index": [0, Argument.ELEMENTS - 1], "value": Argument.VALUES}],
		"to_array": [Method.READS, {}],
		"fill": [Method.WRITES, {"value": Argument.VALUES}],
		"detach": [Method.DOES, {}],
		"get_memory": [Method.ASKS, {}],
		"reset": [Method.WRITES, {}],
		"*_last_error*": [Method.DOES, {}],
	},
}

## How many bytes one has, by what the methods are named for.
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
	"int32": 4,
	"int64": 8,
	"float32": 4,
	"float64": 8,
	"vector2": 8,
	"vector3": 12,
	"vector4": 16,
	"color": 16,
}

var of_class: String
var all: Array[Method] = []
## What ClassDB and the table don't agree on.
var problems: Array[String] = []
## A function for every method and every number of arguments that it takes, like
## `create_2(object, a0, a1)`: calls of which the compiler knows all types, as in a user's script.
var typed := GDScript.new()


func _init(name := "SharedMemory") -> void:
	of_class = name
	var table: Dictionary = TABLES[of_class]
	var unused := table.keys()
	for found in ClassDB.class_get_method_list(of_class, true):
		var line := _line_for(found.name)
		if line:
			unused.erase(line)
			_add(found, table[line])
		else:
			problems.append("%s() has no line in calls/methods.gd" % found.name)
	for line: String in unused:
		problems.append("there is no %s()" % line)

	typed.source_code = "extends RefCounted\n"
	for method in all:
		for count in range(method.required, method.arguments.size() + 1):
			typed.source_code += method.typed_source(of_class, count)
	if typed.reload() != OK:
		problems.append("can't compile:\n" + typed.source_code)


func call_typed(object: RefCounted, method: Method, arguments: Array) -> Variant:
	return typed.callv("%s_%d" % [method.name, arguments.size()], [object] + arguments)


func call_untyped(object: RefCounted, method: Method, arguments: Array) -> Variant:
	return object.callv(method.name, arguments)


func _line_for(name: String) -> String:
	if name in TABLES[of_class]:
		return name
	for pattern: String in TABLES[of_class]:
		if "*" in pattern and name.match(pattern):
			return pattern
	return ""


func _add(found: Dictionary, line: Array) -> void:
	var method := Method.new()
	method.name = found.name
	method.does = line[0]
	method.fails_with = line[2] if line.size() > 2 else null
	method.required = found.args.size() - found.default_args.size()
	method.returns = found.return.type
	method.returns_any = found.return.usage & PROPERTY_USAGE_NIL_IS_VARIANT != 0
	method.returns_code = found.return.class_name == &"Error"
	all.append(method)

	var there := []
	for described: Dictionary in found.args:
		var argument := Argument.new()
		argument.name = described.name
		argument.type = described.type
		argument.class_of_it = described.class_name
		argument.takes = line[1].get(argument.name, Argument.ANY)
		if argument.takes is String and argument.takes in [Argument.FITS, Argument.SOME]:
			argument.takes = _range_of(method, argument)
		method.arguments.append(argument)
		there.append(argument.name)
	if line[1].keys() != there:
		problems.append("%s() has the arguments %s, not %s" % [method.name, there, line[1].keys()])
	if (method.does == Method.STATIC) != bool(found.flags & METHOD_FLAG_STATIC):
		problems.append("is %s() static?" % method.name)


func _range_of(method: Method, argument: Argument) -> Array:
	var of := method.name.get_slice("_", 1)
	if of not in WIDTHS:
		problems.append("how many bytes has what %s() is named for?" % method.name)
		return [0, 0]
	if argument.takes == Argument.FITS:
		return [0, Argument.SIZE - WIDTHS[of]]
	# None is all of them, where it is a number.
	return [0 if argument.type == TYPE_INT else 1, Argument.SIZE / WIDTHS[of]]
