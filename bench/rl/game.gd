extends Node
## The game of ./build.sh bench --rl: agents, and bodies in a box if there are some.
##
## Arguments (after "--"): "--side=" with one of SIDES, "--agents=", "--observe=" with "floats" or
## "picture", "--bodies=" with the number of bodies that physics moves. "--port=" is for godot_rl,
## and "--start=" for a game without a partner.

const Agent := preload("agent.gd")

## The scripts of the node that the agents are below, which drives them.
const SIDES := {
	"ours": "res://ours.gd",
	"godot_rl": "res://json_sync.gd",
	"alone": "res://alone.gd",
}
const BOX := Vector2(1600, 900)
const RADIUS := 12.0


func _ready() -> void:
	var options := {"side": "alone", "agents": "1", "observe": "floats", "bodies": "0"}
	for argument in OS.get_cmdline_user_args():
		var words := argument.trim_prefix("--").split("=")
		options[words[0]] = words[-1]
	# Loaded here, as the addon is needed by one side only.
	var side: Node = load(SIDES[options.side]).new()
	var as_picture: bool = options.observe == "picture"
	match options.side:
		"ours":
			side.set_spaces(as_picture)
		"godot_rl":
			side.port = options.port.to_int()
		"alone":
			side.start = options.start.to_float()
	var bodies := _fill_box(options.bodies.to_int())
	for index in options.agents.to_int():
		var agent := Agent.new()
		agent.as_picture = as_picture
		if not bodies.is_empty():
			agent.body = bodies[index % bodies.size()]
		agent.add_to_group("gym_agents")
		side.add_child(agent)
	add_child(side)


## Returns the bodies, which never sleep.
func _fill_box(count: int) -> Array[RigidBody2D]:
	var bodies: Array[RigidBody2D] = []
	if count == 0:
		return bodies
	var walls := StaticBody2D.new()
	for wall: Array in [
		[Vector2.DOWN, 0.0], [Vector2.UP, -BOX.y], [Vector2.RIGHT, 0.0], [Vector2.LEFT, -BOX.x]
	]:
		var boundary := WorldBoundaryShape2D.new()
		boundary.normal = wall[0]
		boundary.distance = wall[1]
		_add_shape(walls, boundary)
	add_child(walls)
	var shape := CircleShape2D.new()
	shape.radius = RADIUS
	var material := PhysicsMaterial.new()
	material.friction = 0.0
	material.bounce = 1.0
	walls.physics_material_override = material
	var columns := int(BOX.x / (4 * RADIUS)) - 1
	for index in count:
		var body := RigidBody2D.new()
		# So a step costs the same at all times.
		body.can_sleep = false
		body.gravity_scale = 0.0
		body.linear_damp_mode = RigidBody2D.DAMP_MODE_REPLACE
		body.physics_material_override = material
		body.linear_velocity = 200 * Vector2.from_angle(index)
		body.position = Vector2(1 + index % columns, 1 + index / columns) * 4 * RADIUS
		_add_shape(body, shape)
		add_child(body)
		bodies.append(body)
	return bodies


func _add_shape(body: PhysicsBody2D, shape: Shape2D) -> void:
	var node := CollisionShape2D.new()
	node.shape = shape
	body.add_child(node)
