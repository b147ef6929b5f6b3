extends RefCounted
## A method: its arguments, its kind, and its errors.

enum {
	## Opens or creates a segment: ERR_ALREADY_IN_USE if the object holds one.
	OPENS,
	## Needs a segment: ERR_UNCONFIGURED if there is none.
	READS,
	## As READS, and needs permission: ERR_UNAUTHORIZED if the segment is open for reading only.
	WRITES,
	## As READS or WRITES, but prints nothing.
	POLLS,
	## Another layout has it: ERR_UNAVAILABLE if there is a segment.
	LACKS,
	## Changes the object, which may hold a segment or not.
	CONFIGURES,
	## Changes the object: ERR_ALREADY_IN_USE while it holds a segment.
	CONFIGURES_CLOSED,
	## Never fails, and changes nothing.
	GETS,
	## Never fails, and may change the object.
	NEVER_FAILS,
	## Needs no object.
	STATIC,
}

const Argument := preload("res://calls/argument.gd")

var name: String
var kind: int
var arguments: Array[Argument] = []
## The number of arguments without a default.
var required: int
## Its result if it fails, where that isn't an [enum Error] or an empty value.
var fails_with: Variant
## The type of its result; TYPE_NIL stands for none, or [member returns_any].
var returns: int
## It returns values of any type.
var returns_any: bool
## It returns an [enum Error].
var returns_code: bool


## Its result if it fails with this code.
func failure(code: Error) -> Variant:
	if fails_with != null:
		return fails_with
	return code if returns_code else Argument.empty(returns)


## Returns whether it may return a value of this type.
func may_return(value: Variant) -> bool:
	return returns_any or typeof(value) == returns


## Returns the codes that it may return, or leave as the last error. The arguments alone get this
## [param verdict]. The object may hold a segment, which may be open for reading only.
func codes(verdict: Error, holds: bool, is_reader: bool) -> Array[Error]:
	var found: Array[Error] = [verdict]
	match kind:
		OPENS when holds:
			found = [ERR_ALREADY_IN_USE]
		OPENS when verdict == ERR_OUT_OF_MEMORY:
			# Or a number of bytes that this system can't represent.
			found = [ERR_OUT_OF_MEMORY, ERR_INVALID_PARAMETER]
		READS, WRITES, POLLS, LACKS when not holds:
			found = [ERR_UNCONFIGURED]
		LACKS:
			found = [ERR_UNAVAILABLE]
		POLLS when is_reader:
			# A queue, whose messages poll() removes.
			found = [verdict, ERR_UNAUTHORIZED]
		WRITES when is_reader:
			# It may report a bad argument or the missing permission.
			found = [ERR_UNAUTHORIZED]
			if verdict != OK:
				found.append(verdict)
		CONFIGURES_CLOSED when holds and verdict == OK:
			found = [ERR_ALREADY_IN_USE]
	return found


## Arguments that work: see [method Argument.good].
func good(new_name: String, old_name: String) -> Array:
	return arguments.map(
		func(argument: Argument) -> Variant: return argument.good(new_name, old_name)
	)


## The source of a static function that calls it with the first [param count] arguments.
func typed_source(of_class: String, count: int) -> String:
	var body := "return " + _call_source(of_class, count)
	if returns == TYPE_NIL and not returns_any:
		body = _call_source(of_class, count) + "\n\treturn null"
	return (
		"static func %s_%d(%s) -> Variant:\n\t%s\n"
		% [name, count, _parameters(of_class, count, true), body]
	)


## The source of a static function that repeats the call: its first argument is the number of
## times. The object's type is declared or not. A method that opens a segment is followed by
## close().
func loop_source(of_class: String, count: int, is_typed: bool) -> String:
	var label := "loop_%s_%d_%s" % [name, count, "typed" if is_typed else "untyped"]
	var lines := ["for _i in times:", "\t" + _call_source(of_class, count)]
	if kind == OPENS:
		lines.append("\tobject.close()")
	return (
		"static func %s(times: int, %s) -> void:\n\t%s\n"
		% [label, _parameters(of_class, count, is_typed), "\n\t".join(lines)]
	)


func _call_source(of_class: String, count: int) -> String:
	var names := range(count).map(func(index: int) -> String: return "a%d" % index)
	return "%s.%s(%s)" % [of_class if kind == STATIC else "object", name, ", ".join(names)]


func _parameters(of_class: String, count: int, is_typed: bool) -> String:
	var parameters := ["object: " + (of_class if is_typed else "Variant")]
	for index in count:
		var argument := arguments[index]
		var type := type_string(argument.type)
		if argument.type == TYPE_OBJECT:
			type = argument.class_of_it
		elif argument.type == TYPE_NIL:
			type = "Variant"
		parameters.append("a%d: %s" % [index, type if is_typed else "Variant"])
	return ", ".join(parameters)
