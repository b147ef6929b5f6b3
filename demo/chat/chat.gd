extends Control
## Makes or opens shared memory, exchanges texts through it with demo/python/chat.py, and shows its
## bytes.

signal message_received(text: String)

const Conversation := preload("res://chat/conversation.gd")
const HexView := preload("res://chat/hex_view.gd")

const DEFAULT_NAME := "SharedMemoryChat"
const DEFAULT_SIZE := 1024
const BYTES_SHOWN := 4096
const NAME_CHECK_SECONDS := 0.5

const GODOT_COLOR := Color("6fb5e8")
const PARTNER_COLOR := Color("ffd866")
const NUMBERS_COLOR := Color("c3a6f0")
const GOOD_COLOR := Color("7fd08f")
const DOUBT_COLOR := Color("f0a860")
const BAD_COLOR := Color("ff8a80")
const QUIET_COLOR := Color("8c97a8")

## The colours of the bytes in a conversation, as [member HexView.range_colors].
const CONVERSATION_COLORS := {
	Conversation.MINE: GODOT_COLOR,
	Conversation.MINE + Conversation.MARK_AT: NUMBERS_COLOR,
	Conversation.THEIRS: PARTNER_COLOR,
	Conversation.THEIRS + Conversation.MARK_AT: NUMBERS_COLOR,
	Conversation.SIZE: HexView.BYTE_COLOR,
}

var memory := SharedMemory.new()
## Null while the memory is closed or too small for a conversation.
var conversation: Conversation

var _partner_was_here := false
var _is_current := true
var _name_checked_ago := 0.0

@onready var _name_edit: LineEdit = %NameEdit
@onready var _size_edit: SpinBox = %SizeEdit
@onready var _scope_edit: OptionButton = %ScopeEdit
@onready var _create_button: Button = %CreateButton
@onready var _open_button: Button = %OpenButton
@onready var _close_button: Button = %CloseButton
@onready var _status_light: Control = %StatusLight
@onready var _status_label: Label = %StatusLabel
@onready var _log: RichTextLabel = %Log
@onready var _text_edit: LineEdit = %TextEdit
@onready var _send_button: Button = %SendButton
@onready var _seen_label: Label = %SeenLabel
@onready var _start_label: Label = %StartLabel
@onready var _hex_view: HexView = %HexView
@onready var _legend: Control = %Legend
@onready var _godot_legend: Label = %GodotLegend
@onready var _partner_legend: Label = %PartnerLegend
@onready var _numbers_legend: Label = %NumbersLegend
@onready var _error_label: Label = %ErrorLabel


func _ready() -> void:
	get_window().min_size = get_combined_minimum_size()
	# Fewer frames are enough here.
	OS.low_processor_usage_mode = true
	_name_edit.text = DEFAULT_NAME
	_size_edit.value = DEFAULT_SIZE
	_scope_edit.add_item("this user", SharedMemory.LOCAL_SCOPE)
	_scope_edit.add_item("all users", SharedMemory.GLOBAL_SCOPE)
	_create_button.pressed.connect(create_memory)
	_open_button.pressed.connect(open_memory)
	_close_button.pressed.connect(close_memory)
	_send_button.pressed.connect(_send_typed)
	_text_edit.text_submitted.connect(func(_text: String) -> void: _send_typed())
	_godot_legend.modulate = GODOT_COLOR
	_partner_legend.modulate = PARTNER_COLOR
	_numbers_legend.modulate = NUMBERS_COLOR
	_show_error(OK)
	_show_memory()


func _process(delta: float) -> void:
	_name_checked_ago += delta
	if _name_checked_ago > NAME_CHECK_SECONDS and memory.is_open():
		_name_checked_ago = 0.0
		_is_current = memory.is_current()
	# The memory closes itself if another program has truncated it.
	if not memory.is_open():
		conversation = null
	if conversation != null:
		conversation.poll()
	_note_partner()
	_show_memory()


func _exit_tree() -> void:
	close_memory()


func create_memory() -> Error:
	var scope := _scope_edit.get_selected_id()
	return _after_opening(memory.create(_name_edit.text, _get_size(), scope))


func open_memory() -> Error:
	return _after_opening(memory.open(_name_edit.text, _get_size()))


func open_or_create_memory() -> Error:
	var scope := _scope_edit.get_selected_id()
	return _after_opening(memory.open_or_create(_name_edit.text, _get_size(), scope))


func close_memory() -> void:
	if conversation != null:
		conversation.leave()
		conversation = null
	memory.close()


## Returns whether the name still led to this memory at the last look, at most half a second ago.
func is_memory_current() -> bool:
	return _is_current


## Sends a text, and returns whether that is possible.
func send(text: String) -> bool:
	if conversation == null:
		# Memory that is too small for a conversation may have room for a text.
		var error := memory.write_string(text)
		_show_error(error)
		if error != OK:
			return false
	elif Conversation.fits(text):
		conversation.say(text)
	else:
		_add_note("Not sent: a text has at most %d bytes." % (Conversation.TEXT_SIZE - 1))
		return false
	_add_message("Godot", GODOT_COLOR, text)
	return true


func _send_typed() -> void:
	if memory.is_open() and _text_edit.text != "" and send(_text_edit.text):
		_text_edit.clear()
	_text_edit.grab_focus()


func _get_size() -> int:
	return int(_size_edit.value)


func _after_opening(error: Error) -> Error:
	_show_error(error)
	if error != OK:
		return error
	_is_current = true
	if memory.get_size() >= Conversation.SIZE:
		conversation = Conversation.new(memory)
		conversation.message_received.connect(_on_message_received)
		# Memory that another program uses for something else stays as it is until the user sends
		# something.
		if memory.get_status() == SharedMemory.STATUS_CREATED or conversation.has_partner_mark():
			conversation.join()
	return OK


func _on_message_received(text: String) -> void:
	_add_message("Partner", PARTNER_COLOR, text)
	message_received.emit(text)


func _note_partner() -> void:
	var is_here := conversation != null and conversation.is_partner_here()
	if is_here != _partner_was_here:
		_partner_was_here = is_here
		_add_note("The partner is here." if is_here else "The partner has left.")


func _add_message(from: String, color: Color, text: String) -> void:
	_log.push_color(color)
	_log.add_text(from + "  ")
	_log.pop()
	_log.add_text(text + "\n")


func _add_note(text: String) -> void:
	_log.push_color(QUIET_COLOR)
	_log.add_text(text + "\n")
	_log.pop()


func _show_error(error: Error) -> void:
	_error_label.text = "none" if error == OK else memory.get_last_error_message()
	_error_label.modulate = QUIET_COLOR if error == OK else BAD_COLOR


func _show_memory() -> void:
	var bytes := PackedByteArray()
	var text := ""
	if memory.is_open():
		bytes = memory.read(mini(memory.get_size(), BYTES_SHOWN))
	if memory.is_open():
		text = memory.read_string(BYTES_SHOWN)
	if memory.get_status() == SharedMemory.STATUS_ERROR:
		_show_error(memory.get_last_error())
	_hex_view.range_colors = CONVERSATION_COLORS if conversation != null else {}
	_hex_view.show_bytes(bytes)
	_legend.visible = conversation != null
	_start_label.text = text.strip_escapes()
	var is_open := memory.is_open()
	_name_edit.editable = not is_open
	_size_edit.editable = not is_open
	_scope_edit.disabled = is_open
	_create_button.disabled = is_open
	_open_button.disabled = is_open
	_close_button.disabled = not is_open
	_text_edit.editable = is_open
	_send_button.disabled = not is_open
	_seen_label.text = _seen_words()
	_status_label.text = _status_words()
	_status_light.modulate = _status_color()


func _seen_words() -> String:
	if conversation == null or conversation.is_all_seen():
		return ""
	return "The partner has not seen everything yet."


func _status_words() -> String:
	match memory.get_status():
		SharedMemory.STATUS_CREATED, SharedMemory.STATUS_OPEN:
			return "%s %s: %s" % [_opened_words(), memory.get_native_name(), _partner_words()]
		SharedMemory.STATUS_ERROR:
			return "Not open: the last call has failed."
	return "Closed. Create makes new memory. Open finds memory of another program."


func _opened_words() -> String:
	var verb := "Created" if memory.get_status() == SharedMemory.STATUS_CREATED else "Opened"
	return "%s %d bytes as" % [verb, memory.get_size()]


func _partner_words() -> String:
	if not _is_current:
		return "the name is gone, or leads to another memory. Close this one and open it again."
	if conversation == null:
		return "too small for a conversation; Send writes its text to the start."
	if conversation.is_overwritten():
		return "another program has written to Godot's half. Close it and start again."
	if conversation.is_partner_here():
		return "the partner is here."
	if not conversation.is_joined():
		return "made by another program. Send writes to it."
	return "waiting for a partner, such as demo/python/chat.py."


func _status_color() -> Color:
	if memory.get_status() == SharedMemory.STATUS_ERROR:
		return BAD_COLOR
	if not memory.is_open():
		return QUIET_COLOR
	if not _is_current or (conversation != null and conversation.is_overwritten()):
		return DOUBT_COLOR
	if conversation != null and conversation.is_partner_here():
		return GOOD_COLOR
	return GODOT_COLOR
