extends "res://test_case.gd"
## get_info(), get_users(), list_segments() and get_owner_state(): what is known of a segment.

const KEYS: Array[String] = [
	"size",
	"scope",
	"owner_state",
	"is_mine",
	"backend",
	"layout",
	"incarnation",
	"sequence",
	"newest_age_usec",
]


func test_get_info_describes_each_scope() -> void:
	for scope: SharedMemory.Scope in [SharedMemory.LOCAL_SCOPE, SharedMemory.GLOBAL_SCOPE]:
		var memory := created(16, scope)
		var info := SharedMemory.get_info(memory.get_name())
		assert_eq(info.keys(), KEYS as Array, "the keys")
		assert_eq(info["size"], memory.get_mapped_size(), "size")
		assert_eq(info["scope"], scope, "scope")
		assert_eq(info["is_mine"], true, "is_mine")
		assert_eq(info["backend"], SharedMemory.BACKEND_NATIVE, "backend")
		var others: Array = [info["layout"], info["incarnation"], info["sequence"]]
		assert_eq(others, ["", 0, 0], "what only a layout tells")
		assert_eq(info["newest_age_usec"], -1, "no message")
		memory.close()
		assert_eq(SharedMemory.get_info(memory.get_name()), {}, "nothing has the name")


func test_get_info_is_empty_for_what_is_no_segment() -> void:
	assert_eq(SharedMemory.get_info(unique_name()), {}, "an unused name")
	for bad: String in ["", "a/b", "x".repeat(300)]:
		assert_eq(SharedMemory.get_info(bad), {}, "the name '%s'" % bad)
		assert_eq(SharedMemory.get_users(bad), PackedInt32Array(), "the name '%s'" % bad)
	assert_eq(
		SharedMemory.get_info(OS.get_user_data_dir(), SharedMemory.BACKEND_FILE), {}, "a folder"
	)


func test_get_info_refuses_an_unknown_backend() -> void:
	for bad in numbers_outside("Backend"):
		expect_error("SharedMemory.get_info(): ")
		assert_eq(SharedMemory.get_info("name", bad), {}, "backend %d" % bad)
		expect_error("SharedMemory.get_users(): ")
		assert_eq(SharedMemory.get_users("name", bad), PackedInt32Array(), "backend %d" % bad)


func test_creator_is_alive_and_its_owner_state_ends_with_close() -> void:
	var memory := created(16)
	var other := opened(memory)
	assert_eq(memory.get_owner_state(), SharedMemory.OWNER_ALIVE, "the creator")
	if not is_linux():
		return skip("only the creator knows")
	assert_eq(other.get_owner_state(), SharedMemory.OWNER_ALIVE, "an opener")
	memory.close()
	assert_eq(memory.get_owner_state(), SharedMemory.OWNER_UNKNOWN, "no segment is open")
	assert_eq(other.get_owner_state(), SharedMemory.OWNER_DEAD, "the creator has closed it")


func test_segment_of_another_program_has_no_known_owner() -> void:
	if not is_linux():
		return skip("makes files in /dev/shm")
	var name := unique_name()
	make_foreign(name, 16)
	var memory := SharedMemory.new()
	assert_code(memory.open(name), OK, "open")
	assert_eq(memory.get_owner_state(), SharedMemory.OWNER_UNKNOWN, "get_owner_state")
	assert_eq(SharedMemory.get_info(name)["owner_state"], SharedMemory.OWNER_UNKNOWN, "get_info")
	remove_foreign(name)


func test_get_users_has_this_process() -> void:
	if not is_linux():
		return skip("the system doesn't tell")
	var memory := created(16)
	var users: PackedInt32Array = SharedMemory.get_users(memory.get_name())
	assert_eq(users, PackedInt32Array([OS.get_process_id()]), "the creator")
	memory.close()


## Stores a layout with five messages, as docs/FORMAT.md describes it. The newest of "latest" is in
## slot 0, and its time is unknown.
func lay_out(memory: SharedMemory, layout: String) -> void:
	var is_stream := layout == "latest"
	memory.fill(0)
	memory.encode_u16(4, 1)
	memory.encode_u32(8, 1 if is_stream else 2)
	memory.encode_u32(12, 128)
	memory.encode_u64(24, -5)
	memory.encode_u64(40, 1000)
	memory.encode_u32(48, 1)
	memory.encode_u64(56, 128)
	if is_stream:
		memory.encode_u64(16, 256 + 128 + 128 + 3 * 256)
		memory.encode_u64(256, 1005 * 256)
		memory.encode_u64(512, 1005)
		memory.encode_u32(512 + 24, 1)
	else:
		memory.encode_u64(16, 256 + 256 + 128)
		memory.encode_u64(256, 40)
		memory.encode_u64(256 + 32, 40)
		memory.encode_u64(256 + 40, 5)
	memory.encode_u32(0, 0x314D5347)


func layout_of(memory: SharedMemory) -> Array:
	var info := SharedMemory.get_info(memory.get_name())
	return [info["layout"], info["incarnation"], info["sequence"], info["newest_age_usec"]]


func test_get_info_counts_messages_of_a_native_layout() -> void:
	var memory := created(4096)
	assert_eq(layout_of(memory), ["", 0, 0, -1], "zeros")
	for layout: String in ["latest", "lanes"]:
		lay_out(memory, layout)
		assert_eq(layout_of(memory), [layout, -5, 5, -1], layout)
		if is_linux():
			var listed := SharedMemory.list_segments()
			var same := func(segment): return segment["name"] == memory.get_name()
			assert_eq(listed.filter(same)[0]["sequence"], 5, "list_segments")
	lay_out(memory, "latest")
	# One nanosecond after the system has started.
	memory.encode_u64(512 + 16, 1)
	assert_true(layout_of(memory)[3] > 0, "the age of an old message")
	memory.encode_u64(512 + 16, 1 << 62)
	assert_eq(layout_of(memory)[3], -1, "a message from the future")


func test_get_info_tells_nothing_of_a_header_that_is_not_valid() -> void:
	var memory := created(4096)
	for layout: String in ["latest", "lanes"]:
		for offset: int in [0, 4, 8, 12, 16, 24, 32, 48, 56]:
			for value: int in [0, 999, 0xFFFF, 0xFFFFFFFF]:
				lay_out(memory, layout)
				var before := memory.decode_u32(offset)
				memory.encode_u32(offset, value)
				# Any incarnation and no feature is valid.
				if value == before or offset == 24:
					continue
				assert_eq(
					layout_of(memory), ["", 0, 0, -1], "%s: %d at %d" % [layout, value, offset]
				)
		lay_out(memory, layout)
		memory.encode_u64(24, 0)
		assert_eq(layout_of(memory), ["", 0, 0, -1], "a reset that isn't finished")
		lay_out(memory, layout)
		memory.encode_u64(256, -1)
		assert_eq(layout_of(memory), ["", 0, 0, -1], "counters that can't be right")


func test_list_segments_describes_what_list_names_has() -> void:
	var memory := created(16)
	# Compiles only if the method is declared to return an array of dictionaries.
	var segments: Array[Dictionary] = SharedMemory.list_segments()
	if not is_linux():
		return skip("the system can't list them")
	var found := segments.filter(func(segment): return segment["name"] == memory.get_name())
	assert_eq(found.size(), 1, "once")
	var expected := SharedMemory.get_info(memory.get_name())
	expected["name"] = String(memory.get_name())
	assert_eq(found[0], expected, "as get_info() has it")


func test_untyped_calls_return_the_same() -> void:
	var memory: Variant = created(16)
	var name: String = memory.get_name()
	assert_eq(memory.call("get_owner_state"), SharedMemory.OWNER_ALIVE as int, "get_owner_state")
	assert_eq(memory.call("get_info", name), SharedMemory.get_info(name), "get_info")
	assert_eq(memory.call("get_info", name, 0), SharedMemory.get_info(name), "get_info")
	assert_eq(memory.call("get_users", name), SharedMemory.get_users(name), "get_users")
	assert_eq(memory.call("list_segments").get_typed_builtin(), TYPE_DICTIONARY, "list_segments")


func test_info_is_told_in_a_thread_while_the_segment_comes_and_goes() -> void:
	var name := unique_name()
	var thread := Thread.new()
	var is_done := [false]
	var look := func() -> Array:
		var seen := 0
		var torn := 0
		while not is_done[0]:
			var info := SharedMemory.get_info(name)
			if not info.is_empty():
				seen += int(info["size"] >= 16)
				torn += int(not info["size"] in [0, 16])
			SharedMemory.list_segments()
		return [seen, torn]
	thread.start(look)
	for attempt in 300:
		var memory := SharedMemory.new()
		assert_code(memory.create(name, 16), OK, "create")
		memory.close()
	is_done[0] = true
	var counts: Array = thread.wait_to_finish()
	note("seen %d times" % counts[0])
	assert_eq(counts[1], 0, "sizes that no segment had")
