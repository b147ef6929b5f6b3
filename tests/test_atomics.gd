extends "res://test_case.gd"
## Atomic accesses to words: their results, their limits, and many threads at one word.

const MIN := -9223372036854775808
const MAX := 9223372036854775807
const MAX_U32 := 0xFFFFFFFF
const THREADS := 4
const ROUNDS := 5000
const WORDS := {"u32": 4, "s64": 8}


func test_words_are_changed_and_the_previous_one_is_returned() -> void:
	var memory := created(32)
	assert_code(memory.atomic_store_u32(4, 0x04030201), OK, "store")
	assert_eq(memory.read(8, 0), bytes([0, 0, 0, 0, 1, 2, 3, 4]), "little-endian")
	assert_eq(memory.atomic_load_u32(4), 0x04030201, "load")
	assert_eq(memory.atomic_exchange_u32(4, MAX_U32), 0x04030201, "exchange")
	assert_eq(memory.atomic_add_u32(4, 3), MAX_U32, "add")
	assert_eq(memory.atomic_load_u32(4), 2, "it wraps around")
	assert_eq(memory.atomic_add_u32(4, -3), 2, "add a negative number")
	assert_eq(memory.atomic_compare_exchange_u32(4, 7, 8), MAX_U32, "another word is there")
	assert_eq(memory.atomic_compare_exchange_u32(4, MAX_U32, 8), MAX_U32, "the expected one is")
	assert_eq(memory.atomic_load_u32(4), 8, "stored once")

	assert_code(memory.atomic_store_s64(8, -2), OK, "store")
	assert_eq(memory.decode_s64(8), -2, "little-endian")
	assert_eq(memory.atomic_load_s64(8), -2, "load")
	assert_eq(memory.atomic_exchange_s64(8, MAX), -2, "exchange")
	assert_eq(memory.atomic_add_s64(8, 2), MAX, "add")
	assert_eq(memory.atomic_load_s64(8), MIN + 1, "it wraps around")
	assert_eq(memory.atomic_add_s64(8, MIN), MIN + 1, "add a negative number")
	assert_eq(memory.atomic_compare_exchange_s64(8, 7, 8), 1, "another word is there")
	assert_eq(memory.atomic_compare_exchange_s64(8, 1, MIN), 1, "the expected one is")
	assert_eq(memory.atomic_load_s64(8), MIN, "stored once")
	assert_eq(memory.read(8, 16), bytes([0, 0, 0, 0, 0, 0, 0, 0]), "the bytes behind it")
	assert_last_error(memory, OK)


func test_untyped_calls_do_the_same() -> void:
	var memory: Variant = created(32)
	assert_code(memory.atomic_store_u32(4, 5), OK, "store")
	assert_eq(memory.callv("atomic_add_u32", [4, 2]), 5, "add")
	assert_eq(memory.atomic_exchange_u32(4, 9), 7, "exchange")
	assert_eq(memory.atomic_compare_exchange_u32(4, 9, 1), 9, "compare_exchange")
	assert_eq(memory.atomic_load_u32(4), 1, "load")
	assert_code(memory.atomic_store_s64(8, -5), OK, "store")
	assert_eq(memory.atomic_add_s64(8, 2), -5, "add")
	assert_eq(memory.atomic_exchange_s64(8, 9), -3, "exchange")
	assert_eq(memory.callv("atomic_compare_exchange_s64", [8, 9, -1]), 9, "compare_exchange")
	assert_eq(memory.atomic_load_s64(8), -1, "load")


func test_misaligned_words_are_refused_with_the_alignment() -> void:
	var memory := created(32)
	var calls := {
		"atomic_load_%s": [],
		"atomic_store_%s": [1],
		"atomic_add_%s": [1],
		"atomic_exchange_%s": [1],
		"atomic_compare_exchange_%s": [0, 1],
	}
	for kind: String in WORDS:
		for pattern_of_name: String in calls:
			var method := pattern_of_name % kind
			for offset: int in [1, 2, WORDS[kind] / 2, WORDS[kind] + 1]:
				expect_error("SharedMemory.%s(): byte_offset must be a multiple of" % method)
				memory.callv(method, [offset] + calls[pattern_of_name])
				var limit := "a multiple of %d, not %d" % [WORDS[kind], offset]
				assert_last_error(memory, ERR_INVALID_PARAMETER, ["byte_offset", limit])
			for offset: int in [-8, 32, 40, MAX - 7]:
				expect_error("SharedMemory.%s(): " % method)
				memory.callv(method, [offset] + calls[pattern_of_name])
				assert_last_error(memory, ERR_INVALID_PARAMETER, ["offset", str(offset)])
	assert_eq(memory.read(), bytes(range(32).map(func(_i: int) -> int: return 0)), "unchanged")


func test_numbers_of_more_than_32_bits_are_refused() -> void:
	var memory := created(8)
	memory.atomic_store_u32(4, 7)
	for value: int in [-1, MAX_U32 + 1, MIN, MAX]:
		for call: Array in [
			["atomic_store_u32", "value", [4, value]],
			["atomic_exchange_u32", "value", [4, value]],
			["atomic_compare_exchange_u32", "expected", [4, value, 1]],
			["atomic_compare_exchange_u32", "desired", [4, 7, value]],
		]:
			expect_error("SharedMemory.%s(): %s must be from 0 to" % [call[0], call[1]])
			memory.callv(call[0], call[2])
			var limit := "%s must be from 0 to 4294967295, not %d" % [call[1], value]
			assert_last_error(memory, ERR_INVALID_PARAMETER, [limit])
	for value: int in [-MAX_U32 - 1, MAX_U32 + 1, MIN, MAX]:
		expect_error("SharedMemory.atomic_add_u32(): value must be from -4294967295")
		assert_eq(memory.atomic_add_u32(4, value), 0, "add %d" % value)
	assert_eq(memory.atomic_add_u32(4, -MAX_U32), 7, "the lowest number")
	assert_eq(memory.atomic_add_u32(4, MAX_U32), 8, "the highest number")
	assert_eq(memory.atomic_load_u32(4), 7, "both together")


func test_reader_loads_and_changes_nothing() -> void:
	var owner := created(16)
	owner.atomic_store_u32(0, 7)
	owner.atomic_store_s64(8, -7)
	var reader := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	assert_eq([reader.atomic_load_u32(0), reader.atomic_load_s64(8)], [7, -7], "load")
	for kind: String in WORDS:
		var code: Error = reader.call("atomic_store_" + kind, 8, 1)
		assert_code(code, ERR_UNAUTHORIZED, "store")
		for call: Array in [
			["add", [8, 1]], ["exchange", [8, 1]], ["compare_exchange", [8, -7, 1]]
		]:
			if kind == "u32" and call[0] == "compare_exchange":
				call[1][1] = 7
			assert_eq(reader.callv("atomic_%s_%s" % [call[0], kind], call[1]), 0, call[0])
			assert_last_error(reader, ERR_UNAUTHORIZED)
	assert_eq([owner.atomic_load_u32(0), owner.atomic_load_s64(8)], [7, -7], "unchanged")


## Threads of one object, and of several objects that have the same segment.
func test_no_change_of_a_thread_is_lost() -> void:
	var owner := created(64)
	var work := func(number: int) -> Array:
		var memory := owner
		if number % 2 == 1:
			memory = SharedMemory.new()
			memory.open(owner.get_name())
		var untyped: Variant = memory
		var problems := []
		for round_number in ROUNDS:
			memory.atomic_add_u32(0, 1)
			untyped.atomic_add_s64(8, -3)
			# A lock of one word, around a counter that isn't atomic.
			while memory.atomic_compare_exchange_u32(4, 0, 1) != 0:
				pass
			memory.encode_u32(16, memory.decode_u32(16) + 1)
			if memory.atomic_exchange_u32(4, 0) != 1:
				problems.append("the lock was free in round %d" % round_number)
		return problems
	var threads: Array[Thread] = []
	for number in THREADS:
		var thread := Thread.new()
		thread.start(work.bind(number))
		threads.append(thread)
	for thread in threads:
		assert_eq(thread.wait_to_finish(), [], "problems")
	var all := THREADS * ROUNDS
	assert_eq(owner.atomic_load_u32(0), all, "the sum of 32 bits")
	assert_eq(owner.atomic_load_s64(8), -3 * all, "the sum of 64 bits")
	assert_eq(owner.decode_u32(16), all, "the counter under the lock")
