extends "res://test_case.gd"
## The base of the tests of SharedMemoryPeer.

## The bytes of a buffer.
const BUFFER := 4096
const LONG_MSEC := 20_000


## Two sides that are connected, under a new name.
func connected() -> Array[SharedMemoryPeer]:
	var name := unique_name()
	var sides: Array[SharedMemoryPeer] = [SharedMemoryPeer.new(), SharedMemoryPeer.new()]
	for side in sides:
		assert_code(side.open(name, BUFFER), OK, "open")
	connect_sides(sides)
	return sides


## Waits until both sides say that they are connected. Each answers the other one in its own calls.
func connect_sides(sides: Array[SharedMemoryPeer]) -> void:
	var start := Time.get_ticks_msec()
	while Time.get_ticks_msec() - start < LONG_MSEC:
		var states := sides.map(func(side: SharedMemoryPeer) -> int: return side.get_status())
		if states == [SharedMemoryPeer.STATUS_CONNECTED, SharedMemoryPeer.STATUS_CONNECTED]:
			return
	fail("the sides don't find each other")
