extends SceneTree
## Saves the frames of a scene of any project, for ./build.sh pictures.
##
## Its words are the scene, the folder for the frames, the frames per second, and two numbers of
## frames. The first is that of the frames to save, and the second that of the frames before them.
## A line on the output tells of each frame that was saved.

const MARK := "##frame## "

var _folder := ""
var _interval := 0.0
var _frames := 0
var _skipped := 0
var _time := 0.0
var _next := 0


func _initialize() -> void:
	var words := OS.get_cmdline_user_args()
	_folder = words[1]
	_interval = 1.0 / words[2].to_float()
	_frames = words[3].to_int()
	_skipped = words[4].to_int()
	change_scene_to_file(words[0])
	RenderingServer.frame_post_draw.connect(_save)


func _process(delta: float) -> bool:
	_time += delta
	return _next >= _frames + _skipped


func _save() -> void:
	if _time < _next * _interval or _next >= _frames + _skipped:
		return
	if _next >= _skipped:
		var number := _next - _skipped
		root.get_texture().get_image().save_png("%s/%04d.png" % [_folder, number])
		print(MARK, number)
	_next += 1
