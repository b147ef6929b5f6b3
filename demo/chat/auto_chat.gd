extends "res://auto.gd"
## Says hello to demo/python/chat.py, waits for its answer, and prints both.

const Chat := preload("res://chat/chat.gd")

const HELLO := "Hello world from Godot Shared Memory!"
const ANSWER := "Hello world from Python Shared Memory!"

var _answered := false

@onready var _chat: Chat = get_parent()


func _begin() -> void:
	_chat.peer.connected.connect(_say_hello)
	_chat.peer.message_received.connect(_on_message_received)


func _step() -> void:
	if _answered:
		finish()


func _progress() -> String:
	var is_here := _chat.peer.get_status() == SharedMemoryPeer.STATUS_CONNECTED
	return "the partner does not answer" if is_here else "no partner came"


func _say_hello() -> void:
	if _chat.send(HELLO):
		print("Godot sent: ", HELLO)


func _on_message_received(value: Variant) -> void:
	print("Godot received: ", value)
	_answered = _answered or str(value) == ANSWER
