extends "res://test_case.gd"
## Texts that are not valid Unicode. Godot's strings hold any 32-bit units: halves of surrogate
## pairs, and numbers beyond U+10FFFF.
##
## SHM_TEST_ROUNDS sets how much of the randomised test is done.

# same for every user

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

const BAD_UNITS: Array[int] = [0xd800, 0xdbff, 0xdc00, 0xdfff, 0x110000, 0x7fffffff]
## Texts around a bad unit.
const AROUND: Array[String] = ["%s", "%s/../x", "a%s", "a%sb", "<I%szzz"]
const NOT_UNICODE := "which is not valid Unicode"


func test_invalid_text_is_refused_in_every_argument() -> void:
	var tried := 0
	for of_class: String in Methods.TABLES:
		var methods := Methods.new(of_class)
		for method in methods.all:
			for position in method.arguments.size():
				if method.arguments[position].type not in [TYPE_STRING, TYPE_STRING_NAME]:
					continue
				tried += 1
				for text: String in _bad_texts():
					for how: Callable in [methods.call_typed, methods.call_untyped]:
						_check_refused(of_class, how, method, position, text)
	# create, open, open_read_only, open_or_create, exists, get_info, get_users, remove,
	# generate_name; write_string; the formats; create and open of a stream and a queue.
	# Then open of a mutex and a peer.
	assert_eq(tried, 22, "arguments that are text")


func test_invalid_names_are_refused_by_every_backend() -> void:
	for backend in 4:
		var memory := SharedMemory.new()
		memory.backend = backend
		for text: String in _bad_texts():
			for call_it: Callable in [
				memory.create.bind(8),
				memory.open,
				memory.open_read_only,
				memory.open_or_create.bind(8)
			]:
				expect_error(NOT_UNICODE)
				assert_code(call_it.call(text), ERR_INVALID_PARAMETER, "backend %d" % backend)
				assert_last_error(memory, ERR_INVALID_PARAMETER, ["name", NOT_UNICODE])
			expect_error(NOT_UNICODE)
			assert_code(SharedMemory.remove(text, 0, backend), ERR_INVALID_PARAMETER)
			assert_false(SharedMemory.exists(text, 0, backend), "no such name")


func test_invalid_texts_are_refused_as_values() -> void:
	var memory := created(256)
	memory.fill(7)
	var before := memory.read()
	var stream := SharedMemoryStream.new()
	var of_stream := created(256)
	assert_code(stream.attach(of_stream, SharedMemoryStream.LAYOUT_LSM_V2), OK)
	var array := SharedMemoryArray.new()
	assert_code(array.attach(created(256), "8s"), OK)
	for text: String in _bad_texts():
		var untyped: Variant = memory
		for calls: Array in [
			[memory, memory.pack.bind("8s", [text])],
			[memory, untyped.pack.bind("B8s", [1, text])],
			[memory, memory.pack.bind("8s:a:", {"a": text})],
			[stream, stream.write.bind(text)],
			[array, array.set_element.bind(0, text)],
			[array, array.fill.bind(text)],
		]:
			expect_error(NOT_UNICODE)
			assert_code(calls[1].call(), ERR_INVALID_PARAMETER, str(calls[1]))
			assert_last_error(calls[0], ERR_INVALID_PARAMETER, [NOT_UNICODE])
	assert_eq(memory.read(), before, "nothing was written")
	assert_eq(stream.read(), null, "no message")


func test_invalid_texts_are_refused_in_encoded_values() -> void:
	var memory := created(4096)
	memory.fill(7)
	var before := memory.read()
	for text: String in _bad_texts():
		var named := Object.new()
		named.add_user_signal(text)
		var values := [
			text,
			StringName(text),
			NodePath(text),
			PackedStringArray(["fine", text]),
			[1, [text]],
			{"key": text},
			{text: 1},
			Array([text], TYPE_STRING, "", null),
			Signal(named, text),
		]
		for value: Variant in values:
			expect_error(NOT_UNICODE)
			assert_eq(memory.encode_var(0, value), -1, type_string(typeof(value)))
			assert_last_error(memory, ERR_INVALID_PARAMETER, ["value", NOT_UNICODE])
		named.free()
	assert_eq(memory.read(), before, "nothing was written")


## The engine drops a byte order mark at the start of what it takes for UTF-8.
func test_byte_order_mark_is_part_of_a_name() -> void:
	var name := "\ufeff" + unique_name()
	var memory := SharedMemory.new()
	assert_code(memory.create(name, 64), OK, "create")
	assert_eq(memory.get_name(), name, "get_name()")
	assert_true(SharedMemory.exists(memory.get_name()), "it exists")
	if is_linux():
		assert_true(name in SharedMemory.list_names(), "list_names()")
		assert_eq(memory.get_native_name(), "/" + name, "get_native_name()")
	var other := opened(memory)
	assert_eq(other.get_name(), name, "as another has it")
	var generated := SharedMemory.generate_name("\ufeffa")
	assert_true(generated.begins_with("\ufeffa_"), "generate_name()")
	assert_code(other.write_string(name), OK)
	assert_eq(memory.read_string(), name, "as a text")


## Units by chance, through every way in.
func test_random_units_are_taken_or_refused() -> void:
	var chance := RandomNumberGenerator.new()
	chance.seed = randi()
	note("seed %d" % chance.seed)
	var memory := created(4096)
	var taker := SharedMemory.new()
	var bad := 0
	var rounds := int(effort("SHM_TEST_ROUNDS", 2000))
	for round_number in rounds:
		var units := _some_units(chance)
		var text := _text_of(units)
		var is_valid := units.all(_is_valid)
		bad += int(not is_valid)
		allow_errors("SharedMemory")
		# A name never leads further than to a file of that name.
		var name := unique_name() + text
		var code := taker.create(name, 8)
		assert_true(code == OK or code == ERR_INVALID_PARAMETER, "create: %s" % [units])
		if code == OK:
			assert_true(is_valid and "/" not in name and "\\" not in name, "%s" % [units])
			assert_eq(taker.get_name(), name, "%s" % [units])
		else:
			assert_false(SharedMemory.exists(name), "%s" % [units])
		taker.close()
		allow_errors("SharedMemory")
		var prefix := "a" + text
		var generated := SharedMemory.generate_name(prefix)
		assert_true(generated == "" or generated.begins_with(prefix + "_"), "%s" % [units])
		allow_errors("SharedMemory")
		var size := SharedMemory.calcsize("<" + text)
		assert_true(size == -1 or is_valid, "calcsize: %s" % [units])
		allow_errors("SharedMemory")
		code = memory.write_string(text)
		if (
			assert_code(code, OK if is_valid else ERR_INVALID_PARAMETER, "%s" % [units])
			and is_valid
		):
			assert_eq(memory.read_string(), text, "%s" % [units])
		allow_errors("SharedMemory")
		var encoded := memory.encode_var(0, [text])
		if assert_true((encoded > 0) == is_valid, "encode_var: %s" % [units]) and is_valid:
			# The engine's form is the engine's: it drops a byte order mark at the start.
			var there: Variant = bytes_to_var(var_to_bytes([text]))
			assert_eq(memory.decode_var(0), there, "%s" % [units])
	note("%d of %d texts were not valid" % [bad, rounds])
	if rounds > 100:
		assert_true(bad > 20 and bad < rounds - 20, "some were valid, some were not")


func _check_refused(
	of_class: String, how: Callable, method: Method, position: int, text: String
) -> void:
	var object: Variant = ClassDB.instantiate(of_class)
	Argument.memory = created(Argument.SIZE)
	if of_class == "SharedMemory" and method.kind in [Method.READS, Method.WRITES]:
		object = Argument.memory
	var arguments := method.good(unique_name(), Argument.memory.get_name())
	arguments[position] = text
	var why := (
		"%s.%s() %d %s" % [of_class, method.name, position, var_to_str(text.to_utf32_buffer())]
	)
	# No segment has such a name, and asking for one is no mistake.
	if not method.name in ["exists", "get_info", "get_users", "get_format_error"]:
		expect_error(NOT_UNICODE)
	var result: Variant = how.call(object, method, arguments)
	if method.name == "get_format_error":
		assert_true(NOT_UNICODE in result, why)
		return
	assert_eq(result, method.failure(ERR_INVALID_PARAMETER), why)
	if method.kind != Method.STATIC:
		var argument := method.arguments[position].name
		assert_last_error(object, ERR_INVALID_PARAMETER, [argument, NOT_UNICODE])


func _bad_texts() -> Array:
	var texts := []
	for unit in BAD_UNITS:
		for around in AROUND:
			texts.append(around % _text_of([unit]))
	return texts


func _some_units(chance: RandomNumberGenerator) -> Array[int]:
	const SPECIAL: Array[int] = [
		0x2f, 0x5c, 0x2e, 0x69, 0x39, 0x20, 0xe4, 0xfeff, 0xfffe, 0xd7ff, 0xe000, 0x10ffff
	]
	var units: Array[int] = []
	for i in chance.randi_range(0, 8):
		var bad := BAD_UNITS[chance.randi() % BAD_UNITS.size()]
		var good := SPECIAL[chance.randi() % SPECIAL.size()]
		var any := chance.randi_range(1, 0x1fffff)
		units.append([bad, any, good, good, good, good, good, good][chance.randi() % 8])
	return units


func _is_valid(unit: int) -> bool:
	return unit < 0xd800 or (unit > 0xdfff and unit < 0x110000)


## Of the functions in GDScript, this one makes a character of any number.
func _text_of(units: Array[int]) -> String:
	var text := ""
	for unit in units:
		text += ("&#x%x;" % unit).xml_unescape()
	return text
