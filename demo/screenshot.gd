extends Node
## With [code]-- --screenshot=PATH[/code] on the command line: saves a picture of the window as PNG
## after a while, and quits.

const OPTION := "--screenshot="
const SECONDS := 11.0


func _ready() -> void:
	for argument in OS.get_cmdline_user_args():
		if argument.begins_with(OPTION):
			await get_tree().create_timer(SECONDS).timeout
			await RenderingServer.frame_post_draw
			var picture := get_viewport().get_texture().get_image()
			get_tree().quit(picture.save_png(argument.trim_prefix(OPTION)))
