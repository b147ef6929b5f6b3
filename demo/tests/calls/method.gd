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

const Argument := preload("res://tests/calls/argument.gd")

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
	var parameters := ["object: " + of_class]
	var names := []
	for index in count:
		names.append("a%d" % index)
		var argument := arguments[index]
		var type := type_string(argument.type)
		if argument.type == TYPE_OBJECT:
			type = argument.class_of_it
		elif argument.type == TYPE_NIL:
			type = "Variant"
		parameters.append("a%d: %s" % [index, type])
	var of := of_class if does == STATIC else "object"
	var call_of_it := "%s.%s(%s)" % [of, name, ", ".join(names)]
	var body := "return " + call_of_it
	if returns == TYPE_NIL and not returns_any:
		body = call_of_it + "\n\treturn null"
	return "static func %s_%d(%s) -> Variant:\n\t%s\n" % [name, count, ", ".join(parameters), body]
