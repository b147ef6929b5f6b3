extends Control
## A conversation with demo/python/chat.py, over a SharedMemoryPeer. A second window of this scene
## can be the partner, too.

const PEER_NAME := "SharedMemoryChat"
## Another program may send anything, of any length.
const MOST_CHARACTERS := 2000

const GODOT_COLOR := Color("6fb5e8")
const PARTNER_COLOR := Color("ffd866")
const GOOD_COLOR := Color("7fd08f")
const QUIET_COLOR := Color("8c97a8")

var peer := SharedMemoryPeer.new()

@onready var _status_light: Control = %StatusLight
@onready var _status_label: Label = %StatusLabel
@onready var _log: RichTextLabel = %Log
@onready var _text_edit: LineEdit = %TextEdit
@onready var _send_button: Button = %SendButton


func _ready() -> void:
	get_window().min_size = get_combined_minimum_size()
	# Fewer frames are enough here.
	OS.low_processor_usage_mode = true
	peer.connected.connect(_add_line.bind("The partner is here.", "", QUIET_COLOR))
	peer.disconnected.connect(_add_line.bind("The partner has left.", "", QUIET_COLOR))
	peer.message_received.connect(_on_message_received)
	_send_button.pressed.connect(_send_typed)
	_text_edit.text_submitted.connect(func(_text: String) -> void: _send_typed())
	_text_edit.grab_focus()


func _process(_delta: float) -> void:
	if peer.get_status() == SharedMemoryPeer.STATUS_CLOSED:
		# Doesn't wait for the partner. If this fails, the next frame tries again.
		peer.open(PEER_NAME)
	_show_status()
	peer.poll()


## Sends a text, and returns whether the partner will find it.
func send(text: String) -> bool:
	if peer.send(text) != OK:
		_add_line("Not sent: " + peer.get_last_error_message(), "", QUIET_COLOR)
		return false
	_add_line(text, "Godot", GODOT_COLOR)
	return true


func _send_typed() -> void:
	if _text_edit.text != "" and send(_text_edit.text):
		_text_edit.clear()
	_text_edit.grab_focus()


func _on_message_received(value: Variant) -> void:
	_add_line(str(value).left(MOST_CHARACTERS), "Partner", PARTNER_COLOR)


func _add_line(text: String, speaker: String, color: Color) -> void:
	_log.push_color(color)
	_log.add_text(text if speaker == "" else speaker + "  ")
	_log.pop()
	_log.add_text("\n" if speaker == "" else text + "\n")


func _show_status() -> void:
	_status_light.modulate = QUIET_COLOR
	match peer.get_status():
		SharedMemoryPeer.STATUS_CONNECTED:
			_status_label.text = "The partner is here."
			_status_light.modulate = GOOD_COLOR
		SharedMemoryPeer.STATUS_WAITING:
			_status_label.text = "Waiting for a partner, such as demo/python/chat.py."
		SharedMemoryPeer.STATUS_CLOSED:
			_status_label.text = peer.get_last_error_message()
