@tool
extends VBoxContainer
## The selected segment: what is known of it, and its content in one of several forms.

## Emitted when the user asks for the actions of the segment, at a place of the screen.
signal actions_requested(segment: Dictionary, place: Vector2i)
## Emitted when the user presses the button that removes a leftover.
signal removal_requested(segment: Dictionary)
## Emitted when the user has changed what is to be shown.
signal look_requested

const BytesView := preload("bytes_view.gd")
const Library := preload("library.gd")
const Look := preload("look.gd")
const MessageView := preload("message_view.gd")
const NumbersView := preload("numbers_view.gd")
const PictureView := preload("picture_view.gd")
const Printable := preload("printable.gd")
const Processes := preload("processes.gd")
const Remembered := preload("remembered.gd")
const TextView := preload("text_view.gd")

## The users of the segment are asked for at most this often.
const USERS_MSEC := 3000
## The most of the width that a name takes.
const TITLE_SHARE := 0.5

var _segment := {}
var _is_there := false
var _title := Label.new()
var _facts := Label.new()
var _remove := Button.new()
var _more := Button.new()
var _tabs := TabContainer.new()
var _users: Array[int] = []
## Which of them owns the segment, or 0.
var _owner := 0
var _users_time := -USERS_MSEC


func _init() -> void:
	var top := HBoxContainer.new()
	_title.text_overrun_behavior = TextServer.OVERRUN_TRIM_ELLIPSIS
	_title.mouse_filter = Control.MOUSE_FILTER_PASS
	_title.auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
	top.add_child(_title)
	_facts.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_facts.text_overrun_behavior = TextServer.OVERRUN_TRIM_ELLIPSIS
	_facts.mouse_filter = Control.MOUSE_FILTER_PASS
	_facts.auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
	top.add_child(_facts)
	_remove.text = "Remove…"
	_remove.tooltip_text = "Removes what a program has left that was killed."
	_remove.pressed.connect(func() -> void: removal_requested.emit(_segment))
	top.add_child(_remove)
	_more.text = "Actions"
	_more.tooltip_text = "Copies the line that opens this segment, and more."
	_more.pressed.connect(_on_more_pressed)
	top.add_child(_more)
	add_child(top)
	_tabs.size_flags_vertical = Control.SIZE_EXPAND_FILL
	for view: Control in [
		BytesView.new(), TextView.new(), NumbersView.new(), PictureView.new(), MessageView.new()
	]:
		view.connect(&"look_requested", look_requested.emit)
		_tabs.add_child(view)
	_tabs.tab_changed.connect(_on_tab_changed)
	add_child(_tabs)
	resized.connect(_fit_title)
	_show_nothing("Select a segment")


## Shows this segment from now on.
func select(segment: Dictionary) -> void:
	_segment = segment
	_users_time = -USERS_MSEC
	var key := Library.key_of(segment)
	var has_messages: bool = segment.get("layout", "") in ["latest", "lanes"]
	_tabs.set_block_signals(true)
	_tabs.current_tab = Remembered.recall(key, "tab", 4 if has_messages else 0)
	_tabs.set_block_signals(false)
	_tabs.visible = true
	for view in _tabs.get_children():
		view.call(&"select", key)


## Takes what the list knows of the segment now. It is empty after the segment has gone.
func update(segment: Dictionary, game: Array[int]) -> void:
	_is_there = segment.get("size", -1) >= 0
	_remove.visible = Library.is_leftover(segment)
	_title.text = Printable.name(_segment["name"])
	_fit_title()
	_more.visible = true
	if not _is_there:
		var was_there: bool = _segment["size"] >= 0
		_facts.text = "gone; the last content is shown" if was_there else "not there yet"
		_facts.tooltip_text = "The content appears as soon as a program makes this segment."
		return
	_segment = segment
	if Time.get_ticks_msec() - _users_time > USERS_MSEC:
		_users.assign(Library.users_of(segment))
		_owner = Processes.owner_of(segment, _users) if OS.get_name() == "Linux" else 0
		_users_time = Time.get_ticks_msec()
	# The first ones matter most, because the others may be cut.
	var facts := PackedStringArray([_owned_by(game), _open_in(game)])
	if segment["incarnation"] != 0:
		facts.append("%d messages" % segment["sequence"])
	facts.append("%d bytes" % segment["size"])
	_facts.text = "; ".join(Array(facts).filter(func(fact: String) -> bool: return fact != ""))
	_facts.tooltip_text = _facts.text.replace("; ", "\n")
	_title.tooltip_text = _title.text


## Looks at the segment, and shows what it holds.
func look() -> void:
	if not _is_there:
		return
	var view: Control = _tabs.get_current_tab_control()
	var opened := Look.new()
	if opened.open(_segment):
		view.call(&"show_look", opened, _segment)
	elif opened.error != ERR_DOES_NOT_EXIST:
		view.call(&"show_problem", opened.problem)


func _show_nothing(text: String) -> void:
	_title.text = text
	_fit_title.call_deferred()
	_remove.visible = false
	_more.visible = false
	_tabs.visible = false


func _owned_by(game: Array[int]) -> String:
	var whose := "" if _segment["is_mine"] else "another user, "
	match _segment["owner_state"]:
		Library.Owner.ALIVE:
			if whose.is_empty() and _owner != 0:
				whose = _name_of(_owner, game) + ", "
			return "owner: %salive" % whose
		Library.Owner.DEAD:
			return "owner: %sdead" % whose
	return "owner: %sunknown" % whose


func _open_in(game: Array[int]) -> String:
	var others := PackedStringArray()
	for user in _users:
		if user != _owner:
			others.append(_name_of(user, game))
	if others.is_empty():
		return ""
	return ("open in " if _owner == 0 else "also open in ") + " and ".join(others)


func _name_of(process: int, game: Array[int]) -> String:
	if process == OS.get_process_id():
		return "this editor"
	return "game %d" % process if process in game else "process %d" % process


## The name takes the room that it needs, and the facts have the rest.
func _fit_title() -> void:
	var font := _title.get_theme_font(&"font")
	var font_size := _title.get_theme_font_size(&"font_size")
	var needed := font.get_string_size(_title.text, HORIZONTAL_ALIGNMENT_LEFT, -1, font_size)
	var border := _title.get_theme_stylebox(&"normal").get_minimum_size()
	_title.custom_minimum_size.x = minf(ceilf(needed.x + border.x) + 1, size.x * TITLE_SHARE)


func _on_tab_changed(tab: int) -> void:
	if not _segment.is_empty():
		Remembered.remember(Library.key_of(_segment), "tab", tab)
		look_requested.emit()


func _on_more_pressed() -> void:
	var place := _more.get_screen_position() + Vector2(0, _more.size.y)
	actions_requested.emit(_segment, Vector2i(place))
