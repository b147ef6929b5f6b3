@tool
extends EditorPlugin
## Opens the scene in the editor, and tells what its texture shows.

const TIME_LIMIT := 20_000

var _problems := 0
var _name := OS.get_environment("PREVIEW_NAME")


func _enter_tree() -> void:
	if not _name.is_empty():
		_run.call_deferred()


func _run() -> void:
	while EditorInterface.get_resource_filesystem().is_scanning():
		await get_tree().process_frame
	EditorInterface.open_scene_from_path("res://scene.tscn")
	await _until(func() -> bool: return EditorInterface.get_edited_scene_root() != null, "scene")
	var root := EditorInterface.get_edited_scene_root()
	var texture: Texture2D = root.texture
	await _until(texture.is_live, "the preview is live")
	_check(texture.get_size() == Vector2(64, 48), "size of the picture")
	# The texture is open in the inspector, which must not begin again with each picture.
	EditorInterface.edit_resource(texture)
	var changes := [0]
	texture.property_list_changed.connect(func() -> void: changes[0] += 1)
	var seen := {}
	var count := func() -> bool:
		seen[texture.get_picture().get_pixel(0, 0).g8] = true
		return seen.size() >= 5
	await _until(count, "the pictures move")
	_check(changes[0] == 0, "changes of the list of properties: %d" % changes[0])

	texture.memory_name = _name + "-absent"
	await _until(_inspector_tells.bind("-absent"), "the inspector tells of an absent source")
	texture.memory_name = _name
	await _until(_inspector_tells.bind(""), "the inspector tells that all is well")

	texture.preview_in_editor = false
	_check(not texture.is_live() and texture.get_size() == Vector2.ONE, "the preview is off")
	await get_tree().create_timer(0.5).timeout
	_check(not texture.is_live() and texture.get_picture() == null, "it stays off")
	texture.preview_in_editor = true
	await _until(texture.is_live, "the preview is on again")

	# Without a window, EditorInterface.save_scene() prints an error about its thumbnail.
	var scene := PackedScene.new()
	scene.pack(root)
	_check(ResourceSaver.save(scene, "res://saved.tscn") == OK, "save")
	var text := FileAccess.get_file_as_string("res://saved.tscn")
	_check(text.contains(_name), "the name is saved")
	_check(text.length() < 1500 and not text.contains("PackedByteArray"), "no pixels are saved")
	var source: Node = root.get_node("Source")
	_check(not source.is_writing(), "nothing is handed out")
	_check(not FileAccess.file_exists("/dev/shm/%s-out" % _name), "no name is made")
	_check(source._get_configuration_warnings().is_empty(), "no warnings")
	source.memory_name = ""
	_check(source._get_configuration_warnings().size() == 1, "a warning")
	for global: String in ["SharedMemoryTexture", "SharedMemoryViewportSource"]:
		var has_class := func(entry: Dictionary) -> bool: return entry["class"] == global
		_check(ProjectSettings.get_global_class_list().any(has_class), global)

	# The editor loads the library again, and the texture finds its source again.
	var extension := "res://addons/shared_memory/shared_memory.gdextension"
	GDExtensionManager.reload_extension(extension)
	var before: int = texture.get_picture().get_pixel(0, 0).g8
	var moves := func() -> bool: return texture.get_picture().get_pixel(0, 0).g8 != before
	await _until(moves, "pictures after the library was loaded again")
	printerr("the editor ends: ", "all is well" if _problems == 0 else "%d problems" % _problems)
	get_tree().quit()


## Returns whether the inspector has a line Problem with this text in it, or with no text.
func _inspector_tells(text: String) -> bool:
	var inspector := EditorInterface.get_inspector()
	for line: EditorProperty in inspector.find_children("*", "EditorProperty", true, false):
		if line.get_edited_property() == &"problem":
			for field: TextEdit in line.find_children("*", "TextEdit", true, false):
				return field.text.is_empty() if text.is_empty() else field.text.contains(text)
	return false


func _until(condition: Callable, what: String) -> void:
	var end := Time.get_ticks_msec() + TIME_LIMIT
	while not condition.call():
		if Time.get_ticks_msec() > end:
			_check(false, what)
			return
		await get_tree().process_frame


func _check(held: bool, what: String) -> void:
	if not held:
		_problems += 1
		printerr("problem: ", what)
