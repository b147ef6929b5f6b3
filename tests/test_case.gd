extends RefCounted
## The base of every test file: assertions, and helpers for common needs.
##
## An assertion that fails is noted, and the test goes on; each returns whether it held.
## [br]Each error and warning that is printed must be announced with [method expect_error]; the
## announcement holds until the next assertion.

## Shared by all test objects of a file, so that no two tests use one name.
static var _names := 0

## Before every name that a test makes.
var prefix := ""
var assertions := 0

var _expecting := false


## Prints a mark for harness/judge.py. On stderr, as Godot's errors, so their order is kept.
static func mark(event: String, values := {}) -> void:
	printerr("##test## ", JSON.stringify({"event": event}.merged(values)))


## Announces that the calls up to the next assertion print an error with this text.
## Announce several of them in order.
func expect_error(text: String) -> void:
	_expecting = true
	mark("expect", {"text": text})


## Announces that the calls up to the next assertion may print any number of errors with this text:
## for threads that race.
func allow_errors(text: String) -> void:
	_expecting = true
	mark("allow", {"text": text})


## Closes what [method expect_error] opened; every assertion does.
func settle() -> void:
	if _expecting:
		_expecting = false
		mark("settle")


## Ends a test that can't run here: `return skip("why")`.
func skip(why: String) -> void:
	mark("skip", {"why": why})


## Shows a text beside the test's result, such as a seed.
func note(text: String) -> void:
	mark("note", {"text": text})


## Returns the size of a randomised test: this environment variable, or else the usual size.
func effort(variable: String, usual: float) -> float:
	var wanted := OS.get_environment(variable)
	return float(wanted) if wanted else usual


func fail(message: String) -> bool:
	return _judge(false, message)


func assert_true(value: bool, why := "") -> bool:
	return _judge(value, "%s: should be true" % why)


func assert_false(value: bool, why := "") -> bool:
	return _judge(not value, "%s: should be false" % why)


## Equal in type and value.
func assert_eq(actual: Variant, expected: Variant, why := "") -> bool:
	var same: bool = typeof(actual) == typeof(expected)
	# Texts of both types can be equal.
	if (
		typeof(actual) in [TYPE_STRING, TYPE_STRING_NAME]
		and typeof(expected) in [TYPE_STRING, TYPE_STRING_NAME]
	):
		same = true
	same = same and actual == expected
	return _judge(same, "%s: %s, should be %s" % [why, _shown(actual), _shown(expected)])


func assert_ne(actual: Variant, other: Variant, why := "") -> bool:
	var same: bool = typeof(actual) == typeof(other) and actual == other
	return _judge(not same, "%s: should not be %s" % [why, _shown(other)])


## Holds if [param actual] is this [enum Error]. The message has both in words.
func assert_code(actual: Variant, expected: Error, why := "") -> bool:
	var same: bool = typeof(actual) == TYPE_INT and actual == expected
	var was: String = error_string(actual) if typeof(actual) == TYPE_INT else _shown(actual)
	return _judge(same, "%s: '%s', should be '%s'" % [why, was, error_string(expected)])


## Holds if the object's last error is [param code], in words that contain all of [param texts].
func assert_last_error(object: RefCounted, code: Error, texts: Array = []) -> bool:
	var held := assert_code(object.get_last_error(), code, "get_last_error()")
	var message: String = object.get_last_error_message()
	if code == OK:
		return assert_eq(message, "", "get_last_error_message()") and held
	held = assert_ne(message, "", "get_last_error_message()") and held
	for text: String in texts:
		var told := message.contains(text)
		held = _judge(told, "the message %s should contain %s" % [message, text]) and held
	return held


func unique_name(label := "") -> String:
	_names += 1
	return "%s%d%s" % [prefix, _names, label]


## A new segment that the object owns.
func created(size := 64, scope := SharedMemory.LOCAL_SCOPE) -> SharedMemory:
	var memory := SharedMemory.new()
	assert_code(memory.create(unique_name(), size, scope), OK, "create")
	return memory


## Another object that has the same segment open.
func opened(other: SharedMemory, access := SharedMemory.ACCESS_READ_WRITE) -> SharedMemory:
	var memory := SharedMemory.new()
	assert_code(memory.open(other.get_name(), 0, access), OK, "open")
	return memory


## Numbers that no constant of the enum has. The last one has the lower 32 bits of a constant.
func numbers_outside(enumeration: String, of_class := "SharedMemory") -> Array[int]:
	var last := 0
	for constant in ClassDB.class_get_enum_constants(of_class, enumeration, true):
		last = maxi(last, ClassDB.class_get_integer_constant(of_class, constant))
	return [-1, last + 1, 1 << 32, (1 << 32) + last]


func bytes(values: Array) -> PackedByteArray:
	return PackedByteArray(values)


## This many bytes, each different from its neighbours.
func pattern(size: int, start := 1) -> PackedByteArray:
	var data := PackedByteArray()
	data.resize(size)
	for index in size:
		data[index] = (start + index * 7) & 0xff
	return data


## Returns whether segments are files that a test can see.
func is_linux() -> bool:
	return OS.get_name() == "Linux"


## The file that a segment is, on Linux.
func file_of(name: String) -> String:
	return "/dev/shm/" + name


func is_in_system(name: String) -> bool:
	return FileAccess.file_exists(file_of(name))


## Makes a segment of this many bytes as any other program would; see [method remove_foreign].
func make_foreign(name: String, size: int) -> void:
	var file := FileAccess.open(file_of(name), FileAccess.WRITE)
	if size > 0:
		file.resize(size)
	file.close()


func remove_foreign(name: String) -> void:
	DirAccess.remove_absolute(file_of(name))


## The lines of a file, even if the system reports no size for it.
func lines_of(path: String) -> PackedStringArray:
	var file := FileAccess.open(path, FileAccess.READ)
	var lines := PackedStringArray()
	while not file.eof_reached():
		lines.append(file.get_line())
	return lines


func _judge(held: bool, message: String) -> bool:
	settle()
	assertions += 1
	if not held:
		mark("fail", {"message": message.trim_prefix(": "), "where": _where()})
	return held


## The line of the test that asserted; without a name, where this Godot keeps no call stack.
func _where() -> String:
	for frame: Dictionary in get_stack():
		if frame.source != "res://test_case.gd":
			return "%s:%d" % [frame.source.trim_prefix("res://"), frame.line]
	return ""


func _shown(value: Variant) -> String:
	var text := var_to_str(value)
	return text if text.length() <= 200 else text.left(200) + "…"
