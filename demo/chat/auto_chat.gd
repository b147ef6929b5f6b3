extends "res://auto.gd"
## Says hello to demo/python/chat.py, waits for its answer, and prints both.

const Chat := preload("res://chat/chat.gd")

const HELLO := "Hello world from Godot Shared Memory!"
const ANSWER := "Hello world from Python Shared Memory!"

var _answered := false

@onready var _chat: Chat = get_parent()


func _begin() -> void:
	_chat.message_received.connect(_on_message_received)


func _step() -> void:
	if _answered:
		finish()
	elif not _chat.memory.is_open():
		_say_hello()
	elif not _chat.is_memory_current():
		# The partner has ended and removed its memory. Another is made or found in the next frame.
		_chat.close_memory()


func _exit_tree() -> void:
	if _answered:
		# Neither side has made the memory if a killed program has left it.
		_chat.memory.unlink()


func _progress() -> String:
	var is_here := _chat.conversation != null and _chat.conversation.is_partner_here()
	return "the partner does not answer" if is_here else "no partner came"


func _say_hello() -> void:
	if _chat.open_or_create_memory() == OK and _chat.send(HELLO):
		print("Godot sent: ", HELLO)
	else:
		finish(_chat.memory.get_last_error_message())


func _on_message_received(text: String) -> void:
	print("Godot received: ", text)
	# The partner has read everything before it answers, so the memory may go now.
	_answered = _answered or (text == ANSWER and _chat.conversation.is_all_seen())
