@tool
extends PopupMenu
## The actions for a segment: to copy the line that opens it, and to remove what a dead owner has
## left.

## Emitted when the list has changed.
signal list_changed

enum Action { GDSCRIPT, PYTHON, C, NAME, REMOVE, STOP_WATCHING }

const Library := preload("library.gd")
const OpeningLines := preload("opening_lines.gd")
const Printable := preload("printable.gd")
const Remembered := preload("remembered.gd")

const LANGUAGES := {Action.GDSCRIPT: "GDScript", Action.PYTHON: "Python", Action.C: "C"}

var _segment := {}
var _question := ConfirmationDialog.new()
var _complaint := AcceptDialog.new()


func _init() -> void:
	for action: Action in LANGUAGES:
		add_item("Copy Line for %s" % LANGUAGES[action], action)
	add_item("Copy Name", Action.NAME)
	add_separator()
	add_item("Remove Leftover…", Action.REMOVE)
	add_item("Stop Watching", Action.STOP_WATCHING)
	id_pressed.connect(_act)
	_question.title = "Remove Leftover"
	_question.ok_button_text = "Remove"
	_question.dialog_autowrap = true
	_question.confirmed.connect(_remove)
	add_child(_question)
	_complaint.dialog_autowrap = true
	add_child(_complaint)


## Shows the menu for a segment at a place of the screen.
func offer(segment: Dictionary, place: Vector2i) -> void:
	_segment = segment
	for action: Action in LANGUAGES:
		var line := OpeningLines.of(LANGUAGES[action], segment)
		set_item_disabled(get_item_index(action), line.is_empty())
		set_item_tooltip(get_item_index(action), line)
	set_item_disabled(get_item_index(Action.REMOVE), not Library.is_leftover(segment))
	var is_watched: bool = segment["name"] in Remembered.watched_names()
	set_item_disabled(get_item_index(Action.STOP_WATCHING), not is_watched)
	position = place
	reset_size()
	popup()


## Copies the line that opens a segment in GDScript.
func copy_line(segment: Dictionary) -> void:
	DisplayServer.clipboard_set(OpeningLines.of("GDScript", segment))


## Asks whether to remove a leftover, and removes it.
func ask_to_remove(segment: Dictionary) -> void:
	if not Library.is_leftover(segment):
		return
	_segment = segment
	_question.dialog_text = (
		(
			"Remove %s, with its %s?\n\nThe program that made it has ended. It may have wanted to keep"
			+ " the bytes, if it made them persistent.%s"
		)
		% [Printable.name(segment["name"]), Printable.size(segment["size"]), _users_of(segment)]
	)
	_question.popup_centered(Vector2i(Vector2(420, 160) * EditorInterface.get_editor_scale()))


func _act(action: Action) -> void:
	match action:
		Action.NAME:
			DisplayServer.clipboard_set(_segment["name"])
		Action.REMOVE:
			ask_to_remove(_segment)
		Action.STOP_WATCHING:
			Remembered.stop_watching(_segment["name"])
			list_changed.emit()
		_:
			DisplayServer.clipboard_set(OpeningLines.of(LANGUAGES[action], _segment))


func _remove() -> void:
	var result := Library.remove_leftover(_segment)
	list_changed.emit()
	var shown := Printable.name(_segment["name"])
	match result:
		OK, ERR_DOES_NOT_EXIST:
			return
		ERR_BUSY:
			_complaint.dialog_text = "%s was not removed: its owner is running again." % shown
		_:
			_complaint.dialog_text = "%s was not removed: %s." % [shown, error_string(result)]
	_complaint.popup_centered()


func _users_of(segment: Dictionary) -> String:
	var users := Library.users_of(segment)
	if users.is_empty():
		return ""
	var numbers := ", ".join(Array(users).map(str))
	return "\n\nIt is still open in process %s, which keeps its memory." % numbers
