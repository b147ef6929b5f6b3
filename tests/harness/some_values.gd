extends RefCounted
## Values of every type, by chance: for what encodes and decodes them.

const TEXTS: Array[String] = ["", "a", "abc", "four", "naïve", "日本語", "😀", "Ångström €5"]
## Older engines have no such constructor, and could not even compile a call of it.
const TYPER := """
static func make(
	entries: Dictionary, key: int, key_class: StringName, value: int, value_class: StringName
) -> Dictionary:
	return Dictionary(entries, key, key_class, null, value, value_class, null)
"""

var rng := RandomNumberGenerator.new()

var _typer: Variant


func _init(random_seed: int) -> void:
	rng.seed = random_seed
	if has_typed_dictionaries():
		var script := GDScript.new()
		script.source_code = TYPER
		script.reload()
		_typer = script


## Since Godot 4.4.
static func has_typed_dictionaries() -> bool:
	return Engine.get_version_info().hex >= 0x040400


## One of every type, alone and in typed containers.
func one_of_each() -> Array:
	var values := []
	for type in TYPE_MAX:
		values.append(some(type, 2))
		values.append(
			Array([some(type, 1), some(type, 1)], type, "Node" if type == TYPE_OBJECT else "", null)
		)
		if has_typed_dictionaries():
			values.append(typed_dictionary(type, TYPE_STRING))
			values.append(typed_dictionary(TYPE_INT, type))
	# As deep as the engine goes: a value in 1024 containers, which is one itself.
	values.append(nested(1025))
	values.append({nested(100): nested(100)})
	values.append("é".repeat(700))
	return values


func nested(depth: int) -> Array:
	var value := []
	for i in depth - 1:
		value = [value]
	return value


func typed_dictionary(key: int, value: int) -> Dictionary:
	var key_class := &"Node" if key == TYPE_OBJECT else &""
	var value_class := &"Node" if value == TYPE_OBJECT else &""
	var entries := {some(key, 1): some(value, 1)}
	return _typer.make(entries, key, key_class, value, value_class)


func some_float() -> float:
	return [0.0, 1.5, 0.1, -INF, NAN, 1e300, rng.randf(), rng.randfn() * 1e9][rng.randi() % 8]


func some_int() -> int:
	return [0, -1, 1, 1 << 31, -(1 << 31) - 1, 1 << 40, rng.randi(), -rng.randi()][rng.randi() % 8]


func some_text() -> String:
	return TEXTS[rng.randi() % TEXTS.size()] + TEXTS[rng.randi() % TEXTS.size()]


func some_path() -> NodePath:
	return [^"", ^"a", ^"/root/Main", ^"../b:c", ^"a/b:c:d", ^":e", NodePath(some_text())][
		rng.randi() % 7
	]


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
	if has_typed_dictionaries() and rng.randi() % 3 == 0:
		return typed_dictionary(rng.randi() % TYPE_MAX, rng.randi() % TYPE_MAX)
	var dictionary := {}
	for i in rng.randi() % 4:
		dictionary[some(rng.randi() % TYPE_MAX, depth - 1)] = some(
			rng.randi() % TYPE_MAX, depth - 1
		)
	return dictionary


func some(type: int, depth: int) -> Variant:
	var value: Variant
	match type:
		TYPE_BOOL:
			value = rng.randi() % 2 == 0
		TYPE_INT:
			value = some_int()
		TYPE_FLOAT:
			value = some_float()
		TYPE_STRING:
			value = some_text()
		TYPE_VECTOR2:
			value = v2()
		TYPE_VECTOR2I:
			value = Vector2i(some_int(), some_int())
		TYPE_RECT2:
			value = Rect2(v2(), v2())
		TYPE_RECT2I:
			value = Rect2i(some_int(), some_int(), some_int(), some_int())
		TYPE_VECTOR3:
			value = v3()
		TYPE_VECTOR3I:
			value = Vector3i(some_int(), some_int(), some_int())
		TYPE_TRANSFORM2D:
			value = Transform2D(v2(), v2(), v2())
		TYPE_VECTOR4:
			value = v4()
		TYPE_VECTOR4I:
			value = Vector4i(some_int(), some_int(), some_int(), some_int())
		TYPE_PLANE:
			value = Plane(v3(), some_float())
		TYPE_QUATERNION:
			value = Quaternion(rng.randf(), rng.randf(), rng.randf(), rng.randf())
		TYPE_AABB:
			value = AABB(v3(), v3())
		TYPE_BASIS:
			value = Basis(v3(), v3(), v3())
		TYPE_TRANSFORM3D:
			value = Transform3D(Basis(v3(), v3(), v3()), v3())
		TYPE_PROJECTION:
			value = Projection(v4(), v4(), v4(), v4())
		TYPE_COLOR:
			value = colour()
		TYPE_STRING_NAME:
			value = StringName(some_text())
		TYPE_NODE_PATH:
			value = some_path()
		TYPE_RID:
			value = RID()
		TYPE_OBJECT:
			value = Engine.get_main_loop().root if rng.randi() % 2 == 0 else null
		TYPE_CALLABLE:
			value = some_text
		TYPE_SIGNAL:
			value = Engine.get_main_loop().process_frame
		TYPE_DICTIONARY:
			value = some_dictionary(depth) if depth > 0 else {}
		TYPE_ARRAY:
			value = some_array(depth) if depth > 0 else []
		TYPE_PACKED_BYTE_ARRAY:
			value = PackedByteArray(several(some_int))
		TYPE_PACKED_INT32_ARRAY:
			value = PackedInt32Array(several(some_int))
		TYPE_PACKED_INT64_ARRAY:
			value = PackedInt64Array(several(some_int))
		TYPE_PACKED_FLOAT32_ARRAY:
			value = PackedFloat32Array(several(some_float))
		TYPE_PACKED_FLOAT64_ARRAY:
			value = PackedFloat64Array(several(some_float))
		TYPE_PACKED_STRING_ARRAY:
			value = PackedStringArray(several(some_text))
		TYPE_PACKED_VECTOR2_ARRAY:
			value = PackedVector2Array(several(v2))
		TYPE_PACKED_VECTOR3_ARRAY:
			value = PackedVector3Array(several(v3))
		TYPE_PACKED_COLOR_ARRAY:
			value = PackedColorArray(several(colour))
		TYPE_PACKED_VECTOR4_ARRAY:
			value = PackedVector4Array(several(v4))
	return value
