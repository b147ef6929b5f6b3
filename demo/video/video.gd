extends Control
## Shows the pictures that another program draws, and hands out what is on the screen here.

const Frames := preload("res://video/frames.gd")

const VIDEO_NAME := "SharedMemoryVideo"
const SCREEN_NAME := "SharedMemoryScreen"
const NAME_CHECK_SECONDS := 0.5
## The pictures handed out have at most this size.
const SCREEN_SIZE := Vector2i(1280, 720)

## How many pictures came so far.
var received := 0
var video_memory := SharedMemory.new()
var screen_memory := SharedMemory.new()
var video := Frames.new(video_memory)
var screen := Frames.new(screen_memory)

var _texture: ImageTexture
var _name_checked_ago := 0.0
var _second := 0.0
var _in_this_second := 0
var _usec_in_this_second := 0
var _rate := 0
var _milliseconds := 0.0

@onready var _picture: TextureRect = %Picture
@onready var _status_label: Label = %StatusLabel
@onready var _screen_label: Label = %ScreenLabel
@onready var _screen_button: Button = %ScreenButton


func _ready() -> void:
	_screen_button.pressed.connect(hand_out_screen)


func _process(delta: float) -> void:
	if not video_memory.is_open() and video_memory.open(VIDEO_NAME) != OK:
		_status_label.text = "Waiting for pictures: python3 demo/python/video.py (it takes numpy)"
		return
	_check_name(delta)
	var start := Time.get_ticks_usec()
	if video_memory.is_open() and video.read():
		_show()
		received += 1
		_in_this_second += 1
		_usec_in_this_second += Time.get_ticks_usec() - start
	_second += delta
	if _second >= 1.0:
		_rate = _in_this_second
		_milliseconds = _usec_in_this_second / 1000.0 / maxi(1, _in_this_second)
		_in_this_second = 0
		_usec_in_this_second = 0
		_second = 0.0
	_status_label.text = (
		"%s, %d × %d: %d pictures a second, %.2f ms each to read and upload"
		% [video_memory.get_native_name(), video.size.x, video.size.y, _rate, _milliseconds]
	)


## Writes what this window shows to memory, where video.py finds it and saves it.
func hand_out_screen() -> Error:
	await RenderingServer.frame_post_draw
	return hand_out(get_viewport().get_texture().get_image())


func hand_out(picture: Image) -> Error:
	picture.convert(Image.FORMAT_RGBA8)
	if picture.get_width() > SCREEN_SIZE.x or picture.get_height() > SCREEN_SIZE.y:
		picture.resize(SCREEN_SIZE.x, SCREEN_SIZE.y)
	if not screen_memory.is_open():
		var error := screen_memory.open_or_create(SCREEN_NAME, Frames.bytes_for(SCREEN_SIZE))
		if error != OK:
			_screen_label.text = screen_memory.get_last_error_message()
			return error
	var outcome := screen.write(picture)
	_screen_label.text = "Picture %d handed out as %s" % [screen.count, SCREEN_NAME]
	return outcome


func _show() -> void:
	if _texture == null or Vector2i(_texture.get_size()) != video.size:
		_texture = ImageTexture.create_from_image(video.image)
		_picture.texture = _texture
	else:
		_texture.update(video.image)


func _check_name(delta: float) -> void:
	_name_checked_ago += delta
	if _name_checked_ago > NAME_CHECK_SECONDS:
		_name_checked_ago = 0.0
		if not video_memory.is_current():
			video_memory.close()
			video.count = 0
