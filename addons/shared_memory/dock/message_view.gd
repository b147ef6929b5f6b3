@tool
extends VBoxContainer
## The tab with the newest message of a stream, or the next one of a queue.

## Not emitted: there is nothing to set here.
signal look_requested

const Look := preload("look.gd")
const Picture := preload("picture.gd")
const Table := preload("table.gd")
const ValueRows := preload("value_rows.gd")

const NO_MESSAGES := {
	"": "This is not a stream or queue of Godot Shared Memory.",
	"pair": "The messages of a peer are for its partner alone. See the tab Bytes.",
	"locks": "A mutex has no messages.",
}

const WHICH := {
	"latest": "The newest message: ",
	"lanes": "The next message, which stays in the queue: ",
}

var _note := Label.new()
var _table := Table.new()
var _picture := Picture.new()


func _init() -> void:
	name = "Message"
	_note.text_overrun_behavior = TextServer.OVERRUN_TRIM_ELLIPSIS
	_note.mouse_filter = Control.MOUSE_FILTER_PASS
	_note.auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
	add_child(_note)
	add_child(_table)
	add_child(_picture)
	_show_only(null)


func _notification(what: int) -> void:
	if what == NOTIFICATION_THEME_CHANGED:
		var width := roundi(120 * EditorInterface.get_editor_scale())
		_table.set_titles(["Field", "Value"], [width, width], [1, 2])
		_table.column_titles_visible = false


## Is about this segment from now on.
func select(_key: String) -> void:
	_show_only(null)
	_note.text = ""


## Shows the message that is in the segment now.
func show_look(look: Look, segment: Dictionary) -> void:
	var layout: String = segment.get("layout", "")
	if layout not in ["latest", "lanes"]:
		show_problem(NO_MESSAGES.get(layout, NO_MESSAGES[""]))
		return
	var value: Variant = look.read_message(layout)
	if value == null:
		# While the writer is busy, the message that is shown stays.
		if look.error != ERR_BUSY or not (_table.visible or _picture.visible):
			var is_absent := look.error == ERR_DOES_NOT_EXIST
			show_problem("There is no message." if is_absent else look.problem)
		return
	if value is Image:
		_note.text = Picture.text_of(value)
		_picture.show_image(value)
		_show_only(_picture)
	else:
		_note.text = WHICH[layout] + type_string(typeof(value))
		_table.show_rows(ValueRows.new(value).rows)
		_show_only(_table)


## Shows why there is nothing to see.
func show_problem(problem: String) -> void:
	_note.text = problem
	_note.tooltip_text = problem
	_show_only(null)


func _show_only(shown: Control) -> void:
	_table.visible = shown == _table
	_picture.visible = shown == _picture
