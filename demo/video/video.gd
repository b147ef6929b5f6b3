extends Control
## Shows the pictures of demo/python/video.py, and hands out pictures of this window.
##
## The nodes do the work: the texture of Picture is a SharedMemoryTexture, and Source is a
## SharedMemoryViewportSource. This script only fills the labels.

# These names also hold in a project that the editor has never opened.
const SharedTexture := preload("res://addons/shared_memory/shared_memory_texture.gd")
const ViewportSource := preload("res://addons/shared_memory/shared_memory_viewport_source.gd")

const HERE_COLOR := Color("7fd08f")
const WAITING_COLOR := Color("8c97a8")
const FADED := Color(1, 1, 1, 0.4)

## The number of pictures shown so far.
var shown := 0

var _number := 0
var _second := 0.0
var _shown_before := 0
var _missed_before := 0
var _ages: Array[float] = []

@onready var texture: SharedTexture = %Picture.texture
@onready var _source: ViewportSource = %Source
@onready var _picture: TextureRect = %Picture
@onready var _rate_label: Label = %RateLabel
@onready var _age_label: Label = %AgeLabel
@onready var _missed_label: Label = %MissedLabel
@onready var _status_light: Control = %StatusLight
@onready var _status_label: Label = %StatusLabel
@onready var _screen_label: Label = %ScreenLabel
@onready var _screen_button: Button = %ScreenButton


func _ready() -> void:
	get_window().min_size = get_combined_minimum_size()
	_screen_button.pressed.connect(hand_out_screen)
	texture.live_changed.connect(_show_status)
	_show_status(texture.is_live())


func _process(delta: float) -> void:
	if texture.get_sequence() != _number:
		_number = texture.get_sequence()
		shown += 1
		_ages.append(texture.get_age_usec() / 1000.0)
		_show_status(texture.is_live())
	_show_figures(delta)


## Hands out the next picture of this window. video.py finds it, and saves it.
func hand_out_screen() -> void:
	_source.enabled = true
	await RenderingServer.frame_post_draw
	_source.enabled = false
	var problem := _source.get_problem()
	_screen_label.text = problem if problem != "" else "Handed out as %s" % _source.memory_name


func _show_figures(delta: float) -> void:
	_second += delta
	if _second < 1.0:
		return
	# The count of missed pictures begins again with new memory.
	var missed := texture.get_missed_count()
	_rate_label.text = "%.0f" % ((shown - _shown_before) / _second)
	_missed_label.text = "%.0f" % (maxi(0, missed - _missed_before) / _second)
	_ages.sort()
	_age_label.text = "–" if _ages.is_empty() else "%.1f ms" % _ages[_ages.size() / 2]
	_second = 0.0
	_shown_before = shown
	_missed_before = missed
	_ages.clear()


func _show_status(is_live: bool) -> void:
	_picture.modulate = Color.WHITE if is_live else FADED
	_status_light.modulate = HERE_COLOR if is_live else WAITING_COLOR
	if is_live:
		var facts := [texture.memory_name, texture.get_width(), texture.get_height()]
		_status_label.text = "%s, pictures of %d × %d" % facts
	else:
		_status_label.text = "Waiting for pictures of demo/python/video.py."
