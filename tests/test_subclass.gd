extends "res://test_case.gd"
## Scripts that extend the class, and what else Godot does with objects.


class Mailbox:
	extends SharedMemory
	signal posted(text: String)

	var count := 0
	var capacity := 0

	func _init(size := 32) -> void:
		capacity = size

	func make(name: String) -> Error:
		return create(name, capacity)

	func post(text: String) -> Error:
		var code := write(text.to_utf8_buffer())
		if code == OK:
			count += 1
			posted.emit(text)
		return code

	func get_own_size() -> int:
		return get_size()


func test_subclass_works() -> void:
	var box := Mailbox.new(20)
	var name := unique_name()
	var heard: Array[String] = []
	box.posted.connect(func(text: String) -> void: heard.append(text))
	assert_code(box.make(name), OK, "create from inside")
	assert_eq(box.get_own_size(), 20, "size from inside")
	assert_code(box.post("hello"), OK, "write from inside")
	assert_eq(heard, ["hello"] as Array[String], "its own signal")
	assert_eq(box.count, 1, "its own variable")
	assert_true(box is SharedMemory, "it is one")
	assert_eq(box.get_class(), "SharedMemory", "its class")
	var memory: SharedMemory = box
	assert_eq(memory.read(5), "hello".to_utf8_buffer(), "through the class")
	memory = null
	box = null
	assert_false(SharedMemory.exists(name), "gone with the object")


func test_buffer_of_a_subclass_is_filled() -> void:
	var box := Mailbox.new()
	box.make(unique_name())
	box.post("abc")
	var buffer := bytes([0, 0, 0])
	assert_code(box.read_into(buffer), OK, "read_into")
	assert_eq(buffer, "abc".to_utf8_buffer(), "the buffer")


func test_script_can_be_set_later() -> void:
	var memory := created(16)
	memory.set_script(Mailbox)
	assert_code((memory as Variant).post("late"), OK, "a method of the script")
	assert_eq(memory.read(4), "late".to_utf8_buffer(), "its bytes")
	memory.set_script(null)
	assert_eq(memory.read(4), "late".to_utf8_buffer(), "without the script")
	assert_true(memory.is_current(), "is_current")


func test_class_db_makes_objects() -> void:
	var memory: Object = ClassDB.instantiate("SharedMemory")
	assert_code(memory.call("create", unique_name(), 16), OK, "create")


func test_weak_reference_ends_with_the_object() -> void:
	var memory := created(16)
	var name := memory.get_name()
	var weak: WeakRef = weakref(memory)
	assert_true(weak.get_ref() == memory, "while it is there")
	memory = null
	assert_true(weak.get_ref() == null, "afterwards")
	assert_false(SharedMemory.exists(name), "the name exists")


func test_references_share_the_object() -> void:
	var memory := created(16)
	var same := memory
	memory = null
	assert_true(same.is_open(), "held by the other")
	var list := [same, {"key": same}]
	same = null
	assert_true(list[1].key.is_current(), "held by an array")
	var name: String = list[0].get_name()
	list.clear()
	assert_false(SharedMemory.exists(name), "gone with the last")


func test_metadata_and_text_work() -> void:
	var memory := created(16)
	memory.set_meta("note", 5)
	assert_eq(memory.get_meta("note"), 5, "metadata")
	assert_true(str(memory).begins_with("<SharedMemory#"), str(memory))
	assert_true(memory.has_method("read_into"), "has_method")


## The two scripts of the README of the addon that many know, as a user would type them.
func test_scripts_for_another_addon_work() -> void:
	var name := unique_name()
	var writer := SharedMemory.new()
	var status := writer.create(name, 1024, SharedMemory.LOCAL_SCOPE)
	assert_true(status == OK, "create")
	assert_true(writer.write("Hello from Godot".to_utf8_buffer()) == OK, "write")
	var reader := SharedMemory.new()
	if reader.open(name, 1024) == OK:
		var data := reader.read()
		assert_eq(data.get_string_from_utf8(), "Hello from Godot", "read")
		reader.close()
	writer.close()
	assert_false(SharedMemory.exists(name), "the name exists after close")
