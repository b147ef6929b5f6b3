extends Node
## Drives the agents without a partner, and prints how many steps they took in a second.

const Agent := preload("agent.gd")

const SECONDS := 2.0

## The time of Unix at which the measurement starts.
var start := 0.0

var _agents: Array[Node] = []
var _random := RandomNumberGenerator.new()
var _steps := 0


func _ready() -> void:
	if Time.get_unix_time_from_system() > start:
		push_error("the measurement should have started before the game")
	_agents.assign(get_children())
	_random.seed = 1
	for agent: Agent in _agents:
		agent.reset(_random)


func _physics_process(_delta: float) -> void:
	for agent: Agent in _agents:
		if agent.judge()[1]:
			agent.reset(_random)
		agent.observe()
		agent.act([_random.randf() - 0.5, _random.randf() - 0.5])
	var elapsed := Time.get_unix_time_from_system() - start
	if elapsed > 0:
		_steps += 1
	if elapsed > SECONDS:
		print("steps a second: ", _agents.size() * _steps / elapsed)
		get_tree().quit()
		set_physics_process(false)
