extends "res://test_case.gd"
## Texts in the memory.

# same for every user

const WIDTHS := {
	SharedMemory.TEXT_UTF8: 1,
	SharedMemory.TEXT_LATIN1: 1,
	SharedMemory.TEXT_UTF16: 2,
	SharedMemory.TEXT_UTF32: 4,
}


func test_texts_are_read_as_written() -> void:
	var memory := created(64)
	for text: String in ["a", "Hello!", "äöü€", "😀", "line\nline"]:
		memory.fill(255)
		assert_code(memory.write_string(text, 3), OK, text)
		assert_eq(memory.read_string(0, 3), text, "back")
		var raw := text.to_utf8_buffer()
		assert_eq(memory.read(raw.size(), 3), raw, "its bytes")
		assert_eq(memory.read(2, 3 + raw.size()), bytes([0, 255]), "a NUL behind it")


func test_empty_text_is_a_nul() -> void:
	var memory := created(4)
	memory.write(bytes([1, 2, 3, 4]))
	assert_code(memory.write_string("", 1), OK, "write")
	assert_eq(memory.read(), bytes([1, 0, 3, 4]), "one NUL")
	assert_eq(memory.read_string(), "\u0001", "up to it")
	assert_eq(memory.read_string(0, 1), "", "from it")
	assert_last_error(memory, OK)


func test_nul_is_written_where_it_fits() -> void:
	var memory := created(5)
	assert_code(memory.write_string("12345"), OK, "all of it")
	assert_eq(memory.read_string(), "12345", "no NUL is needed at the end")
	assert_code(memory.write_string("1234"), OK, "one less")
	assert_eq(memory.read(), bytes([49, 50, 51, 52, 0]), "with one")
	expect_error(
		"SharedMemory.write_string(): the text has 6 bytes of UTF-8; from byte 0 on there are 5"
	)
	assert_code(memory.write_string("abcdef"), ERR_INVALID_PARAMETER, "too long")
	expect_error("write_string(): the text has 4 bytes of UTF-8; from byte 2 on there are 3")
	assert_code(memory.write_string("€a", 2), ERR_INVALID_PARAMETER, "too long in bytes")
	assert_eq(memory.read(), bytes([49, 50, 51, 52, 0]), "nothing was written")


func test_max_bytes_limits_the_read() -> void:
	var memory := created(10)
	memory.write_string("0123456789")
	assert_eq(memory.read_string(4), "0123", "4")
	assert_eq(memory.read_string(4, 8), "89", "the end comes first")
	assert_eq(memory.read_string(9223372036854775807), "0123456789", "more than there is")
	memory.encode_u8(2, 0)
	assert_eq(memory.read_string(4), "01", "the NUL comes first")


func test_invalid_utf_8_is_replaced() -> void:
	var memory := created(8)
	memory.write(bytes([65, 0xFF, 66, 0xC3, 0, 0, 0, 0]))
	assert_eq(memory.read_string(), "A\ufffdB\ufffd", "is replaced")
	memory.write("€".to_utf8_buffer())
	assert_eq(memory.read_string(2), "\ufffd", "cut in the middle of a character")


func test_long_texts_are_read_in_pieces() -> void:
	var memory := created(20_000)
	for length: int in [4095, 4096, 4097, 8192, 12_345, 20_000]:
		# So that a character lies across the pieces.
		var text := "x" + "é".repeat((length - 1) / 2)
		memory.fill(33)
		assert_code(memory.write_string(text), OK, "write %d" % length)
		var back := memory.read_string()
		if text.to_utf8_buffer().size() == 20_000:
			assert_eq(back.length(), text.length(), "up to the end")
		assert_true(back == text, "%d bytes" % length)


func test_access_outside_is_refused() -> void:
	var memory := created(8)
	for offset: int in [8, 9, -1, 9223372036854775807, -9223372036854775808]:
		expect_error("SharedMemory.read_string(): byte_offset must be ")
		assert_eq(memory.read_string(0, offset), "", "read at %d" % offset)
		assert_last_error(memory, ERR_INVALID_PARAMETER, [str(offset)])
		expect_error("SharedMemory.write_string(): byte_offset must be ")
		assert_code(memory.write_string("", offset), ERR_INVALID_PARAMETER, "write at %d" % offset)
	expect_error("SharedMemory.read_string(): max_bytes must be ")
	assert_eq(memory.read_string(-1), "", "fewer than none")


func test_write_fails_for_reader_and_closed_object() -> void:
	var owner := created(8)
	owner.write_string("owner")
	var reader := opened(owner, SharedMemory.ACCESS_READ_ONLY)
	assert_eq(reader.read_string(), "owner", "read")
	assert_code(reader.write_string("x"), ERR_UNAUTHORIZED, "write")
	owner.close()
	expect_error("SharedMemory.read_string(): no segment is open")
	assert_eq(owner.read_string(), "", "closed")
	expect_error("SharedMemory.write_string(): no segment is open")
	assert_code(owner.write_string("x"), ERR_UNCONFIGURED, "closed")
	var untyped: Variant = reader
	assert_eq(untyped.call("read_string", 2), "ow", "untyped")


func test_byte_order_mark_is_part_of_the_text() -> void:
	var memory := created(64)
	# Not as a literal: a script in an exported game would lose it.
	var mark := char(0xFEFF)
	for text: String in [mark, mark + "a", mark + mark + "a", "a" + mark]:
		assert_code(memory.write_string(text), OK, "write")
		assert_eq(memory.read_string(), text, "%d characters" % text.length())
	memory.write(bytes([0xEF, 0xBB, 0xBF, 0xFF, 65, 0]))
	assert_eq(memory.read_string(), mark + "\ufffdA", "and something that is no UTF-8")


func test_every_encoding_is_read_as_written() -> void:
	var memory := created(64)
	for encoding: SharedMemory.TextEncoding in WIDTHS:
		for text: String in ["", "a", "Grüße", "ÿ", char(0xFEFF) + "€", "a😀" + char(0x10FFFF)]:
			var raw := _engine_bytes(text, encoding)
			if encoding == SharedMemory.TEXT_LATIN1 and raw.is_empty() and text != "":
				continue
			memory.fill(255)
			assert_code(memory.write_string(text, 3, encoding), OK, text)
			assert_eq(memory.read_string(0, 3, encoding), text, "back")
			raw.resize(raw.size() + WIDTHS[encoding])
			assert_eq(memory.read(raw.size(), 3), raw, "its bytes, and a NUL of that width")
			assert_eq(memory.decode_u8(3 + raw.size()), 255, "nothing behind it")
	var untyped: Variant = memory
	assert_code(untyped.write_string("€", 0, 2), OK, "untyped")
	assert_eq(untyped.callv("read_string", [0, 0, SharedMemory.TEXT_UTF16]), "€", "untyped")


func test_encoded_text_ends_at_first_nul_of_its_width() -> void:
	var memory := created(16)
	memory.write(bytes([65, 0, 0, 0, 0, 66, 0, 0, 0, 0, 0, 0, 67, 0, 0, 0]))
	assert_eq(memory.read_string(0, 0, SharedMemory.TEXT_UTF32), "A" + char(0x4200), "4 bytes")
	assert_eq(memory.read_string(0, 0, SharedMemory.TEXT_UTF16), "A", "2 bytes")
	assert_eq(memory.read_string(0, 12, SharedMemory.TEXT_UTF32), "C", "the end of the segment")
	assert_eq(memory.read_string(0, 0, SharedMemory.TEXT_LATIN1), "A", "1 byte")


func test_bad_units_are_replaced_without_a_word() -> void:
	var memory := created(18)
	memory.write(bytes([0, 0xD8, 65, 0, 0, 0xDC, 66, 0, 0x3D, 0xD8, 0, 0xDE, 0, 0]))
	var text := "\ufffdA\ufffdB😀"
	assert_eq(memory.read_string(0, 0, SharedMemory.TEXT_UTF16), text, "halves of pairs")
	assert_eq(memory.read_string(10, 0, SharedMemory.TEXT_UTF16), text.left(4) + "\ufffd", "cut")
	assert_eq(memory.read_string(3, 2, SharedMemory.TEXT_UTF16), "A\ufffd", "half a unit")
	memory.write(bytes([0, 0xD8, 0, 0, 0, 0, 0x11, 0, 65, 0, 0, 0, 255, 255, 255, 255]))
	text = "\ufffd\ufffdA\ufffd"
	assert_eq(memory.read_string(0, 0, SharedMemory.TEXT_UTF32), text, "no characters")
	assert_eq(memory.read_string(6, 8, SharedMemory.TEXT_UTF32), "A\ufffd", "half a unit")


func test_rest_that_holds_no_unit_is_no_text() -> void:
	var memory := created(7)
	memory.fill(0x41)
	assert_code(memory.write_string("ab", 0, SharedMemory.TEXT_UTF16), OK, "with a NUL")
	assert_eq(memory.read(), bytes([97, 0, 98, 0, 0, 0, 0x41]), "which fits")
	assert_code(memory.write_string("abc", 0, SharedMemory.TEXT_UTF16), OK, "without")
	assert_eq(memory.read_string(0, 0, SharedMemory.TEXT_UTF16), "abc", "back")
	assert_code(memory.write_string("a", 0, SharedMemory.TEXT_UTF32), OK, "without")
	assert_eq(memory.read_string(0, 0, SharedMemory.TEXT_UTF32), "a", "back")
	expect_error("write_string(): the text has 8 bytes of UTF-32; from byte 0 on there are 7")
	assert_code(memory.write_string("ab", 0, SharedMemory.TEXT_UTF32), ERR_INVALID_PARAMETER)
	assert_eq(memory.read_string(0, 0, SharedMemory.TEXT_UTF32), "a", "nothing was written")


func test_character_that_latin_1_lacks_is_refused() -> void:
	var memory := created(8)
	expect_error("text: the character at index 2 is U+20AC, and Latin-1 ends at U+00FF")
	var code := memory.write_string("ab€", 0, SharedMemory.TEXT_LATIN1)
	assert_code(code, ERR_INVALID_PARAMETER, "€")
	assert_eq(memory.read().count(0), 8, "nothing was written")


func test_unknown_encoding_is_refused() -> void:
	var memory := created(8)
	var last: int = WIDTHS.keys().max()
	var extremes := [9223372036854775807, -9223372036854775808]
	for encoding: int in numbers_outside("TextEncoding") + extremes:
		var refusal := (
			"encoding must be a SharedMemory.TextEncoding (0 to %d), not %d" % [last, encoding]
		)
		expect_error("SharedMemory.read_string(): " + refusal)
		assert_eq(memory.read_string(0, 0, encoding), "", "read")
		assert_last_error(memory, ERR_INVALID_PARAMETER, [refusal])
		expect_error("SharedMemory.write_string(): " + refusal)
		assert_code(memory.write_string("a", 0, encoding), ERR_INVALID_PARAMETER, "write")
	assert_eq(memory.read().count(0), 8, "nothing was written")


func test_long_encoded_texts_are_read_in_pieces() -> void:
	var memory := created(20_003)
	for encoding: SharedMemory.TextEncoding in [SharedMemory.TEXT_UTF16, SharedMemory.TEXT_UTF32]:
		for length: int in [1023, 1024, 1025, 2047, 2048, 2500]:
			# So that a pair of UTF-16 lies across the pieces.
			var text := "x" + "😀".repeat(length - 1)
			memory.fill(33)
			assert_code(memory.write_string(text, 0, encoding), OK, "write %d" % length)
			assert_true(memory.read_string(0, 0, encoding) == text, "%d characters" % length)


func test_encoded_texts_are_read_and_written_by_threads() -> void:
	var memory := created(400)
	var threads: Array[Thread] = []
	for number in 4:
		threads.append(Thread.new())
		threads[number].start(_write_and_read.bind(memory, number * 100))
	for thread in threads:
		assert_eq(thread.wait_to_finish(), 0, "texts that came back changed")


func _write_and_read(memory: SharedMemory, offset: int) -> int:
	var changed := 0
	for turn in 500:
		var encoding := turn % 4
		var text := "ÿ%d" % (offset + turn)
		changed += int(memory.write_string(text, offset, encoding) != OK)
		changed += int(memory.read_string(100, offset, encoding) != text)
	return changed


## The bytes that the engine makes of a text; none for a text that Latin-1 can't hold.
func _engine_bytes(text: String, encoding: SharedMemory.TextEncoding) -> PackedByteArray:
	match encoding:
		SharedMemory.TEXT_UTF8:
			return text.to_utf8_buffer()
		SharedMemory.TEXT_UTF16:
			return text.to_utf16_buffer()
		SharedMemory.TEXT_UTF32:
			return text.to_utf32_buffer()
	var raw := PackedByteArray()
	for character in text:
		if character.unicode_at(0) > 0xFF:
			return PackedByteArray()
		raw.append(character.unicode_at(0))
	return raw


func test_text_without_memory_is_refused() -> void:
	const TWO_GIBIBYTES := 1 << 31
	var memory := SharedMemory.new()
	var error := memory.create(unique_name(), TWO_GIBIBYTES + 5)
	if error == ERR_OUT_OF_MEMORY:
		skip("there is no room for 2 GiB")
		return
	assert_code(error, OK, "create")
	memory.fill(65)
	assert_eq(memory.read_string(), "", "no text")
	assert_last_error(memory, ERR_OUT_OF_MEMORY)
	assert_eq(memory.read_string(3), "AAA", "a part of it")
	memory.close()
