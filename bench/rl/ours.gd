extends "res://addons/shared_memory/shared_memory_gym.gd"
## The addon's side: the spaces of agent.gd.

const Agent := preload("agent.gd")


func set_spaces(as_picture: bool) -> void:
	action_space = box([Agent.ACTIONS], -1.0, 1.0)
	if as_picture:
		observation_space = box([Agent.SIDE, Agent.SIDE, 3], 0, 255, "uint8")
	else:
		observation_space = box([Agent.FLOATS])
