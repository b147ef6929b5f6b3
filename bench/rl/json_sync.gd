extends Node
## The game's side of the protocol of godot_rl 0.8.2, which is JSON over TCP
## (godot_rl/core/godot_env.py).
##
## As in the addon godot_rl_agents, a game that waits looks for bytes every 10 µs.

const Agent := preload("agent.gd")

const PAUSE_USEC := 10
const PATIENCE_MSEC := 10_000

var port := 0

var _agents: Array[Node] = []
var _stream := StreamPeerTCP.new()
var _random := RandomNumberGenerator.new()
var _acted := false


func _ready() -> void:
	_agents.assign(get_children())
	_random.seed = 1
	_reset()
	_connect()
	if _receive().get("type") != "handshake" or _receive().get("type") != "env_info":
		push_error("the partner doesn't speak this protocol")
		return
	var observed := {"obs": {"size": [Agent.FLOATS], "space": "box"}}
	if _agents[0].as_picture:
		# The name has to contain "2d".
		observed = {"camera_2d": {"size": [Agent.SIDE, Agent.SIDE, 3], "space": "box"}}
	var acted := {"move": {"size": Agent.ACTIONS, "action_type": "continuous"}}
	_send(
		{
			"type": "env_info",
			"observation_space": observed,
			"action_space": acted,
			"n_agents": _agents.size(),
		}
	)


func _physics_process(_delta: float) -> void:
	if _acted:
		_acted = false
		var rewards := []
		var done := []
		for agent: Agent in _agents:
			var judged := agent.judge()
			rewards.append(judged[0])
			done.append(judged[1])
			if judged[1]:
				agent.reset(_random)
		_send({"type": "step", "obs": _observe(), "reward": rewards, "done": done})
	while not _acted:
		var message := _receive()
		match message.get("type"):
			"reset":
				_reset()
				_send({"type": "reset", "obs": _observe()})
			"action":
				for index in _agents.size():
					_agents[index].act(message.action[index].move)
				_acted = true
			_:
				get_tree().quit()
				break


func _reset() -> void:
	for agent: Agent in _agents:
		agent.reset(_random)


func _observe() -> Array:
	var observations := []
	for agent: Agent in _agents:
		var observation: Variant = agent.observe()
		if observation is Image:
			observations.append({"camera_2d": observation.get_data().hex_encode()})
		else:
			observations.append({"obs": observation})
	return observations


func _connect() -> void:
	var end := Time.get_ticks_msec() + PATIENCE_MSEC
	while _stream.get_status() != StreamPeerTCP.STATUS_CONNECTED and Time.get_ticks_msec() < end:
		if _stream.get_status() != StreamPeerTCP.STATUS_CONNECTING:
			_stream.disconnect_from_host()
			_stream.connect_to_host("127.0.0.1", port)
		OS.delay_msec(1)
		_stream.poll()
	_stream.set_no_delay(true)


## Returns the next message, or none if the partner has gone.
func _receive() -> Dictionary:
	while _stream.get_available_bytes() == 0:
		_stream.poll()
		if _stream.get_status() != StreamPeerTCP.STATUS_CONNECTED:
			return {}
		OS.delay_usec(PAUSE_USEC)
	return JSON.parse_string(_stream.get_string())


func _send(message: Dictionary) -> void:
	_stream.put_string(JSON.stringify(message, "", false))
