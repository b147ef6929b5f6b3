extends RefCounted
## Every method of the classes as ClassDB lists it, with two things that ClassDB doesn't know. These
## are the values that each argument accepts, and the errors of the method.
##
## The tests that call every method use it. A new method is a line in [constant TABLES], unless a
## pattern there matches its name.

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")

const LAST_BYTE := Argument.SIZE - 1
const MAX_U32 := 0xFFFFFFFF

## Each class that is attached to memory, and whether with its native layout.
const ATTACHED := [
	["SharedMemoryStream", true],
	["SharedMemoryStream", false],
	["SharedMemoryQueue", true],
	["SharedMemoryQueue", false],
	["SharedMemoryArray", false],
]
## The arguments of `attach()` after the memory, so that most of the calls work.
const _ATTACH := {
	"SharedMemoryStream": [SharedMemoryStream.LAYOUT_LSM_V2],
	"SharedMemoryQueue": [SharedMemoryQueue.LAYOUT_LSM_V2, Argument.LONGEST_MESSAGE],
	"SharedMemoryArray": ["<4B"],
}
const _ATTACH_NATIVE := {
	"SharedMemoryStream": [SharedMemoryStream.LAYOUT_NATIVE, Argument.CAPACITY],
	"SharedMemoryQueue": [SharedMemoryQueue.LAYOUT_NATIVE, 64],
}

## The kind of each method, and what each argument accepts: constants of the two classes above. Then
## its result if it fails, where that isn't an [enum Error] or an empty value.
const TABLES := {
	"SharedMemory":
	{
		"create":
		[Method.OPENS, {"name": Argument.NEW_NAME, "size": Argument.NEW_SIZE, "scope": [0, 1]}],
		"open":
		[
			Method.OPENS,
			{"name": Argument.EXISTING_NAME, "size": [0, Argument.SIZE], "access": [0, 1]}
		],
		"open_read_only":
		[Method.OPENS, {"name": Argument.EXISTING_NAME, "size": [0, Argument.SIZE]}],
		"open_or_create":
		[Method.OPENS, {"name": Argument.NEW_NAME, "size": Argument.NEW_SIZE, "scope": [0, 1]}],
		"read": [Method.READS, {"size": [0, Argument.SIZE], "byte_offset": [0, LAST_BYTE]}],
		"read_into": [Method.READS, {"buffer": [1, Argument.SIZE], "byte_offset": [0, LAST_BYTE]}],
		"write": [Method.WRITES, {"data": [1, Argument.SIZE], "byte_offset": [0, LAST_BYTE]}],
		"fill":
		[
			Method.WRITES,
			{"value": [0, 255], "byte_offset": [0, LAST_BYTE], "size": [0, Argument.SIZE]}
		],
		"decode_*": [Method.READS, {"byte_offset": Argument.ELEMENT_OFFSET}],
		"encode_*":
		[Method.WRITES, {"byte_offset": Argument.ELEMENT_OFFSET, "value": Argument.ANY_VALUE}],
		"atomic_load_*": [Method.READS, {"byte_offset": Argument.WORD_OFFSET}],
		"atomic_store_u32":
		[Method.WRITES, {"byte_offset": Argument.WORD_OFFSET, "value": [0, MAX_U32]}],
		"atomic_exchange_u32":
		[Method.WRITES, {"byte_offset": Argument.WORD_OFFSET, "value": [0, MAX_U32]}],
		"atomic_add_u32":
		[Method.WRITES, {"byte_offset": Argument.WORD_OFFSET, "value": [-MAX_U32, MAX_U32]}],
		"atomic_compare_exchange_u32":
		[
			Method.WRITES,
			{"byte_offset": Argument.WORD_OFFSET, "expected": [0, MAX_U32], "desired": [0, MAX_U32]}
		],
		"atomic_compare_exchange_s64":
		[
			Method.WRITES,
			{
				"byte_offset": Argument.WORD_OFFSET,
				"expected": Argument.ANY_VALUE,
				"desired": Argument.ANY_VALUE
			}
		],
		"atomic_*_s64":
		[Method.WRITES, {"byte_offset": Argument.WORD_OFFSET, "value": Argument.ANY_VALUE}],
		"wait_u32":
		[
			Method.READS,
			{
				"byte_offset": Argument.WORD_OFFSET,
				"expected": Argument.OTHER_WORD,
				"timeout_msec": Argument.TIMEOUT
			}
		],
		"notify_u32": [Method.READS, {"byte_offset": Argument.WORD_OFFSET}],
		"decode_var": [Method.READS, {"byte_offset": Argument.ENCODED_OFFSET}],
		"decode_var_size": [Method.READS, {"byte_offset": Argument.ENCODED_OFFSET}],
		"has_encoded_var": [Method.READS, {"byte_offset": [0, LAST_BYTE]}],
		"encode_var":
		[
			Method.WRITES,
			{"byte_offset": [0, Argument.SIZE - 4], "value": Argument.VALUE_THAT_FITS},
			-1,
		],
		"read_*_array":
		[Method.READS, {"count": Argument.ELEMENT_COUNT, "byte_offset": Argument.ELEMENT_OFFSET}],
		"write_*_array":
		[Method.WRITES, {"data": Argument.ELEMENT_COUNT, "byte_offset": Argument.ELEMENT_OFFSET}],
		"read_string":
		[
			Method.READS,
			{"max_bytes": [0, Argument.MAX], "byte_offset": [0, LAST_BYTE], "encoding": [0, 3]}
		],
		"write_string":
		[
			Method.WRITES,
			{"text": Argument.TEXT_THAT_FITS, "byte_offset": [0, LAST_BYTE], "encoding": [0, 3]}
		],
		"read_image":
		[
			Method.READS,
			{
				"image": Argument.IMAGE_THAT_FITS,
				"byte_offset": [0, LAST_BYTE],
				"row_stride": Argument.STRIDE
			}
		],
		"write_image":
		[
			Method.WRITES,
			{
				"image": Argument.IMAGE_THAT_FITS,
				"byte_offset": [0, LAST_BYTE],
				"row_stride": Argument.STRIDE
			}
		],
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
		"unpack_dictionary":
		[Method.READS, {"format": Argument.NAMED_FORMAT, "byte_offset": [0, Argument.SIZE - 4]}],
		"calcsize": [Method.STATIC, {"format": Argument.FORMAT}, -1],
		"get_format_error": [Method.STATIC, {"format": Argument.ANY_FORMAT}],
		"set_persistent": [Method.CONFIGURES, {"persistent": Argument.ANY_VALUE}],
		"set_backend": [Method.CONFIGURES_CLOSED, {"backend": [0, 3]}],
		"get_*": [Method.GETS, {}],
		"is_*": [Method.GETS, {}],
		"clear_last_error": [Method.NEVER_FAILS, {}],
		"unlink": [Method.NEVER_FAILS, {}],
		"close": [Method.NEVER_FAILS, {}],
		"exists":
		[Method.STATIC, {"name": Argument.ANY_NAME, "scope": [0, 1], "backend": Argument.BACKEND}],
		"remove":
		[
			Method.STATIC,
			{"name": Argument.EXISTING_NAME, "scope": [0, 1], "backend": Argument.BACKEND}
		],
		"get_info": [Method.STATIC, {"name": Argument.ANY_NAME, "backend": Argument.BACKEND}],
		"get_users": [Method.STATIC, {"name": Argument.ANY_NAME, "backend": Argument.BACKEND}],
		"list_names": [Method.STATIC, {}],
		"list_segments": [Method.STATIC, {}],
		"generate_name": [Method.STATIC, {"prefix": Argument.PREFIX}],
	},
	"SharedMemoryStream":
	{
		"create":
		[
			Method.CONFIGURES,
			{
				"name": Argument.NEW_NAME,
				"max_message_size": Argument.NEW_LENGTH,
				"readers": [0, 64],
				"scope": [0, 1],
			}
		],
		"open": [Method.CONFIGURES, {"name": Argument.NEW_NAME}],
		"close": [Method.NEVER_FAILS, {}],
		"is_attached": [Method.GETS, {}],
		"attach":
		[
			Method.CONFIGURES,
			{
				"memory": Argument.OPEN_MEMORY,
				"layout": Argument.LAYOUT,
				"max_message_size": [0, Argument.MAX],
				"readers": [0, 64],
			}
		],
		"write": [Method.WRITES, {"value": Argument.MESSAGE}],
		"read": [Method.READS, {}],
		"has_new_data": [Method.READS, {}],
		"mark_as_read": [Method.WRITES, {}],
		"is_message_read": [Method.READS, {}],
		"get_capacity": [Method.READS, {}],
		"get_sequence": [Method.LACKS, {}],
		"get_missed_count": [Method.LACKS, {}],
		"get_age_usec": [Method.LACKS, {}, -1],
		"get_writer_state": [Method.LACKS, {}],
		"read_into": [Method.LACKS, {"buffer": Argument.BUFFER_FOR_MESSAGE}],
		"read_image":
		[Method.LACKS, {"image": Argument.ANY_IMAGE, "format": Argument.FORMAT_OF_MESSAGE}],
		"get_message_*": [Method.LACKS, {}],
		"wait": [Method.READS, {"timeout_msec": Argument.TIMEOUT}],
		"poll": [Method.POLLS, {}],
		"detach": [Method.NEVER_FAILS, {}],
		"get_memory": [Method.GETS, {}],
		"reset": [Method.WRITES, {}],
		"set_lock_timeout_msec": [Method.CONFIGURES, {"msec": [0, 0x7fffffff]}],
		"get_lock_timeout_msec": [Method.GETS, {}],
		"*_last_error*": [Method.NEVER_FAILS, {}],
	},
	"SharedMemoryQueue":
	{
		"create":
		[
			Method.CONFIGURES,
			{
				"name": Argument.NEW_NAME,
				"buffer_size": Argument.NEW_LENGTH,
				"producers": [1, 64],
				"scope": [0, 1],
			}
		],
		"open": [Method.CONFIGURES, {"name": Argument.NEW_NAME}],
		"close": [Method.NEVER_FAILS, {}],
		"is_attached": [Method.GETS, {}],
		"attach":
		[
			Method.CONFIGURES,
			{
				"memory": Argument.OPEN_MEMORY,
				"layout": Argument.LAYOUT,
				"buffer_size": [0, Argument.MAX],
				"producers": [1, 64],
			}
		],
		"enqueue": [Method.WRITES, {"value": Argument.QUEUED, "timeout_msec": Argument.TIMEOUT}],
		"dequeue": [Method.WRITES, {"timeout_msec": Argument.TIMEOUT}],
		"dequeue_all": [Method.WRITES, {}],
		"peek": [Method.WRITES, {}],
		"clear": [Method.WRITES, {}],
		"is_*": [Method.READS, {}],
		"get_*_count": [Method.READS, {}],
		"get_capacity": [Method.READS, {}],
		"get_byte_capacity": [Method.READS, {}],
		"get_max_message_size": [Method.READS, {}],
		"wait": [Method.READS, {"timeout_msec": Argument.TIMEOUT}],
		"poll": [Method.POLLS, {}],
		"detach": [Method.NEVER_FAILS, {}],
		"get_memory": [Method.GETS, {}],
		"reset": [Method.WRITES, {}],
		"set_lock_timeout_msec": [Method.CONFIGURES, {"msec": [0, 0x7fffffff]}],
		"get_lock_timeout_msec": [Method.GETS, {}],
		"*_last_error*": [Method.NEVER_FAILS, {}],
	},
	"SharedMemoryPeer":
	{
		"open":
		[
			Method.OPENS,
			{"name": Argument.NEW_NAME, "buffer_size": Argument.BUFFER_SIZE, "scope": [0, 1]}
		],
		"close": [Method.NEVER_FAILS, {}],
		"wait_connected": [Method.READS, {"timeout_msec": Argument.TIMEOUT}],
		"send": [Method.WRITES, {"value": Argument.SENT, "timeout_msec": Argument.TIMEOUT}],
		"receive": [Method.WRITES, {"timeout_msec": Argument.TIMEOUT}],
		"request": [Method.WRITES, {"value": Argument.SENT, "timeout_msec": Argument.TIMEOUT}],
		"wait": [Method.READS, {"timeout_msec": Argument.TIMEOUT}],
		"poll": [Method.POLLS, {}],
		"get_status": [Method.GETS, {}],
		"get_name": [Method.GETS, {}],
		"get_available_bytes": [Method.GETS, {}],
		"get_max_message_size": [Method.GETS, {}],
		"get_late_answer_count": [Method.GETS, {}],
		"*_last_error*": [Method.NEVER_FAILS, {}],
	},
	"SharedMemoryArray":
	{
		"attach":
		[Method.CONFIGURES, {"memory": Argument.OPEN_MEMORY, "element_format": Argument.FORMAT}],
		"get_element_count": [Method.READS, {}],
		"get_element": [Method.READS, {"index": [0, Argument.ELEMENTS - 1]}],
		"set_element":
		[Method.WRITES, {"index": [0, Argument.ELEMENTS - 1], "value": Argument.VALUES}],
		"to_array": [Method.READS, {}],
		"fill": [Method.WRITES, {"value": Argument.VALUES}],
		"detach": [Method.NEVER_FAILS, {}],
		"get_memory": [Method.GETS, {}],
		"reset": [Method.WRITES, {}],
		"*_last_error*": [Method.NEVER_FAILS, {}],
	},
	"SharedMemoryMutex":
	{
		"open": [Method.OPENS, {"name": Argument.NEW_NAME, "id": [0, 63], "scope": [0, 1]}],
		"lock": [Method.READS, {"timeout_msec": Argument.TIMEOUT}],
		"try_lock": [Method.READS, {}],
		"unlock": [Method.READS, {}],
		"is_locked": [Method.READS, {}],
		"was_abandoned": [Method.GETS, {}],
		"get_name": [Method.GETS, {}],
		"close": [Method.NEVER_FAILS, {}],
		"*_last_error*": [Method.NEVER_FAILS, {}],
	},
}

## The methods of PacketPeer, which SharedMemoryPeer inherits.
const OF_PACKET_PEER := {
	"put_packet": [Method.WRITES, {"buffer": [0, Argument.LONGEST_SENT]}],
	"put_var": [Method.WRITES, {"var": Argument.SENT_AS_VAR, "full_objects": Argument.ANY_VALUE}],
	"get_packet": [Method.WRITES, {}],
	"get_var": [Method.WRITES, {"allow_objects": Argument.ANY_VALUE}],
	"get_packet_error": [Method.GETS, {}],
	"get_available_packet_count": [Method.GETS, {}],
	"get_encode_buffer_max_size": [Method.GETS, {}],
	"set_encode_buffer_max_size": [Method.CONFIGURES, {"max_size": [1024, 256 * 1024 * 1024]}],
}

## The methods whose kind is another one with the native layout.
const NATIVE_KINDS := {
	"SharedMemoryStream":
	{
		"mark_as_read": Method.READS,
		"is_message_read": Method.LACKS,
		"get_sequence": Method.READS,
		"get_missed_count": Method.READS,
		"get_age_usec": Method.READS,
		"get_writer_state": Method.READS,
		"read_into": Method.READS,
		"read_image": Method.READS,
		"get_message_size": Method.READS,
		"get_message_shape": Method.READS,
	},
	"SharedMemoryQueue":
	{"peek": Method.READS, "wait": Method.WRITES, "get_capacity": Method.LACKS},
}

## The bytes of an element, by the type in the names of methods.
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

## The kinds of arguments that depend on that type.
const BY_TYPE := [Argument.ELEMENT_OFFSET, Argument.ELEMENT_COUNT, Argument.WORD_OFFSET]

var of_class: String
var all: Array[Method] = []
## The differences between ClassDB and the table.
var problems: Array[String] = []
## A function for each method and each number of its arguments, such as `create_2(object, a0,
## a1)`. The compiler knows all types of these calls, as in a user's script.
var typed := GDScript.new()

## The kinds that differ from the table.
var _kinds: Dictionary


func _init(name := "SharedMemory", is_native := false) -> void:
	of_class = name
	_kinds = NATIVE_KINDS.get(name, {}) if is_native else {}
	_add_all(ClassDB.class_get_method_list(of_class, true), TABLES[of_class])
	if of_class == "SharedMemoryPeer":
		_add_all(ClassDB.class_get_method_list("PacketPeer", true), OF_PACKET_PEER)

	typed.source_code = "extends RefCounted\n"
	for method in all:
		for count in range(method.required, method.arguments.size() + 1):
			typed.source_code += method.typed_source(of_class, count)
	if typed.reload() != OK:
		problems.append("can't compile:\n" + typed.source_code)


## The size of the memory for an object of that class.
static func size_for(is_native: bool) -> int:
	return Argument.NATIVE_SIZE if is_native else Argument.SIZE


## The arguments of `attach()` after the memory.
static func attach_arguments(of: String, is_native: bool) -> Array:
	return _ATTACH_NATIVE[of] if is_native else _ATTACH[of]


## The fewest arguments of a call that works.
func fewest(method: Method) -> int:
	# Without a layout, attach() makes the memory a native one.
	var needs_layout := method.name == "attach" and of_class != "SharedMemoryArray"
	return 2 if needs_layout and not Argument.is_native else method.required


func call_typed(object: RefCounted, method: Method, arguments: Array) -> Variant:
	return typed.callv("%s_%d" % [method.name, arguments.size()], [object] + arguments)


func call_untyped(object: RefCounted, method: Method, arguments: Array) -> Variant:
	return object.callv(method.name, arguments)


func _add_all(found_methods: Array[Dictionary], table: Dictionary) -> void:
	var unused := table.keys()
	for found in found_methods:
		var line := _line_for(found.name, table)
		if line:
			unused.erase(line)
			_add(found, table[line])
		else:
			problems.append("%s() has no line in calls/methods.gd" % found.name)
	for line: String in unused:
		problems.append("there is no %s()" % line)


func _line_for(name: String, table: Dictionary) -> String:
	if name in table:
		return name
	for pattern: String in table:
		if "*" in pattern and name.match(pattern):
			return pattern
	return ""


func _add(found: Dictionary, line: Array) -> void:
	var method := Method.new()
	method.name = found.name
	method.kind = _kinds.get(found.name, line[0])
	method.fails_with = line[2] if line.size() > 2 else null
	method.required = found.args.size() - found.default_args.size()
	method.returns = found.return.type
	method.returns_any = found.return.usage & PROPERTY_USAGE_NIL_IS_VARIANT != 0
	method.returns_code = found.return.class_name == &"Error"
	all.append(method)

	var there := []
	for described: Dictionary in found.args:
		var argument := Argument.new()
		# An exported game doesn't know the names of arguments of the engine's own methods.
		var names: Array = line[1].keys()
		var is_unnamed: bool = described.name.is_empty() and there.size() < names.size()
		argument.name = names[there.size()] if is_unnamed else described.name
		argument.type = described.type
		argument.class_of_it = described.class_name
		argument.accepts = line[1].get(argument.name, Argument.ANY_VALUE)
		if argument.accepts is String and argument.accepts in BY_TYPE:
			argument.accepts = _range_of(method, argument)
		method.arguments.append(argument)
		there.append(argument.name)
	if line[1].keys() != there:
		problems.append("%s() has the arguments %s, not %s" % [method.name, there, line[1].keys()])
	if (method.kind == Method.STATIC) != bool(found.flags & METHOD_FLAG_STATIC):
		problems.append("is %s() static?" % method.name)


func _range_of(method: Method, argument: Argument) -> Array:
	var of := method.name.get_slice("_", 1)
	if argument.accepts == Argument.WORD_OFFSET:
		of = method.name.get_slice("_", method.name.get_slice_count("_") - 1)
	if of not in WIDTHS:
		problems.append("%s() has no type of WIDTHS in its name" % method.name)
		return [0, 0]
	if argument.accepts == Argument.WORD_OFFSET:
		return [0, Argument.SIZE - WIDTHS[of], WIDTHS[of]]
	if argument.accepts == Argument.ELEMENT_OFFSET:
		return [0, Argument.SIZE - WIDTHS[of]]
	# As a number, 0 stands for all that fit.
	return [0 if argument.type == TYPE_INT else 1, Argument.SIZE / WIDTHS[of]]
