extends "res://test_case.gd"
## The class in ClassDB and in scripts: methods, types, defaults, enums.

const ENUMS := {
	"Scope": {"LOCAL_SCOPE": 0, "GLOBAL_SCOPE": 1},
	"Status":
	{
		"STATUS_UNINITIALIZED": 0,
		"STATUS_CREATED": 1,
		"STATUS_OPEN": 2,
		"STATUS_ERROR": 3,
	},
	"Access": {"ACCESS_READ_WRITE": 0, "ACCESS_READ_ONLY": 1},
	"Backend": {"BACKEND_NATIVE": 0, "BACKEND_FILE": 1, "BACKEND_SYSV": 2, "BACKEND_MEMFD": 3},
	"OwnerState": {"OWNER_UNKNOWN": 0, "OWNER_ALIVE": 1, "OWNER_DEAD": 2},
	"TextEncoding": {"TEXT_UTF8": 0, "TEXT_LATIN1": 1, "TEXT_UTF16": 2, "TEXT_UTF32": 3},
}

## Every method: what it returns, the types of its arguments, the values of the last of them.
const METHODS := {
	"create": ["Error", [TYPE_STRING_NAME, TYPE_INT, TYPE_INT], [0]],
	"open": ["Error", [TYPE_STRING_NAME, TYPE_INT, TYPE_INT], [0, 0]],
	"open_read_only": ["Error", [TYPE_STRING_NAME, TYPE_INT], [0]],
	"open_or_create": ["Error", [TYPE_STRING_NAME, TYPE_INT, TYPE_INT], [0]],
	"read": [TYPE_PACKED_BYTE_ARRAY, [TYPE_INT, TYPE_INT], [0, 0]],
	"read_into": ["Error", [TYPE_PACKED_BYTE_ARRAY, TYPE_INT], [0]],
	"write": ["Error", [TYPE_PACKED_BYTE_ARRAY, TYPE_INT], [0]],
	"fill": ["Error", [TYPE_INT, TYPE_INT, TYPE_INT], [0, 0]],
	"read_string": [TYPE_STRING, [TYPE_INT, TYPE_INT, TYPE_INT], [0, 0, 0]],
	"write_string": ["Error", [TYPE_STRING, TYPE_INT, TYPE_INT], [0, 0]],
	"read_image": ["Error", [TYPE_OBJECT, TYPE_INT, TYPE_INT], [0, 0]],
	"write_image": ["Error", [TYPE_OBJECT, TYPE_INT, TYPE_INT], [0, 0]],
	"pack": ["Error", [TYPE_STRING, TYPE_NIL, TYPE_INT], [0]],
	"unpack": [TYPE_ARRAY, [TYPE_STRING, TYPE_INT], [0]],
	"unpack_dictionary": [TYPE_DICTIONARY, [TYPE_STRING, TYPE_INT], [0]],
	"calcsize": [TYPE_INT, [TYPE_STRING], []],
	"get_format_error": [TYPE_STRING, [TYPE_STRING], []],
	"decode_var": [TYPE_NIL, [TYPE_INT], []],
	"decode_var_size": [TYPE_INT, [TYPE_INT], []],
	"has_encoded_var": [TYPE_BOOL, [TYPE_INT], []],
	"encode_var": [TYPE_INT, [TYPE_INT, TYPE_NIL], []],
	"wait_u32": ["Error", [TYPE_INT, TYPE_INT, TYPE_INT], []],
	"notify_u32": ["Error", [TYPE_INT], []],
	"close": [TYPE_NIL, [], []],
	"unlink": [TYPE_NIL, [], []],
	"get_name": [TYPE_STRING_NAME, [], []],
	"get_native_name": [TYPE_STRING, [], []],
	"get_size": [TYPE_INT, [], []],
	"get_mapped_size": [TYPE_INT, [], []],
	"get_status": ["SharedMemory.Status", [], []],
	"get_scope": ["SharedMemory.Scope", [], []],
	"get_access": ["SharedMemory.Access", [], []],
	"is_open": [TYPE_BOOL, [], []],
	"is_current": [TYPE_BOOL, [], []],
	"get_owner_state": ["SharedMemory.OwnerState", [], []],
	"get_last_error": ["Error", [], []],
	"get_last_error_message": [TYPE_STRING, [], []],
	"clear_last_error": [TYPE_NIL, [], []],
	"is_persistent": [TYPE_BOOL, [], []],
	"set_persistent": [TYPE_NIL, [TYPE_BOOL], []],
	"get_backend": ["SharedMemory.Backend", [], []],
	"set_backend": [TYPE_NIL, [TYPE_INT], []],
	"exists": [TYPE_BOOL, [TYPE_STRING_NAME, TYPE_INT, TYPE_INT], [0, 0]],
	"remove": ["Error", [TYPE_STRING_NAME, TYPE_INT, TYPE_INT], [0, 0]],
	"get_info": [TYPE_DICTIONARY, [TYPE_STRING_NAME, TYPE_INT], [0]],
	"get_users": [TYPE_PACKED_INT32_ARRAY, [TYPE_STRING_NAME, TYPE_INT], [0]],
	"list_names": [TYPE_PACKED_STRING_ARRAY, [], []],
	"list_segments": [TYPE_ARRAY, [], []],
	"generate_name": [TYPE_STRING, [TYPE_STRING], ["godot"]],
}
## The values of which there are decode_ and encode_, and the arrays of which there are read_ and
## write_.
const NUMBERS := {
	TYPE_INT: ["u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"],
	TYPE_FLOAT: ["half", "float", "double"],
}
## The words of which there are atomic_ methods.
const WORDS := ["u32", "s64"]
const ARRAYS := {
	"int32": TYPE_PACKED_INT32_ARRAY,
	"int64": TYPE_PACKED_INT64_ARRAY,
	"float32": TYPE_PACKED_FLOAT32_ARRAY,
	"float64": TYPE_PACKED_FLOAT64_ARRAY,
	"vector2": TYPE_PACKED_VECTOR2_ARRAY,
	"vector3": TYPE_PACKED_VECTOR3_ARRAY,
	"vector4": TYPE_PACKED_VECTOR4_ARRAY,
	"color": TYPE_PACKED_COLOR_ARRAY,
}
const STATIC := [
	"calcsize",
	"get_format_error",
	"exists",
	"remove",
	"get_info",
	"get_users",
	"list_names",
	"list_segments",
	"generate_name",
]

var _methods := METHODS.duplicate()


func _init() -> void:
	for type: int in NUMBERS:
		for kind: String in NUMBERS[type]:
			_methods["decode_" + kind] = [type, [TYPE_INT], []]
			_methods["encode_" + kind] = ["Error", [TYPE_INT, type], []]
	for kind: String in WORDS:
		_methods["atomic_load_" + kind] = [TYPE_INT, [TYPE_INT], []]
		_methods["atomic_store_" + kind] = ["Error", [TYPE_INT, TYPE_INT], []]
		_methods["atomic_add_" + kind] = [TYPE_INT, [TYPE_INT, TYPE_INT], []]
		_methods["atomic_exchange_" + kind] = [TYPE_INT, [TYPE_INT, TYPE_INT], []]
		var exchanges := [TYPE_INT, [TYPE_INT, TYPE_INT, TYPE_INT], []]
		_methods["atomic_compare_exchange_" + kind] = exchanges
	for kind: String in ARRAYS:
		var array: int = ARRAYS[kind]
		_methods["read_%s_array" % kind] = [array, [TYPE_INT, TYPE_INT], [0, 0]]
		_methods["write_%s_array" % kind] = ["Error", [array, TYPE_INT], [0]]


func test_class_extends_ref_counted() -> void:
	assert_true(ClassDB.class_exists("SharedMemory"), "the class is there")
	assert_eq(ClassDB.get_parent_class("SharedMemory"), "RefCounted", "the parent class")
	assert_true(ClassDB.can_instantiate("SharedMemory"), "it can be made")
	var memory: RefCounted = SharedMemory.new()
	assert_eq(memory.get_class(), "SharedMemory", "get_class")


func test_enums_agree_with_class_db() -> void:
	var names := Array(ClassDB.class_get_enum_list("SharedMemory", true))
	names.sort()
	var expected := ENUMS.keys()
	expected.sort()
	assert_eq(names, expected, "the enums")
	var constants := 0
	for name: String in ENUMS:
		var values := {}
		for constant in ClassDB.class_get_enum_constants("SharedMemory", name, true):
			values[constant] = ClassDB.class_get_integer_constant("SharedMemory", constant)
		assert_eq(values, ENUMS[name], name)
		constants += values.size()
	var all := ClassDB.class_get_integer_constant_list("SharedMemory", true)
	assert_eq(all.size(), constants, "no constant outside an enum")


func test_enums_type_variables_of_scripts() -> void:
	var scope: SharedMemory.Scope = SharedMemory.GLOBAL_SCOPE
	assert_eq(scope, 1, "Scope")
	scope = SharedMemory.Scope.LOCAL_SCOPE
	assert_eq(scope, 0, "Scope by its full name")
	var memory := SharedMemory.new()
	# These lines compile only if the methods are declared to return the enums.
	var status: SharedMemory.Status = memory.get_status()
	var access: SharedMemory.Access = memory.get_access()
	var backend: SharedMemory.Backend = memory.get_backend()
	var error: Error = memory.get_last_error()
	var owner: SharedMemory.OwnerState = memory.get_owner_state()
	scope = memory.get_scope()
	assert_eq([status, access, backend, error, scope, owner], [0, 0, 0, 0, 0, 0], "of a new object")
	memory.backend = SharedMemory.BACKEND_FILE
	backend = memory.backend
	assert_eq(backend, SharedMemory.BACKEND_FILE, "the property")


func test_methods_agree_with_class_db() -> void:
	var found := {}
	for method in ClassDB.class_get_method_list("SharedMemory", true):
		found[method.name] = method
	var names := found.keys()
	names.sort()
	var expected := _methods.keys()
	expected.sort()
	assert_eq(names, expected, "the methods")
	for name: String in _methods:
		if found.has(name):
			_check_method(found[name])


func test_arguments_have_names() -> void:
	var identifier := RegEx.create_from_string("^[a-z][a-z_]*$")
	for method in ClassDB.class_get_method_list("SharedMemory", true):
		for argument: Dictionary in method.args:
			var is_word := identifier.search(argument.name) != null
			assert_true(is_word, "%s: %s" % [method.name, argument])
			assert_false(argument.name.begins_with("arg"), "%s: %s" % [method.name, argument])


func test_properties_agree_with_class_db() -> void:
	var found := {}
	for property in ClassDB.class_get_property_list("SharedMemory", true):
		if property.usage & (PROPERTY_USAGE_CATEGORY | PROPERTY_USAGE_GROUP) == 0:
			found[property.name] = property
	var names := found.keys()
	names.sort()
	if not assert_eq(names, ["backend", "persistent"], "the properties"):
		return
	assert_eq(found.persistent.type, TYPE_BOOL, "persistent")
	assert_eq(found.backend.type, TYPE_INT, "backend")
	assert_eq(_type_of(found.backend), "SharedMemory.Backend", "backend")
	for property: String in found:
		var getter := ClassDB.class_get_property_getter("SharedMemory", property)
		var setter := ClassDB.class_get_property_setter("SharedMemory", property)
		assert_true(_methods.has(String(getter)), "the getter of " + property)
		assert_true(_methods.has(String(setter)), "the setter of " + property)
		var value: Variant = ClassDB.class_get_property_default_value("SharedMemory", property)
		assert_eq(value, SharedMemory.new().get(property), "the default of " + property)


func test_new_object_has_defaults() -> void:
	var memory := SharedMemory.new()
	assert_eq(memory.get_status(), SharedMemory.STATUS_UNINITIALIZED, "status")
	assert_eq(memory.get_name(), "", "name")
	assert_eq(memory.get_native_name(), "", "native name")
	assert_eq(memory.get_size(), 0, "size")
	assert_eq(memory.get_mapped_size(), 0, "mapped size")
	assert_eq(memory.get_scope(), SharedMemory.LOCAL_SCOPE, "scope")
	assert_eq(memory.get_access(), SharedMemory.ACCESS_READ_WRITE, "access")
	assert_eq(memory.get_backend(), SharedMemory.BACKEND_NATIVE, "backend")
	assert_false(memory.persistent, "persistent")
	assert_false(memory.is_open(), "is_open")
	assert_false(memory.is_current(), "is_current")
	assert_last_error(memory, OK)


func _check_method(method: Dictionary) -> void:
	var expected: Array = _methods[method.name]
	assert_eq(_type_of(method.return), expected[0], method.name + " returns")
	var types: Array = method.args.map(func(argument: Dictionary) -> int: return argument.type)
	assert_eq(types, expected[1], method.name + " takes")
	# Since 4.4 text is put in as it is, before as a StringName where the argument is one.
	assert_eq(method.default_args, expected[2], method.name + " by default")
	var is_static: bool = method.flags & METHOD_FLAG_STATIC != 0
	assert_eq(is_static, method.name in STATIC, method.name + " is static")


## The name of the enum, if it is one.
func _type_of(info: Dictionary) -> Variant:
	if info.type == TYPE_INT and info.usage & PROPERTY_USAGE_CLASS_IS_ENUM:
		return String(info["class_name"])
	return info.type
