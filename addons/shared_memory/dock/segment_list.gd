@tool
extends VBoxContainer
## The list of segments, with a filter, and a field for names that the system doesn't list.

## Emitted when the user selects a segment. It is empty if the selection has ended.
signal segment_selected(segment: Dictionary)
## Emitted when the user asks for the actions of a segment, at a place of the screen.
signal actions_requested(segment: Dictionary, place: Vector2i)
## Emitted when the user presses Delete.
signal removal_requested(segment: Dictionary)
## Emitted when the user presses the keys to copy.
signal copy_requested(segment: Dictionary)

const Game := preload("game.gd")
const Library := preload("library.gd")
const Printable := preload("printable.gd")
const Rates := preload("rates.gd")
const Remembered := preload("remembered.gd")
const Table := preload("table.gd")

const TITLES := ["Name", "Size", "Owner", "Layout", "Msg/s", "Newest", "Scope"]
const WIDTHS := [112, 72, 112, 60, 52, 62, 66]
const SHARES := [1, 0, 0, 0, 0, 0, 0]
const OWNER := 2
const RATE := 4
const AGE := 5
## More rows would make the editor slow. The filter finds the others.
const MOST_ROWS := 2000
## In words that users know from the help.
const LAYOUTS := {"latest": "stream", "lanes": "queue", "pair": "peer", "locks": "mutex"}

var _filter := LineEdit.new()
var _add := Button.new()
var _table := Table.new()
var _summary := Label.new()
var _game := Game.new()
var _rates := Rates.new()
var _segments := {}
## The keys of the rows, from the first one on.
var _order := PackedStringArray()
var _is_order_due := true
var _is_under_mouse := false
var _sort_column := 0
var _is_descending := false
var _shown_columns := 0


func _init() -> void:
	var top := HBoxContainer.new()
	_filter.placeholder_text = "Filter Segments" if Library.can_list() else "Name to Watch"
	_filter.tooltip_text = "Shows the segments with this in their name."
	_filter.clear_button_enabled = true
	_filter.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_filter.text_changed.connect(_on_filter_changed)
	_filter.text_submitted.connect(func(_text: String) -> void: _table.grab_focus())
	_summary.mouse_filter = Control.MOUSE_FILTER_PASS
	_add.text = "Watch"
	_add.tooltip_text = (
		"Keeps the typed name in the list, also before such a segment exists.\n"
		+ "A path adds a file, which the system doesn't list."
	)
	_add.pressed.connect(_watch_typed_name)
	top.add_child(_filter)
	top.add_child(_add)
	top.add_child(_summary)
	add_child(top)
	_table.allow_rmb_select = true
	_table.row_selected.connect(_on_row_selected)
	_table.item_mouse_selected.connect(_on_item_mouse_selected)
	_table.column_title_clicked.connect(_on_title_clicked)
	_table.gui_input.connect(_on_table_input)
	_table.resized.connect(_fit_columns)
	_table.mouse_entered.connect(func() -> void: _is_under_mouse = true)
	_table.mouse_exited.connect(func() -> void: _is_under_mouse = false)
	add_child(_table)


func _notification(what: int) -> void:
	if what == NOTIFICATION_THEME_CHANGED:
		_shown_columns = 0
		_fit_columns()


## Asks the system again, and shows the answer.
func refresh() -> void:
	_segments.clear()
	for segment in Library.list(Remembered.watched_names()):
		var key := Library.key_of(segment)
		segment["rate"] = _rates.follow(key, segment)
		segment["is_game"] = _game.uses(segment)
		segment["owner"] = _game.owner_of(segment)
		_segments[key] = segment
	_rates.keep(_segments)
	_show()


## Looks for the processes of the game.
func look_for_game() -> void:
	_game.look()


## Finds out whether the game uses one of the segments.
func ask_for_game() -> void:
	_game.ask(_segments.values())


## Returns the processes of the game.
func game_processes() -> Array[int]:
	return _game.processes


## Returns what the list knows of a segment, or an empty dictionary if it has gone.
func segment_of(key: String) -> Dictionary:
	return _segments.get(key, {})


## Returns the selected segment, or an empty dictionary.
func selected() -> Dictionary:
	return segment_of(_table.selected_key())


func _show() -> void:
	var wanted := _filter.text.to_lower()
	var found := {}
	for key: String in _segments:
		var segment: Dictionary = _segments[key]
		if wanted.is_empty() or segment["name"].to_lower().contains(wanted):
			found[key] = segment
	_summarize(found.size())
	_arrange(found)
	var shown := _order.slice(0, MOST_ROWS)
	var rows: Array[Array] = []
	for key in shown:
		rows.append([key] + _cells_of(found[key]))
	_table.show_rows(rows)
	for key in shown:
		_decorate(_table.item_of(key), found[key])


## Decides on the order of the rows.
##
## Nobody can click on a row that moves. So while the mouse is over the table, each row stays in
## its place, also if its segment has gone. Rates and ages change all the time, so they are compared
## only when the user asks for it, by a click on their title.
func _arrange(found: Dictionary) -> void:
	var is_kept := not _is_order_due and (_is_under_mouse or _sort_column in [RATE, AGE])
	_is_order_due = false
	var kept := PackedStringArray()
	var added := found.duplicate()
	for key in _order if is_kept else PackedStringArray():
		if _is_under_mouse and not _segments.has(key):
			found[key] = _gone(key)
		if found.has(key):
			kept.append(key)
			added.erase(key)
	for segment: Dictionary in added.values():
		segment["order"] = _sort_value(segment)
	var sorted := added.values()
	sorted.sort_custom(_comes_before)
	_order = kept
	for segment: Dictionary in sorted:
		_order.append(Library.key_of(segment))


## Returns a segment that has gone, for its row.
func _gone(key: String) -> Dictionary:
	var name_of := key.substr(key.find(" ") + 1)
	return {"name": name_of, "size": -1, "rate": -1.0, "is_game": false, "is_gone": true}


func _cells_of(segment: Dictionary) -> Array:
	var rate: float = segment["rate"]
	var layout: String = segment.get("layout", "")
	return [
		Printable.name(segment["name"]),
		_size_of(segment),
		owner_of(segment),
		LAYOUTS.get(layout, layout),
		"" if rate < 0 else "%d" % roundi(rate),
		Printable.age(segment.get("newest_age_usec", -1)),
		"" if not segment.has("scope") else ["user", "all users"][segment["scope"]],
	]


func _size_of(segment: Dictionary) -> String:
	if segment["size"] >= 0:
		return Printable.size(segment["size"])
	return "gone" if segment.has("is_gone") else "absent"


## Returns whose a segment is, in a few words.
static func owner_of(segment: Dictionary) -> String:
	if segment["size"] < 0:
		return ""
	var state: String = ["", "alive", "dead"][segment["owner_state"]]
	var whose: String = segment["owner"] if segment["owner_state"] == Library.Owner.ALIVE else ""
	if not segment["is_mine"]:
		whose = "other user"
	if whose.is_empty():
		return "unknown" if state.is_empty() else state
	return whose if state.is_empty() else "%s, %s" % [whose, state]


## Returns the same in whole sentences.
static func _about_owner(segment: Dictionary) -> String:
	if segment["size"] < 0:
		return ""
	var process := "Another process"
	if not segment["is_mine"]:
		process = "A process of another user"
	match segment["owner_state"]:
		Library.Owner.ALIVE:
			if segment["is_mine"] and segment["owner"] in ["game", "editor"]:
				process = "The running game" if segment["owner"] == "game" else "This editor"
			elif segment["is_mine"] and segment["owner"].is_empty():
				process = "A process"
			return "%s owns it, and runs." % process
		Library.Owner.DEAD:
			return "The process that owned it has ended, or has closed it."
	return "It was made without this addon, or the system doesn't tell whether its owner runs."


## Gives a row the colour and the tooltips of its kind. A row that has them is not drawn again.
func _decorate(item: TreeItem, segment: Dictionary) -> void:
	var color := &""
	if segment["size"] < 0:
		color = &"disabled_font_color"
	elif segment["is_game"]:
		color = &"accent_color"
	elif segment["owner_state"] == Library.Owner.DEAD:
		color = &"warning_color"
	var about := _about_owner(segment)
	if item.get_meta(&"kind", []) == [color, about]:
		return
	item.set_meta(&"kind", [color, about])
	var is_others: bool = segment["is_game"] and segment["owner"] != "game"
	for column in [0, OWNER] if _table.columns > OWNER else [0]:
		item.clear_custom_color(column)
		if color != &"" and not (column == OWNER and is_others):
			item.set_custom_color(column, get_theme_color(color, &"Editor"))
	item.set_icon(0, get_theme_icon(&"Play", &"EditorIcons") if segment["is_game"] else null)
	var note := "\nThe running game uses it." if segment["is_game"] else ""
	item.set_tooltip_text(0, Printable.name(segment["name"]) + note)
	if _table.columns > OWNER:
		item.set_tooltip_text(OWNER, about)


func _summarize(shown: int) -> void:
	var dead := 0
	for segment: Dictionary in _segments.values():
		dead += int(Library.is_leftover(segment))
	var text := "%d of %d segments" % [shown, _segments.size()]
	if shown == _segments.size():
		text = "1 segment" if shown == 1 else "%d segments" % shown
	if dead > 0:
		text += ", %d left behind" % dead
	if shown > MOST_ROWS:
		text += "; shown are the first %d" % MOST_ROWS
	_summary.text = text


## Shows as many columns as there is room for. The first ones matter most.
func _fit_columns() -> void:
	var factor := EditorInterface.get_editor_scale()
	var count := 0
	var width := 24.0
	for column in TITLES.size():
		width += WIDTHS[column]
		if count == 0 or width * factor <= _table.size.x:
			count = column + 1
	if count == _shown_columns:
		return
	_shown_columns = count
	var widths := WIDTHS.slice(0, count).map(func(at: int) -> int: return roundi(at * factor))
	_table.set_titles(TITLES.slice(0, count), widths, SHARES.slice(0, count))
	# The colours may be others, and so may the columns that have them.
	_table.show_rows([])
	_show_order()
	if not _segments.is_empty():
		_show()


func _comes_before(one: Dictionary, other: Dictionary) -> bool:
	var first: Variant = one["order"]
	var second: Variant = other["order"]
	if first is String:
		var order: int = first.naturalnocasecmp_to(second)
		if order != 0:
			return (order < 0) != _is_descending
	elif first != second:
		return (first < second) != _is_descending
	return one["name"].naturalnocasecmp_to(other["name"]) < 0


func _sort_value(segment: Dictionary) -> Variant:
	match _sort_column:
		0:
			return segment["name"]
		OWNER:
			return owner_of(segment)
		RATE:
			return segment["rate"]
	# The others have no value in a segment that isn't there.
	var keys := {1: "size", 3: "layout", AGE: "newest_age_usec", 6: "scope"}
	return segment.get(keys[_sort_column], "" if _sort_column == 3 else -1)


func _show_order() -> void:
	for column in _table.columns:
		var arrow := ""
		if column == _sort_column:
			arrow = " ▾" if _is_descending else " ▴"
		_table.set_column_title(column, TITLES[column] + arrow)


func _watch_typed_name() -> void:
	var typed := _filter.text.strip_edges()
	if typed.is_empty():
		_filter.grab_focus()
		return
	Remembered.watch(typed)
	refresh()


func _on_title_clicked(column: int, _button: int) -> void:
	_is_descending = column == _sort_column and not _is_descending
	_sort_column = column
	_is_order_due = true
	_show_order()
	_show()


func _on_filter_changed(_text: String) -> void:
	_is_order_due = true
	refresh()


func _on_row_selected(key: String) -> void:
	segment_selected.emit(segment_of(key))


func _on_item_mouse_selected(at: Vector2, button: int) -> void:
	if button == MOUSE_BUTTON_RIGHT:
		_request_actions(at)


func _on_table_input(event: InputEvent) -> void:
	if selected().is_empty():
		return
	if event.is_action_pressed(&"ui_menu"):
		var row := _table.get_item_area_rect(_table.get_selected())
		_request_actions(row.get_center() - _table.get_scroll())
	elif event.is_action_pressed(&"ui_copy"):
		copy_requested.emit(selected())
	elif event is InputEventKey and event.pressed and event.keycode == KEY_DELETE:
		removal_requested.emit(selected())
	else:
		return
	_table.accept_event()


func _request_actions(at: Vector2) -> void:
	if not selected().is_empty():
		actions_requested.emit(selected(), Vector2i(_table.get_screen_position() + at))
