extends SceneTree
## Variants in the engine's own binary form, for rust/segment/tests/variants.rs. Needs Godot 4.4 or
## newer.
##
## godot --headless --script tests/harness/variant_corpus.gd -- make FILE SEED COUNT
##     Writes COUNT of them into FILE, each after its length (4 bytes).
##
## godot --headless --script tests/harness/variant_corpus.gd -- decode FILE
##     Decodes those in FILE, and says how many were of the length that the engine gives. All that
##     it prints before that is an error. With "decode-loudly" instead, it announces each one.

const SomeValues := preload("res://harness/some_values.gd")


func _initialize() -> void:
	var arguments := OS.get_cmdline_user_args()
	if arguments.size() == 4 and arguments[0] == "make":
		make(arguments[1], arguments[2].to_int(), arguments[3].to_int())
	elif arguments.size() == 2 and arguments[0].begins_with("decode"):
		decode(arguments[1], arguments[0] == "decode-loudly")
	else:
		printerr("make FILE SEED COUNT, or decode FILE")
	quit()


func make(path: String, random_seed: int, count: int) -> void:
	var file := FileAccess.open(path, FileAccess.WRITE)
	var some := SomeValues.new(random_seed)
	# Once each, with any seed.
	for value: Variant in some.one_of_each():
		put(file, value)
	for i in count:
		put(file, some.some(some.rng.randi() % TYPE_MAX, 3))


func put(file: FileAccess, value: Variant) -> void:
	var bytes := var_to_bytes(value)
	file.store_32(bytes.size())
	file.store_buffer(bytes)


func decode(path: String, loudly: bool) -> void:
	var all := FileAccess.get_file_as_bytes(path)
	var at := 0
	var count := 0
	var same := 0
	while at < all.size():
		var length := all.decode_u32(at)
		var bytes := all.slice(at + 4, at + 4 + length)
		if loudly:
			printerr("%d, at %d: %s" % [count, at, bytes.slice(0, 64).hex_encode()])
		bytes_to_var(bytes)
		same += int(bytes.decode_var_size(0) == length)
		count += 1
		at += 4 + length
	print("decoded %d, of the length given: %d" % [count, same])
