extends Node
## An agent that does hardly anything, so that the way to Python is measured. An episode ends after
## EPISODE steps.

const EPISODE := 500
const FLOATS := 64
const SIDE := 84
const ACTIONS := 2

var as_picture := false
## The body that the actions push, if the game has bodies.
var body: RigidBody2D = null

var _steps := 0
var _position := 0.0
var _floats := PackedFloat32Array()
var _picture: Image = null


func _init() -> void:
	for index in FLOATS:
		_floats.append(sin(index))
	_picture = Image.create(SIDE, SIDE, false, Image.FORMAT_RGB8)
	for y in SIDE:
		for x in SIDE:
			_picture.set_pixel(x, y, Color8(x, y, (x * y) % 256))


func reset(_random: RandomNumberGenerator) -> void:
	# Not a random position, so that the same actions lead to the same rewards on all sides.
	_steps = 0
	_position = 0.0


func act(action: Variant) -> void:
	_steps += 1
	_position += 0.01 * (action[0] - action[1])
	if body != null:
		body.apply_central_impulse(100 * Vector2(action[0], action[1]))


func observe() -> Variant:
	if as_picture:
		_picture.set_pixel(_steps % SIDE, 0, Color8(_steps % 256, 0, 0))
		return _picture
	_floats[0] = _position
	_floats[1] = _steps
	if body != null:
		_floats[2] = body.position.x
		_floats[3] = body.position.y
	return _floats


func judge() -> Array:
	return [1.0 - absf(_position), _steps >= EPISODE]
