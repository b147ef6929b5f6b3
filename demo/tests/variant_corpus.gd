extends SceneTree
## Variants in the engine's own binary form, for rust/segment/tests/variants.rs. Needs Godot 4.4 or newer.
##
## godot --headless --script tests/variant_corpus.gd -- make FILE SEED COUNT
##     writes COUNT of them into FILE, each after its length (4 bytes).
## godot --headless --script tests/variant_corpus.gd -- decode FILE
##     decodes those in FILE, and says how many were of the length that the engine gives. What it prints about any of
##     them is an error; with "decode-loudly" each is announced first, to tell which.

const TEXTS: Array[String] = ["", "a", "abc", "four", "naïve", "日本語", "😀", "Ångström €5"]

var rng := RandomNumberGenerator.new()


func _init() -> void:
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
	rng.seed = random_seed
	# Once each, whatever the seed.
	for type in TYPE_MAX:
		put(file, some(type, 2))
		put(file, Array([some(type, 1), some(type, 1)], type, "Node" if type == TYPE_OBJECT else "", null))
		put(file, typed_dictionary(type, TYPE_STRING))
		put(file, typed_dictionary(TYPE_INT, type))
	put(file, nested(1024))
	put(file, {nested(100): nested(100)})
	put(file, "é".repeat(700))
	for i in count:
		put(file, some(rng.randi() % TYPE_MAX, 3))


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


func nested(depth: int) -> Array:
	var value := []
	for i in depth - 1:
		value = [value]
	return value


func typed_dictionary(key: int, value: int) -> Dictionary:
	var key_class := &"Node" if key == TYPE_OBJECT else &""
	var value_class := &"Node" if value == TYPE_OBJECT else &""
	var entries := {some(key, 1): some(value, 1)}
	return Dictionary(entries, key, key_class, null, value, value_class, null)


func some_float() -> float:
	return [0.0, 1.5, 0.1, -INF, NAN, 1e300, rng.randf(), rng.randfn() * 1e9][rng.randi() % 8]


func some_int() -> int:
	return [0, -1, 1, 1 << 31, -(1 << 31) - 1, 1 << 40, rng.randi(), -rng.randi()][rng.randi() % 8]


func some_text() -> String:
	return TEXTS[rng.randi() % TEXTS.size()] + TEXTS[rng.randi() % TEXTS.size()]


func some_path() -> NodePath:
	return [^"", ^"a", ^"/root/Main", ^"../b:c", ^"a/b:c:d", ^":e", NodePath(some_text())][rng.randi() % 7]


func several(make_one: Callable) -> Array:
	return range(rng.randi() % 4).map(func(_i: int) -> Variant: return make_one.call())


func v2() -> Vector2:
	return Vector2(some_float(), some_float())


func v3() -> Vector3:
	return Vector3(some_float(), some_float(), some_float())


func v4() -> Vector4:
	return Vector4(some_float(), some_float(), some_float(), some_float())


func colour() -> Color:
	return Color(rng.randf(), rng.randf(), some_float(), rng.randf())


func some_array(depth: int) -> Array:
	if rng.randi() % 2:
		return several(func() -> Variant: return some(rng.randi() % TYPE_MAX, depth - 1))
	var type := rng.randi() % TYPE_MAX
	var values := several(func() -> Variant: return some(type, depth - 1))
	return Array(values, type, &"Node" if type == TYPE_OBJECT else &"", null)


func some_dictionary(depth: int) -> Dictionary:
	if rng.randi() % 3 == 0:
		return typed_dictionary(rng.randi() % TYPE_MAX, rng.randi() % TYPE_MAX)
	var dictionary := {}
	for i in rng.randi() % 4:
		dictionary[some(rng.randi() % TYPE_MAX, depth - 1)] = some(rng.randi() % TYPE_MAX, depth - 1)
	return dictionary


func some(type: int, depth: int) -> Variant:
	match type:
		TYPE_BOOL:
			return rng.randi() % 2 == 0
		TYPE_INT:
			return some_int()
		TYPE_FLOAT:
			return some_float()
		TYPE_STRING:
			return some_text()
		TYPE_VECTOR2:
			return v2()
		TYPE_VECTOR2I:
			return Vector2i(some_int(), some_int())
		TYPE_RECT2:
			return Rect2(v2(), v2())
		TYPE_RECT2I:
			return Rect2i(some_int(), some_int(), some_int(), some_int())
		TYPE_VECTOR3:
			return v3()
		TYPE_VECTOR3I:
			return Vector3i(some_int(), some_int(), some_int())
		TYPE_TRANSFORM2D:
			return Transform2D(v2(), v2(), v2())
		TYPE_VECTOR4:
			return v4()
		TYPE_VECTOR4I:
			return Vector4i(some_int(), some_int(), some_int(), some_int())
		TYPE_PLANE:
			return Plane(v3(), some_float())
		TYPE_QUATERNION:
			return Quaternion(rng.randf(), rng.randf(), rng.randf(), rng.randf())
		TYPE_AABB:
			return AABB(v3(), v3())
		TYPE_BASIS:
			return Basis(v3(), v3(), v3())
		TYPE_TRANSFORM3D:
			return Transform3D(Basis(v3(), v3(), v3()), v3())
		TYPE_PROJECTION:
			return Projection(v4(), v4(), v4(), v4())
		TYPE_COLOR:
			return colour()
		TYPE_STRING_NAME:
			return StringName(some_text())
		TYPE_NODE_PATH:
			return some_path()
		TYPE_RID:
			return RID()
		TYPE_OBJECT:
			return root if rng.randi() % 2 == 0 else null
		TYPE_CALLABLE:
			return some_text
		TYPE_SIGNAL:
			return process_frame
		TYPE_DICTIONARY:
			return some_dictionary(depth) if depth > 0 else {}
		TYPE_ARRAY:
			return some_array(depth) if depth > 0 else []
		TYPE_PACKED_BYTE_ARRAY:
			return PackedByteArray(several(some_int))
		TYPE_PACKED_INT32_ARRAY:
			return PackedInt32Array(several(some_int))
		TYPE_PACKED_INT64_ARRAY:
			return PackedInt64Array(several(some_int))
		TYPE_PACKED_FLOAT32_ARRAY:
			return PackedFloat32Array(several(some_float))
		TYPE_PACKED_FLOAT64_ARRAY:
			return PackedFloat64Array(several(some_float))
		TYPE_PACKED_STRING_ARRAY:
			return PackedStringArray(several(some_text))
		TYPE_PACKED_VECTOR2_ARRAY:
			return PackedVector2Array(several(v2))
		TYPE_PACKED_VECTOR3_ARRAY:
			return PackedVector3Array(several(v3))
		TYPE_PACKED_COLOR_ARRAY:
			return PackedColorArray(several(colour))
		TYPE_PACKED_VECTOR4_ARRAY:
			return PackedVector4Array(several(v4))
	return null
