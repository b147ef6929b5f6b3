@tool
extends RefCounted
## The settings of the dock that last from one start of the editor to the next, for this project.
##
## Godot keeps it in the folder [code].godot[/code]: no file of the project changes.

const SECTION := "shared_memory"
## More views are not remembered: some programs use a new name for each run.
const MOST_VIEWS := 200


## Returns the names that the user has added to the list.
static func watched_names() -> PackedStringArray:
	return _settings().get_project_metadata(SECTION, "names", PackedStringArray())


static func watch(name: String) -> void:
	var names := watched_names()
	if not name in names:
		names.append(name)
		_settings().set_project_metadata(SECTION, "names", names)


static func stop_watching(name: String) -> void:
	var names := watched_names()
	var at := names.find(name)
	if at >= 0:
		names.remove_at(at)
		_settings().set_project_metadata(SECTION, "names", names)


## Returns a setting of a segment's view.
static func recall(key: String, setting: String, otherwise: Variant) -> Variant:
	var view: Dictionary = _views().get(key, {})
	return view.get(setting, otherwise)


## Returns a setting of a segment's view, or else that of the segment for which it was set last.
static func recall_last(key: String, setting: String, otherwise: Variant) -> Variant:
	return recall(key, setting, recall("", setting, otherwise))


static func remember(key: String, setting: String, value: Variant) -> void:
	var views := _views()
	for place: String in [key, ""]:
		var view: Dictionary = views.get(place, {})
		view[setting] = value
		# A dictionary keeps the order of additions, so the oldest comes first.
		views.erase(place)
		views[place] = view
	while views.size() > MOST_VIEWS:
		views.erase(views.keys()[0])
	_settings().set_project_metadata(SECTION, "views", views)


static func _views() -> Dictionary:
	return _settings().get_project_metadata(SECTION, "views", {})


static func _settings() -> EditorSettings:
	return EditorInterface.get_editor_settings()
