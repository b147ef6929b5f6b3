extends "res://test_case.gd"
## Thousands of segments and calls one after the other: no growth in open files, mappings or memory.
##
## SHM_TEST_ROUNDS sets how often each method is called.

# time limit: 400 s
# same for every user

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

const CYCLES := 10_000
## Methods that read long lists of the system: called less often, and losing more if they leak.
const SLOW := ["get_users", "list_segments", "create", "open"]

## The other side of the peer that is called.
var _partner: SharedMemoryPeer


func test_create_and_close_leave_nothing() -> void:
	var memory := SharedMemory.new()
	var name := unique_name()
	_repeat(
		func() -> bool:
			var done := memory.create(name, 4096) == OK and memory.fill(1) == OK
			memory.close()
			return done
	)


func test_create_and_free_leave_nothing() -> void:
	var name := unique_name()
	_repeat(func() -> bool: return SharedMemory.new().create(name, 4096) == OK)


func test_open_and_close_leave_nothing() -> void:
	var owner := created(4096)
	var memory := SharedMemory.new()
	var name := owner.get_name()
	_repeat(
		func() -> bool:
			var done := memory.open(name) == OK and memory.write(bytes([1])) == OK
			memory.close()
			return done
	)


func test_failures_leave_nothing() -> void:
	var owner := created(4096)
	var taken := owner.get_name()
	var absent := unique_name()
	var memory := SharedMemory.new()
	_repeat(
		func() -> bool:
			return (
				memory.open(absent) == ERR_DOES_NOT_EXIST
				and memory.create(taken, 16) == ERR_ALREADY_EXISTS
				and memory.create(absent, 1 << 40) == ERR_OUT_OF_MEMORY
			)
	)


func test_read_and_write_leave_nothing() -> void:
	var memory := created(100_000)
	var data := pattern(100_000)
	var buffer: Variant = pattern(100_000)
	var untyped: Variant = memory
	_repeat(
		func() -> bool:
			memory.write(data)
			untyped.write(data)
			untyped.read_into(buffer)
			return memory.read().size() == untyped.read().size()
	)


func test_static_methods_leave_nothing() -> void:
	var name := unique_name()
	_repeat(
		func() -> bool:
			SharedMemory.list_names()
			SharedMemory.generate_name()
			return not SharedMemory.exists(name)
	)


func test_peers_that_open_and_close_leave_nothing() -> void:
	var peer := SharedMemoryPeer.new()
	var name := unique_name()
	_repeat(
		func() -> bool:
			var done := peer.open(name, 4096) == OK
			peer.close()
			return done and SharedMemoryPeer.new().open(name, 4096) == OK
	)


func test_peers_that_talk_and_end_leave_nothing() -> void:
	var survivor := SharedMemoryPeer.new()
	var name := unique_name()
	assert_code(survivor.open(name, 4096), OK, "open")
	var values := [{"a": [1, "b"]}, "text", PackedFloat32Array([1, 2]), pattern(100)]
	_repeat(
		func() -> bool:
			var partner := SharedMemoryPeer.new()
			var done := partner.open(name, 4096) == OK
			# Each answers the other one in its own calls.
			for _look in 10:
				if survivor.get_status() + partner.get_status() == 4:
					break
			for value: Variant in values:
				done = partner.send(value) == OK and survivor.send(value) == OK and done
				done = survivor.receive() != null and partner.receive() != null and done
			done = partner.put_var(7) == OK and survivor.get_var() == 7 and done
			done = survivor.put_packet(pattern(9)) == OK and done
			# Another message waits when the request gives up, and is kept for receive().
			partner.send("kept")
			done = survivor.request("no answer", 0) == null and done
			partner.close()
			return survivor.receive() == "kept" and survivor.poll() == OK and done
	)


## Typed, untyped, and with arguments left out.
func test_calls_of_every_method_leave_nothing() -> void:
	var rounds := int(effort("SHM_TEST_ROUNDS", 30_000))
	var calls := 0
	for case: Array in [["SharedMemory", false]] + Methods.ATTACHED:
		Argument.is_native = case[1]
		var methods := Methods.new(case[0], case[1])
		for method in methods.all:
			for count in range(methods.fewest(method), method.arguments.size() + 1):
				for is_typed: bool in [true, false]:
					calls += 1
					_check_method(case, method, count, is_typed, rounds)
	calls += _check_peer(rounds)
	note("%d calls, %d times each" % [calls, rounds])


## The methods of a peer, except those that it inherits: some of these print errors.
func _check_peer(rounds: int) -> int:
	var methods := Methods.new("SharedMemoryPeer")
	_partner = SharedMemoryPeer.new()
	var calls := 0
	for method in methods.all:
		if method.name in Methods.OF_PACKET_PEER:
			continue
		for count in range(method.required, method.arguments.size() + 1):
			for is_typed: bool in [true, false]:
				calls += 1
				_check_method(["SharedMemoryPeer", true], method, count, is_typed, rounds)
	_partner = null
	return calls


func _check_method(
	case: Array, method: Method, count: int, is_typed: bool, most_rounds: int
) -> void:
	var of_class: String = case[0]
	var is_native: bool = case[1]
	var is_slow := method.name in SLOW
	# Fewer would be less than what the first calls take for good.
	var rounds := maxi(most_rounds / 20, 1500) if is_slow else most_rounds
	var script := GDScript.new()
	script.source_code = "extends RefCounted\n" + method.loop_source(of_class, count, is_typed)
	if not assert_eq(script.reload(), OK, "it compiles"):
		return
	var memory := created(Methods.size_for(is_native))
	Argument.memory = memory
	var object: RefCounted = memory
	if method.kind in [Method.OPENS, Method.CONFIGURES_CLOSED]:
		object = ClassDB.instantiate(of_class)
	elif of_class == "SharedMemoryPeer":
		_partner.close()
		object = SharedMemoryPeer.new()
		var name := unique_name()
		for side: SharedMemoryPeer in [object, _partner]:
			assert_code(side.open(name, 4096), OK, "open")
		while object.get_status() + _partner.get_status() < 4:
			pass
	elif of_class != "SharedMemory":
		object = ClassDB.instantiate(of_class)
		var attach := Methods.attach_arguments(of_class, is_native)
		assert_code(object.callv("attach", [memory] + attach), OK, of_class)
	var arguments := method.good(unique_name(), memory.get_name())
	if method.name == "attach":
		arguments = [memory] + Methods.attach_arguments(of_class, is_native)
		# The rest of them are the defaults.
		arguments += method.good("", "").slice(arguments.size())
	var loop := Callable(
		script, "loop_%s_%d_%s" % [method.name, count, "typed" if is_typed else "untyped"]
	)
	var run := func(times: int) -> void: loop.callv([times, object] + arguments.slice(0, count))
	# First, so that one-time allocations are not counted.
	run.call(100)
	var before := [OS.get_static_memory_usage(), _state()]
	run.call(rounds)
	var after := [OS.get_static_memory_usage(), _state()]
	var why := "%s.%s, %d arguments, %s" % [case, method.name, count, is_typed]
	var grown: int = after[0] - before[0]
	# Less than a byte a call.
	assert_true(grown < rounds, "%s: the engine's memory: %d" % [why, grown])
	if not before[1].is_empty():
		assert_true(after[1].files <= before[1].files, "%s: open files" % why)
		# The engine does not count this library's own memory.
		# The smallest allocation of malloc's has 32 bytes: one lost in each call is 940 KiB.
		var kib: int = after[1].kib - before[1].kib
		assert_true(
			kib * 1024 < (2000 if is_slow else 25) * rounds, "%s: memory in KiB: %d" % [why, kib]
		)


func test_open_files_can_be_counted() -> void:
	var before := _state()
	if before.is_empty():
		return skip("reads /proc")
	var file := FileAccess.open("/proc/self/maps", FileAccess.READ)
	assert_eq(_state().files, before.files + 1, "with one more")
	file.close()
	assert_eq(_state().files, before.files, "without it")


## Many at once, and all of them gone afterwards.
func test_many_objects_leave_nothing() -> void:
	# First, so that the descriptor that the first segment opens for good is not counted.
	assert_eq(SharedMemory.new().create(unique_name(), 4096), OK)
	var before := _state()
	for round_number in 3:
		var objects: Array[SharedMemory] = []
		for index in 300:
			var memory := SharedMemory.new()
			if memory.create(unique_name(), 4096) == OK:
				objects.append(memory)
		assert_eq(objects.size(), 300, "all were made")
		var during := _state()
		if not during.is_empty():
			assert_true(during.mappings >= before.mappings + 300, "mappings can be counted")
		objects.clear()
	var after := _state()
	if before.is_empty():
		return
	assert_true(after.files <= before.files, "open files: %s, then %s" % [before, after])
	assert_true(after.mappings <= before.mappings + 20, "mappings: %s, then %s" % [before, after])


func _repeat(cycle: Callable) -> void:
	# First, so that one-time allocations are not counted.
	var done := _run(cycle, 500)
	var before := _state()
	done = _run(cycle, CYCLES) and done
	var after := _state()
	assert_true(done, "every cycle did what it should")
	if before.is_empty():
		return
	assert_true(after.files <= before.files, "open files: %s, then %s" % [before, after])
	assert_true(after.mappings <= before.mappings + 5, "mappings: %s, then %s" % [before, after])
	# 100 bytes a cycle would be 1,000.
	assert_true(after.kib <= before.kib + 500, "memory in KiB: %s, then %s" % [before, after])


func _run(cycle: Callable, times: int) -> bool:
	var done := true
	for index in times:
		done = cycle.call() and done
	return done


## Open files, mappings, resident memory; empty where the system doesn't tell.
func _state() -> Dictionary:
	if not is_linux():
		return {}
	var state := {}
	state.files = DirAccess.get_files_at("/proc/self/fd").size()
	state.mappings = lines_of("/proc/self/maps").size()
	for line in lines_of("/proc/self/status"):
		if line.begins_with("VmRSS:"):
			state.kib = line.to_int()
	return state
