extends RefCounted
## A statement in a typed loop of its own.
##
## The statement stands there as a user would write it. Called through a Callable, it would be
## measured with a call of the engine's around it.
##
## The loop is compiled when the program runs, so that a measurement is one line. If the library at
## hand lacks a method, its measurement can be left out.

const SOURCE := """
extends RefCounted

static func run(times: int, %s) -> int:
	var start := Time.get_ticks_usec()
	for _i in times:
		%s
	return Time.get_ticks_usec() - start
"""

var _script := GDScript.new()
var _values: Array


## [param variables]: what the statement uses; its keys are declarations, such as "bytes:
## PackedByteArray".
func _init(statement: String, variables: Dictionary) -> void:
	_script.source_code = SOURCE % [", ".join(PackedStringArray(variables.keys())), statement]
	if _script.reload() != OK:
		push_error("can't compile: " + statement)
	_values = variables.values()


## Executes the statement [param times] times, and returns the microseconds that this took.
func run(times: int) -> int:
	return _script.callv("run", [times] + _values)


## Returns a number of executions that take [param usec] microseconds, about.
func times_for(usec: int) -> int:
	var times := 1
	while true:
		var took := maxi(1, run(times))
		if took >= usec / 4:
			return maxi(1, times * usec / took)
		times *= 4
	return times


## Nanoseconds of one execution of each statement, less the empty loop: a list with one value a
## round. In every round all the statements have their turn, so that what else the machine does
## meets all of them alike.
static func compare(
	statements: Dictionary, variables: Dictionary, rounds: int, batch_usec: int
) -> Dictionary:
	var empty := new("pass", variables)
	var empty_times := empty.times_for(batch_usec)
	var loops := {}
	var times := {}
	var samples := {}
	for name: String in statements:
		loops[name] = new(statements[name], variables)
		times[name] = loops[name].times_for(batch_usec)
		samples[name] = []
	for _round in rounds:
		var less := empty.run(empty_times) * 1000.0 / empty_times
		for name: String in statements:
			samples[name].append(loops[name].run(times[name]) * 1000.0 / times[name] - less)
	return samples
