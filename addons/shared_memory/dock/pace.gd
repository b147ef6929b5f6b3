@tool
extends RefCounted
## Repeats some work at an interval. Work that takes long is repeated more seldom, so that the
## editor stays usable with thousands of segments or with large images.

## The work gets one part of the time in this many.
const SHARE := 10

var _interval_usec: int
var _next := 0


func _init(interval_seconds: float) -> void:
	_interval_usec = roundi(interval_seconds * 1e6)


## Does the work if it is due.
func follow(work: Callable) -> void:
	var start := Time.get_ticks_usec()
	if start < _next:
		return
	work.call()
	_next = start + maxi(_interval_usec, (Time.get_ticks_usec() - start) * SHARE)


## Makes the work due at once.
func hurry() -> void:
	_next = 0
