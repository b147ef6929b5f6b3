extends Node3D
## Water that numpy computes in demo/python/water.py, and a ball that floats on it.

## Rows and columns of the heights, as in water.py.
const SIZE := 96
## The length of the water's sides.
const LENGTH := 4.0
## The height of the water where a number is 1.
const HEIGHT := 0.2
## Seconds, for one round of the ball.
const ROUND := 6.0
## Milliseconds. Without an answer, the water stands still for this frame.
const PATIENCE := 200

## The number of answers.
var steps := 0
## The heights of the last answer, row by row.
var heights := PackedFloat32Array()

var _peer := SharedMemoryPeer.new()
var _heights := Image.create_empty(SIZE, SIZE, false, Image.FORMAT_RF)
var _texture := ImageTexture.create_from_image(_heights)
var _seconds := 0.0

@onready var _ball: Node3D = $Ball
@onready var _surface: MeshInstance3D = $Surface
@onready var _status: Label = %Status


func _ready() -> void:
	var material: ShaderMaterial = _surface.material_override
	material.set_shader_parameter("heights", _texture)
	material.set_shader_parameter("amplitude", HEIGHT)


func _process(delta: float) -> void:
	if _peer.get_status() == SharedMemoryPeer.STATUS_CLOSED:
		_peer.open("SharedMemoryWater")
	_peer.poll()
	var is_connected := _peer.get_status() == SharedMemoryPeer.STATUS_CONNECTED
	_status.visible = not is_connected
	if is_connected:
		_seconds += delta
		_step()


## Tells Python where the ball is, and shows the heights that come back.
func _step() -> void:
	var place := _place_at(_seconds)
	_peer.send(Vector2i(place))
	var answer: Variant = _peer.receive(PATIENCE)
	if not answer is PackedFloat32Array or answer.size() != SIZE * SIZE:
		return
	_heights.set_data(SIZE, SIZE, false, Image.FORMAT_RF, answer.to_byte_array())
	_texture.update(_heights)
	steps += 1
	heights = answer
	var flat := (place / SIZE - Vector2(0.5, 0.5)) * LENGTH
	# A floating ball is as high as the water around it, not as its own trough.
	var height := 0.0
	for turn in 8:
		var at := Vector2i(place + Vector2.from_angle(turn * TAU / 8.0) * 5.0)
		height += heights[at.y * SIZE + at.x] / 8.0
	var target := Vector3(flat.x, height * HEIGHT + 0.05, flat.y)
	_ball.position = _ball.position.lerp(target, 0.5)


## Returns a place on the path of the ball, in columns and rows.
func _place_at(seconds: float) -> Vector2:
	var angle := seconds * TAU / ROUND
	return Vector2(0.5 + 0.3 * sin(angle), 0.5 + 0.3 * sin(2.0 * angle + 0.6)) * SIZE
