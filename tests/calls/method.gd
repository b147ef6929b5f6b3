extends RefCounted
## A method: its arguments, what it does, and how it fails.

enum {
	## Makes the object hold a segment: ERR_ALREADY_IN_USE if it holds one.
	TAKES,
	## Needs a segment: ERR_UNCONFIGURED if there is none.
	READS,
	## The same, and needs permission: ERR_UNAUTHORIZED if it is open for reading only.
	WRITES,
	## The same; and says nothing.
	POLLS,
	## Changes the object.
	SETS,
	## The same, but not while it holds a segment: ERR_ALREADY_IN_USE.
	SETS_IF_FREE,
	## Always works, and changes nothing.
	ASKS,
	## Always works.
	DOES,
	## Needs no object.
	STATIC,
}

const Argument := preload("res://calls/argument.gd")

var name: String
var does: int
var arguments: Array[Argument] = []
## How many of them have no default.
var required: int
## What it returns if it fails, where that isn't an [enum Error] or an empty value.
var fails_with: Variant
## The type of what it returns; TYPE_NIL is nothing, or [member returns_any].
var returns: int
## It returns values of any type.
var returns_any: bool
## It returns an [enum Error].
var returns_code: bool


## What it returns if it fails.
func failure(code: Error) -> Variant:
	if fails_with != null:
		return fails_with
	return code if returns_code else Argument.empty(returns)


## Whether a value is of the type that it returns.
func may_return(value: Variant) -> bool:
	return returns_any or typeof(value) == returns


## What it may return, or leave as the last error, on an object that holds a segment or not, and may
## not write to it: if the arguments alone get this [param verdict].
func codes(verdict: Error, holds: bool, is_reader: bool) -> Array[Error]:
	var found: Array[Error] = [verdict]
	match does:
		TAKES when holds:
			found = [ERR_ALREADY_IN_USE]
		TAKES when verdict == ERR_OUT_OF_MEMORY:
			# Or no number of bytes that this system can count.
			found = [ERR_OUT_OF_MEMORY, ERR_INVALID_PARAMETER]
		READS, WRITES, POLLS when not holds:
			found = [ERR_UNCONFIGURED]
		POLLS when is_reader:
			# Who takes messages out can't.
			found = [verdict, ERR_UNAUTHORIZED]
		WRITES when is_reader:
			# A bad argument and no permission: whichever it tells of.
			found = [ERR_UNAUTHORIZED]
			if verdict != OK:
				found.append(verdict)
		SETS_IF_FREE when holds and verdict == OK:
			found = [ERR_ALREADY_IN_USE]
	return found


## Arguments that work: see [method Argument.good].
func good(new_name: String, old_name: String) -> Array:
	return arguments.map(
		func(argument: Argument) -> Variant: return argument.good(new_name, old_name)
	)


## A call of it with the first [param count] arguments, as source of a static function.
func typed_source(of_class: String, count: int) -> String:
	var body := "return " + _call_source(of_class, count)
	if returns == TYPE_NIL and not returns_any:
		body = _call_source(of_class, count) + "\n\treturn null"
	return (
		"static func %s_%d(%s) -> Variant:\n\t%s\n"
		% [name, count, _parameters(of_class, count, true), body]
	)


## The same call again and again, as often as the first argument says. On an object that is declared
## or not. What takes a segment lets go of it each time.
func loop_source(of_class: String, count: int, is_typed: bool) -> String:
	var label := "loop_%s_%d_%s" % [name, count, "typed" if is_typed else "untyped"]
	var lines := ["for _i in times:", "\t" + _call_source(of_class, count)]
	if does == TAKES:
		lines.append("\tobject.close()")
	return (
		"static func %s(times: int, %s) -> void:\n\t%s\n"
		% [label, _parameters(of_class, count, is_typed), "\n\t".join(lines)]
	)


func _call_source(of_class: String, count: int) -> String:
	var names := range(count).map(func(index: int) -> String: return "a%d" % index)
	return "%s.%s(%s)" % [of_class if does == STATIC else "object", name, ", ".join(names)]


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
