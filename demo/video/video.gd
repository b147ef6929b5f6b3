extends Control
## Shows the pictures that demo/python/video.py draws, and hands out a picture of this window.

const FollowedMemory := preload("res://followed_memory.gd")
const Frames := preload("res://video/frames.gd")

const VIDEO_NAME := "SharedMemoryVideo"
const SCREEN_NAME := "SharedMemoryScreen"

const HERE_COLOR := Color("7fd08f")
const WAITING_COLOR := Color("8c97a8")
const FADED := Color(1, 1, 1, 0.4)

## The number of pictures read so far.
var received := 0
var video_memory := FollowedMemory.new(VIDEO_NAME, Frames.SIZE)
var screen_memory := SharedMemory.new()
var video := Frames.new(video_memory)
var screen := Frames.new(screen_memory)

var _screen_error := ""
var _texture: ImageTexture
var _second := 0.0
var _in_this_second := 0
var _reading_usec := 0
var _uploading_usec := 0

@onready var _picture: TextureRect = %Picture
@onready var _rate_label: Label = %RateLabel
@onready var _reading_label: Label = %ReadingLabel
@onready var _uploading_label: Label = %UploadingLabel
@onready var _status_light: Control = %StatusLight
@onready var _status_label: Label = %StatusLabel
@onready var _screen_label: Label = %ScreenLabel
@onready var _screen_button: Button = %ScreenButton


func _ready() -> void:
	get_window().min_size = get_combined_minimum_size()
	_screen_button.pressed.connect(hand_out_screen)
	video_memory.lost.connect(_on_video_lost)


func _process(delta: float) -> void:
	if video_memory.follow(delta):
		_read()
	_show_rate(delta)
	_show_status()


## Writes a picture of this window to memory. video.py finds it there, and saves it.
func hand_out_screen() -> Error:
	await RenderingServer.frame_post_draw
	return hand_out(get_viewport().get_texture().get_image())


func hand_out(picture: Image) -> Error:
	picture.convert(Image.FORMAT_RGBA8)
	if picture.get_size() != picture.get_size().min(Frames.LARGEST):
		picture.resize(Frames.LARGEST.x, Frames.LARGEST.y)
	var error := OK
	if not screen_memory.is_open():
		error = screen_memory.open_or_create(SCREEN_NAME, Frames.SIZE)
	if error == OK:
		error = screen.write(picture)
	_screen_error = "" if error == OK else screen_memory.get_last_error_message()
	return error


func _read() -> void:
	var start := Time.get_ticks_usec()
	if not video.read():
		return
	var read_at := Time.get_ticks_usec()
	if _texture == null or Vector2i(_texture.get_size()) != video.size:
		_texture = ImageTexture.create_from_image(video.image)
		_picture.texture = _texture
	else:
		_texture.update(video.image)
	_reading_usec += read_at - start
	_uploading_usec += Time.get_ticks_usec() - read_at
	_in_this_second += 1
	received += 1


func _on_video_lost() -> void:
	video.count = 0


func _show_rate(delta: float) -> void:
	_second += delta
	if _second >= 1.0:
		_rate_label.text = "%.0f" % (_in_this_second / _second)
		_reading_label.text = _per_picture(_reading_usec)
		_uploading_label.text = _per_picture(_uploading_usec)
		_second = 0.0
		_in_this_second = 0
		_reading_usec = 0
		_uploading_usec = 0


func _per_picture(usec: int) -> String:
	return "–" if _in_this_second == 0 else "%.2f ms" % (usec / 1000.0 / _in_this_second)


func _show_status() -> void:
	var is_here := video_memory.is_open() and video.count > 0
	_picture.modulate = Color.WHITE if is_here else FADED
	_status_light.modulate = HERE_COLOR if is_here else WAITING_COLOR
	if is_here:
		var facts := [video_memory.get_native_name(), video.size.x, video.size.y]
		_status_label.text = "%s, pictures of %d × %d" % facts
	else:
		_status_label.text = "Waiting for pictures: python3 demo/python/video.py (needs numpy)"
	if _screen_error != "":
		_screen_label.text = _screen_error
	elif screen.count > 0:
		var fate := "Python has read it" if screen.is_seen() else "not read yet"
		_screen_label.text = "Picture %d is in %s: %s" % [screen.count, SCREEN_NAME, fate]
