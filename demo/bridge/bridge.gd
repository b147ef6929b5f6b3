extends Control
## Shows the pictures of a program on another machine, and sends the clicks on them there.
##
## The scene knows nothing of the bridge: the names are those of memory of its own machine. The
## partners are demo/bridge/camera.py, and demo/bridge/bridge.py on both machines.

# By its path: where nothing was imported yet, the engine knows no class_name.
const LivePicture := preload("res://addons/shared_memory/shared_memory_texture.gd")
const CLICKS := "bridge_clicks"

var clicks := SharedMemoryQueue.new()

@onready var picture: TextureRect = %Picture
@onready var _status_text: Label = %StatusText


func _ready() -> void:
	if clicks.create(CLICKS, 4096) != OK:
		push_error(clicks.get_last_error_message())
	picture.gui_input.connect(_on_picture_input)


func _process(_delta: float) -> void:
	var texture := picture.texture as LivePicture
	var waiting := clicks.get_message_count()
	if texture.is_live():
		_status_text.text = "The picture comes over the bridge. %d clicks wait for it." % waiting
	else:
		_status_text.text = "Waiting for the bridge: ./build.sh demo bridge --window"


## Sends a click, at pixels of the picture, in the order of all clicks.
func click(at: Vector2, color: Color) -> void:
	if clicks.enqueue({"at": at, "color": color}) != OK:
		_status_text.text = clicks.get_last_error_message()


func _on_picture_input(event: InputEvent) -> void:
	var button := event as InputEventMouseButton
	if button == null or not button.pressed or not picture.texture.get_size():
		return
	# The picture keeps its shape, so there may be bars beside it.
	var shown := picture.texture.get_size()
	var zoom := minf(picture.size.x / shown.x, picture.size.y / shown.y)
	var at := (button.position - (picture.size - shown * zoom) / 2) / zoom
	click(at, Color.from_hsv(randf(), 0.7, 1))
