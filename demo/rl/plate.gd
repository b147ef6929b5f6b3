extends Node3D
## A plate that tilts, with a ball on it. The ball shall follow the ring.
##
## This is an agent for SharedMemoryGym: [method reset], [method act], [method observe] and
## [method judge] are the whole game. A hand and a script play it through [method act], too.

const Gym := preload("res://addons/shared_memory/shared_memory_gym.gd")

## The plate is a square, and this is half of its side, in metres.
const HALF := 2.0
const MAX_TILT := deg_to_rad(14.0)
## In radians per second.
const TILT_SPEED := 2.5
## The ring keeps this distance from the middle, in each direction.
const RING_REACH := 1.2
## A ball at this distance from the ring gets no reward, in metres.
const REWARD_REACH := 2.0
const BAD := Color("f2503f")
const GOOD := Color("35d46f")

var observation_space: Dictionary = Gym.box([8])
var action_space: Dictionary = Gym.box([2], -1.0, 1.0)
## The reward of the last step, for those who look on.
var reward := 0.0

## Each component is from -1 to 1.
var _wanted := Vector2.ZERO
## In radians, to the right and to the front.
var _tilt := Vector2.ZERO
## Where the ring is on its way.
var _phase := Vector2.ZERO
var _pace := Vector2.ZERO
var _tint := 0.0
var _ball_material := StandardMaterial3D.new()
var _ring_material := StandardMaterial3D.new()

@onready var _top: AnimatableBody3D = $Top
@onready var _ring: Node3D = $Top/Ring
@onready var _ball: RigidBody3D = $Ball


func _ready() -> void:
	_ball_material.roughness = 0.25
	_ball_material.metallic = 0.2
	_ring_material.emission_enabled = true
	_ring_material.emission_energy_multiplier = 0.45
	($Ball/Mesh as MeshInstance3D).material_override = _ball_material
	($Top/Ring as MeshInstance3D).material_override = _ring_material
	reset(RandomNumberGenerator.new())


## Begins an episode: the ball falls onto the plate, and the ring starts at another place.
func reset(random: RandomNumberGenerator) -> void:
	_phase = Vector2(random.randf_range(0.0, TAU), random.randf_range(0.0, TAU))
	_pace = Vector2(random.randf_range(0.4, 0.8), random.randf_range(0.4, 0.8))
	_wanted = Vector2.ZERO
	_tilt = Vector2.ZERO
	_top.basis = Basis.IDENTITY
	reward = 0.0
	var start := Vector3(random.randf_range(-1.2, 1.2), 0.9, random.randf_range(-1.2, 1.2))
	_ball.global_transform = Transform3D(Basis.IDENTITY, global_position + start)
	_ball.linear_velocity = Vector3.ZERO
	_ball.angular_velocity = Vector3.ZERO


## Tilts the plate. [param action] has the tilt to the right and to the front, each from -1 to 1.
func act(action: PackedFloat32Array) -> void:
	_wanted = Vector2(action[0], action[1]).clampf(-1.0, 1.0)


## Returns eight numbers, two of each kind. The first are the way to the ring in metres, and the
## speed of the ring relative to the ball, in metres per second. Then follow the place of the ball
## and the tilt of the plate, from -1 to 1.
func observe() -> PackedFloat32Array:
	var way := _way_to_ring()
	var velocity := RING_REACH * _pace * Vector2(cos(_phase.x), cos(_phase.y))
	velocity -= Vector2(_ball.linear_velocity.x, _ball.linear_velocity.z)
	var place := _place_of_ball() / HALF
	var tilt := _tilt / MAX_TILT
	return PackedFloat32Array(
		[way.x, way.y, velocity.x, velocity.y, place.x, place.z, tilt.x, tilt.y]
	)


## Returns the reward, and whether the episode is over because the ball has fallen.
func judge() -> Array:
	var fallen := _place_of_ball().y < -1.0
	reward = 0.0 if fallen else maxf(0.0, 1.0 - _way_to_ring().length() / REWARD_REACH)
	return [reward, fallen]


## Returns the action of a good hand-written player: towards the ring, and against the speed.
func script_action(observation: PackedFloat32Array) -> PackedFloat32Array:
	var way := Vector2(observation[0], observation[1])
	var velocity := Vector2(observation[2], observation[3])
	var tilt := (2.0 * way + 1.25 * velocity).clampf(-1.0, 1.0)
	return PackedFloat32Array([tilt.x, tilt.y])


## Returns the action of a person. The plate below the mouse tilts towards the mouse,
## the arrow keys tilt all plates, and the script plays the others.
func human_action() -> PackedFloat32Array:
	var keys := Input.get_vector("ui_left", "ui_right", "ui_up", "ui_down")
	if keys != Vector2.ZERO:
		return PackedFloat32Array([keys.x, keys.y])
	var mouse := get_viewport().get_mouse_position()
	var camera := get_viewport().get_camera_3d()
	var hit: Variant = Plane(Vector3.UP, global_position.y).intersects_ray(
		camera.project_ray_origin(mouse), camera.project_ray_normal(mouse)
	)
	if hit != null:
		var place: Vector3 = (hit - global_position) / HALF
		if maxf(absf(place.x), absf(place.z)) < 1.0:
			return PackedFloat32Array([place.x, place.z])
	return script_action(observe())


## Shows the reward as a colour.
func show_reward(delta: float) -> void:
	_tint = lerpf(_tint, clampf(reward * 2.0 - 1.0, 0.0, 1.0), 1.0 - exp(-6.0 * delta))
	var color := BAD.lerp(GOOD, _tint)
	_ball_material.albedo_color = color
	_ring_material.albedo_color = color
	_ring_material.emission = color


func _physics_process(delta: float) -> void:
	_phase += _pace * delta
	_tilt = _tilt.move_toward(_wanted * MAX_TILT, TILT_SPEED * delta)
	# A positive tilt lowers the right side, and the side in front.
	_top.basis = Basis(Vector3.FORWARD, _tilt.x) * Basis(Vector3.RIGHT, _tilt.y)
	var ring := _place_of_ring()
	_ring.position = Vector3(ring.x, _ring.position.y, ring.y)


func _way_to_ring() -> Vector2:
	var ball := _place_of_ball()
	return _place_of_ring() - Vector2(ball.x, ball.z)


func _place_of_ball() -> Vector3:
	return _ball.global_position - global_position


func _place_of_ring() -> Vector2:
	return RING_REACH * Vector2(sin(_phase.x), sin(_phase.y))
