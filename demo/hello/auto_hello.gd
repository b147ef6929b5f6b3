extends Node
## With [code]-- --auto[/code] on the command line: says hello to demo/python/chat.py, waits for its
## answer, prints both and quits; with exit code 1 and the reason if there is none in time.

const Hello := preload("res://hello/hello.gd")

const HELLO := "Hello world from Godot Shared Memory!"
const ANSWER := "Hello world from Python Shared Memory!"
const TIMEOUT_SECONDS := 20.0

var _answered := false
var _waited := 0.0

@onready var _window: Hello = get_parent()


func _ready() -> void:
	set_process(false)
	if "--auto" not in OS.get_cmdline_user_args():
		return
	_window.message_received.connect(_on_message_received)
	# Children are ready before their parent is.
	await _window.ready
	set_process(true)


func _process(delta: float) -> void:
	_waited += delta
	if _answered:
		_finish()
	elif _waited > TIMEOUT_SECONDS:
		var is_here := _window.conversation != null and _window.conversation.is_partner_here()
		_give_up("the partner did not answer" if is_here else "no partner came")
	elif not _window.memory.is_open():
		_say_hello()
	elif not _window.is_memory_current():
		# The partner has ended, and its memory with it: make or find the next one.
		_window.close_memory()


func _say_hello() -> void:
	if _window.open_or_create_memory() == OK and _window.send(HELLO):
		print("Godot sent: ", HELLO)
	else:
		_give_up(_window.memory.get_last_error_message())


func _on_message_received(text: String) -> void:
	print("Godot received: ", text)
	# The partner answers what it has seen, so the memory may go now.
	_answered = _answered or (text == ANSWER and _window.conversation.is_all_seen())


func _finish() -> void:
	set_process(false)
	# If both sides only opened it, the memory is left over from a partner that was killed: nobody
	# else will remove it.
	_window.memory.unlink()
	get_tree().quit(0)


func _give_up(reason: String) -> void:
	set_process(false)
	printerr("No answer from Python after %.0f seconds: %s" % [_waited, reason])
	get_tree().quit(1)
