extends Node
## Runs a demo unattended, with [code]-- --auto[/code] on the command line. Each demo has a script
## that extends this one.
##
## The exit code is 0 once the demo is done. It is 1 if there is a problem, which is printed, or if
## the demo is not done within [constant TIME_LIMIT]. With [code]--screenshot=PATH[/code] as well,
## the window stays for [constant SCREENSHOT_DELAY], and a picture of it is saved as PNG.

const TIME_LIMIT := 40.0
const SCREENSHOT_DELAY := 9.0
const SCREENSHOT_OPTION := "--screenshot="

var _seconds := 0.0


func _ready() -> void:
	set_process(false)
	if "--auto" in OS.get_cmdline_user_args():
		# Without a screen, nothing else limits the frames per second.
		Engine.max_fps = 60
		# Children are ready before their parent is.
		await get_parent().ready
		set_process(true)
		_begin()


func _process(delta: float) -> void:
	_step()
	_seconds += delta
	if _seconds > TIME_LIMIT and is_processing():
		finish("Not done within %.0f seconds: %s" % [TIME_LIMIT, _progress()])


## Ends the demo, with exit code 1 if there is a problem.
func finish(problem := "") -> void:
	set_process(false)
	if problem == "":
		await _save_screenshot()
	else:
		printerr(problem)
	get_tree().quit(0 if problem == "" else 1)


## Starts the demo. To be overridden.
func _begin() -> void:
	pass


## Acts in each frame, and calls [method finish] in the end. To be overridden.
func _step() -> void:
	pass


## Returns what has happened so far, for the message about a demo that takes too long. To be
## overridden.
func _progress() -> String:
	return ""


func _save_screenshot() -> void:
	for argument in OS.get_cmdline_user_args():
		if argument.begins_with(SCREENSHOT_OPTION):
			await get_tree().create_timer(SCREENSHOT_DELAY).timeout
			# Otherwise, a window without changes is not drawn.
			OS.low_processor_usage_mode = false
			await RenderingServer.frame_post_draw
			var picture := get_viewport().get_texture().get_image()
			picture.save_png(argument.trim_prefix(SCREENSHOT_OPTION))
