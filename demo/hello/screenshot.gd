extends Node
## With [code]-- --screenshot=PATH[/code] on the command line: saves a picture of the window in use
## as PNG, and quits.

const Hello := preload("res://hello/hello.gd")
const Conversation := preload("res://hello/conversation.gd")

const OPTION := "--screenshot="

## What the two sides say, in turns.
const WORDS: Array[String] = [
	"Hello world from Godot Shared Memory!",
	"Hello world from Python Shared Memory!",
	"How warm is it in the lab?",
	"21.4 °C, and the window is open.",
]

@onready var _window: Hello = get_parent()


func _ready() -> void:
	for argument in OS.get_cmdline_user_args():
		if argument.begins_with(OPTION):
			await _window.ready
			get_tree().quit(0 if await _take(argument.trim_prefix(OPTION)) == OK else 1)


func _take(path: String) -> Error:
	var error := _window.create_memory()
	if error != OK:
		return error
	# The partner is in this process, but has opened the memory by its name as any other would.
	var memory := SharedMemory.new()
	error = memory.open(_window.memory.get_name())
	if error != OK:
		return error
	var partner := Conversation.new(memory, Conversation.PARTNER)
	partner.join()
	for index in WORDS.size():
		if index % 2 == 0:
			_window.send(WORDS[index])
		else:
			partner.say(WORDS[index])
		for _frame in 4:
			partner.poll()
			await get_tree().process_frame
	# The light on the bytes that changed first has faded by then, the others' not quite.
	await get_tree().create_timer(0.7).timeout
	await RenderingServer.frame_post_draw
	return get_viewport().get_texture().get_image().save_png(path)
