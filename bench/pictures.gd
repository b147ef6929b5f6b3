extends SceneTree
## Pictures of another process in a window, and a viewport that is handed out.
##
## tools/bench_pictures.py starts one process as the source, and one with a window:
## [codeblock]
## pictures.gd -- write NAME WIDTH HEIGHT FORMAT
## pictures.gd -- show NAME SECONDS
## pictures.gd -- hand_out NAME SECONDS
## [/codeblock]

const TEXTURE := preload("res://addons/shared_memory/shared_memory_texture.gd")
const SOURCE := preload("res://addons/shared_memory/shared_memory_viewport_source.gd")
const PER_SECOND := 60
## The source ends then, even if the other process was killed.
const LONGEST_MSEC := 60_000
const WARM_UP_FRAMES := 60

## The microseconds of each copy, and of all that the node or texture does in a frame.
var _copies: Array[int] = []
var _turns: Array[int] = []
var _began := 0


## Stands between a texture and its stream, and measures the copies.
class Measured:
	extends RefCounted
	var stream: RefCounted
	var copies: Array[int]

	func is_attached() -> bool:
		return stream.is_attached()

	func has_new_data() -> bool:
		return stream.has_new_data()

	func get_writer_state() -> int:
		return stream.get_writer_state()

	func get_message_shape() -> PackedInt32Array:
		return stream.get_message_shape()

	func get_last_error_message() -> String:
		return stream.get_last_error_message()

	func read_image(image: Image, format: int) -> Error:
		var start := Time.get_ticks_usec()
		var error: Error = stream.read_image(image, format)
		copies.append(Time.get_ticks_usec() - start)
		return error


func _initialize() -> void:
	var words := OS.get_cmdline_user_args()
	match words[0]:
		"write":
			_write(words[1], int(words[2]), int(words[3]), int(words[4]))
			quit()
		"show":
			_show(words[1], float(words[2]))
		"hand_out":
			_hand_out(words[1], float(words[2]))


func _write(stream_name: String, width: int, height: int, format: Image.Format) -> void:
	var images: Array[Image] = []
	for number in 4:
		var image := Image.create_empty(width, height, false, format)
		image.fill(Color(number / 4.0, 0.5, 1.0))
		images.append(image)
	var stream := SharedMemoryStream.new()
	if stream.create(stream_name, images[0].get_data_size()) != OK:
		push_error(stream.get_last_error_message())
		return
	print("ready")
	var start := Time.get_ticks_usec()
	var number := 0
	while Time.get_ticks_usec() - start < LONGEST_MSEC * 1000:
		stream.write(images[number % images.size()])
		number += 1
		OS.delay_usec(maxi(start + number * 1_000_000 / PER_SECOND - Time.get_ticks_usec(), 0))


func _show(stream_name: String, seconds: float) -> void:
	RenderingServer.frame_pre_draw.connect(_begin)
	var texture := TEXTURE.new()
	texture.memory_name = stream_name
	RenderingServer.frame_pre_draw.connect(_end)
	var rect := TextureRect.new()
	rect.texture = texture
	rect.set_anchors_preset(Control.PRESET_FULL_RECT)
	root.add_child(rect)
	while not texture.is_live():
		await process_frame
	var measured := Measured.new()
	measured.stream = texture._stream
	measured.copies = _copies
	texture._stream = measured
	await _run(seconds)
	_turns.sort()
	# The shorter ones were without a new picture.
	_tell(_turns.slice(-_copies.size()))


func _hand_out(stream_name: String, seconds: float) -> void:
	var viewport := SubViewport.new()
	viewport.size = Vector2i(1920, 1080)
	viewport.render_target_update_mode = SubViewport.UPDATE_ALWAYS
	var rect := ColorRect.new()
	rect.size = viewport.size
	viewport.add_child(rect)
	root.add_child(viewport)
	# First without the node, then with it.
	var idle := await _run(seconds)
	RenderingServer.frame_post_draw.connect(_begin)
	var source := SOURCE.new()
	source.memory_name = stream_name
	viewport.add_child(source)
	RenderingServer.frame_post_draw.connect(_end)
	var busy := await _run(seconds)
	_tell(_turns, {"frame_without": idle, "frame_with": busy})


## Runs for some seconds, and returns the median time of a frame in microseconds.
func _run(seconds: float) -> int:
	for frame in WARM_UP_FRAMES:
		await process_frame
	_copies.clear()
	_turns.clear()
	var frames: Array[int] = []
	var last := Time.get_ticks_usec()
	var end := last + int(seconds * 1e6)
	while last < end:
		await process_frame
		frames.append(Time.get_ticks_usec() - last)
		last += frames[-1]
	return _median(frames)


func _begin() -> void:
	_began = Time.get_ticks_usec()


func _end() -> void:
	_turns.append(Time.get_ticks_usec() - _began)


func _tell(turns: Array[int], more := {}) -> void:
	turns.sort()
	var result := {"turns": turns.size(), "copy": _median(_copies), "turn": _median(turns)}
	result["turn_99"] = turns[turns.size() * 99 / 100] if turns else 0
	print("##pictures## ", JSON.stringify(result.merged(more)))
	quit()


func _median(values: Array[int]) -> int:
	var sorted := values.duplicate()
	sorted.sort()
	return sorted[sorted.size() / 2] if sorted else 0
