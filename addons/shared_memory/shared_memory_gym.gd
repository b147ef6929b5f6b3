@icon("icons/SharedMemoryGym.svg")
class_name SharedMemoryGym
extends Node
## Makes the game an environment of Gymnasium: a program in Python acts, observes, and gets rewards.
##
## Add one node of this type to the scene. Its agents are the nodes below it in the group
## [code]gym_agents[/code], in the order of the tree. Python starts the game or joins it, with
## [code]GodotEnv[/code] or [code]GodotVectorEnv[/code] of [code]godot_shared_memory.gym[/code].
## [br][br]
## [b]Example:[/b] An agent that learns to go to the right. Its node is in the group
## [code]gym_agents[/code]:
## [codeblock]
## extends Node2D
##
## var observation_space := SharedMemoryGym.box([1])
## var action_space := SharedMemoryGym.discrete(2)
## var direction := 0
##
## func reset(random: RandomNumberGenerator) -> void:
##     position.x = random.randf_range(-50, 50)
##     direction = 0
##
## func act(action: int) -> void:
##     direction = 1 if action == 1 else -1
##
## func _physics_process(_delta: float) -> void:
##     position.x += direction
##
## func observe() -> PackedFloat32Array:
##     return [position.x / 100]
##
## func judge() -> Array:
##     return [direction * 0.1, position.x > 100]
## [/codeblock]
## [b]Agents:[/b] Each agent has these methods:
## [br]- [code]reset(random: RandomNumberGenerator) -> void[/code] begins an episode. With a second
## parameter, a [Dictionary], it also gets the options of Python's [code]reset()[/code].
## [br]- [code]act(action) -> void[/code] takes an action.
## [br]- [code]observe() -> Variant[/code] returns an observation.
## [br]- [code]judge() -> Array[/code] returns the reward of the last action, and whether the
## episode has ended: [code][reward, terminated][/code]. A third element, a [Dictionary], arrives
## as the [code]info[/code] of Python's [code]step()[/code].
## [br]- [code]human_action() -> Variant[/code] returns the action of a player. Only for
## [constant HUMAN].
## [br]- [code]script_action(observation) -> Variant[/code] returns an action that the game itself
## chooses. Only for [constant SCRIPT].
## [br][br]
## [b]Values:[/b] The types of actions and observations follow from the spaces, see [method box],
## [method discrete], [method multi_discrete], [method multi_binary] and [method dict].
## [br][br]
## [b]Steps:[/b] The game waits for each action in a physics frame, before the other nodes. Then
## exactly [member steps_per_action] physics steps follow, and the answer is sent at the beginning
## of the next physics frame. Without a window, the game sleeps while it waits. With a window, the
## gym pauses the tree instead, so the window goes on to react.
## [br][br]
## [b]Repeatable runs:[/b] With a seed from Python, a new process repeats a run bit by bit. Use the
## generator that [code]reset[/code] gets. Change the game in [code]_physics_process[/code], or in
## the methods of the agents. The clock and [code]_process[/code] are not the same in each run. The
## seed of the first agent also seeds the global random functions.
## [br][br]
## [b]Programs:[/b] A game that Python has started gets the name in the user argument
## [code]--shared-memory-gym=NAME[/code], and quits when that program ends. Otherwise any program
## may join, leave, and join again, for example while the game runs in the editor. One program plays
## at a time, and one game at a time has a name.

## Emitted when a program takes over.
signal program_connected
## Emitted when the program has ended, or has left.
signal program_disconnected

## Tells who acts while no program is connected. A program that connects always takes over.
enum Mode {
	## Nobody acts: the world stands still until a program connects.
	REMOTE,
	## A player acts, by [code]human_action()[/code] of each agent.
	HUMAN,
	## The game acts, by [code]script_action(observation)[/code] of each agent.
	SCRIPT,
}

## Packs and unpacks the values of a space. Only the gym itself needs it.
const Field := preload("gym/field.gd")

## The version of the protocol. A program with another version is refused.
const PROTOCOL := 1

# The least and the greatest number of arguments of a method.
const _PARAMETERS := {
	"reset": [1, 2],
	"act": [1, 1],
	"observe": [0, 0],
	"judge": [0, 0],
	"human_action": [0, 0],
	"script_action": [1, 1],
}
const _ARGUMENT := "--shared-memory-gym="
const _PEER := &"SharedMemoryPeer"
const _MEMORY := &"SharedMemory"
const _MUTEX := &"SharedMemoryMutex"
const _GROUP := &"gym_agents"
# The ends of two other names. The first is the lock of a program that has started the game. The
# second is memory with the PID of a game that programs may join.
const _PROGRAM := "-program"
const _GAME := "-game"
# Kinds of messages from the program.
const _STEP := 1
const _RESET := 2
const _RENDER := 3
# Marks of the agents in these messages. An agent with _REST neither acts nor starts again.
const _ACT := 0
const _START := 1
const _REST := 2
const _START_WITH_SEED := 3
# Flags of the agents in an answer.
const _TERMINATED := 1
const _TRUNCATED := 2
# The kind and the number of a message.
const _HEAD := 8
# Milliseconds. The first is the time between attempts to open the name. The next is the time for a
# program to come to the game that it has started. Then come the time for a game to end after its
# program, a sleep, and a look with a window.
const _TRY_EVERY := 500
const _PATIENCE := 60_000
const _GRACE := 5000
const _SLEEP := 1000
const _LOOK := 8
# Bytes of values whose size is not known beforehand, such as infos and errors.
const _ROOM := 1 << 18
# Bytes of the largest buffer of a peer.
const _MAX_BUFFER := 1 << 30
# The least and the greatest value of each type of integers.
const _RANGES := {
	"uint8": [0, 255],
	"int8": [-128, 127],
	"int32": [-(1 << 31), (1 << 31) - 1],
	"int64": [-9223372036854775807 - 1, 9223372036854775807],
}

## The name under which the program and the game meet. If it is empty, no program can join. The user
## argument [code]--shared-memory-gym=NAME[/code] overrides it.
@export var memory_name := "gym"

## Tells who acts while no program is connected.
@export var mode := Mode.REMOTE

## The number of physics steps per action.
@export_range(1, 1000) var steps_per_action := 1:
	set(value):
		steps_per_action = maxi(value, 1)

## The number of actions after which an episode is truncated. With [code]0[/code], none is.
@export_range(0, 1_000_000) var max_episode_steps := 0:
	set(value):
		max_episode_steps = maxi(value, 0)

## The number of physics steps between [code]reset[/code] and the first observation. Sensors that
## ask the physics server need one, such as ray casts. If other agents act at that time, at most
## [member steps_per_action] of them pass.
@export_range(0, 1000) var steps_after_reset := 0:
	set(value):
		steps_after_reset = maxi(value, 0)

## The space of the observations of each agent. If it is empty in the first physics frame, the gym
## takes the variable [code]observation_space[/code] of its first agent.
var observation_space := {}

## The space of the actions of each agent. If it is empty in the first physics frame, the gym takes
## the variable [code]action_space[/code] of its first agent.
var action_space := {}

var _agents: Array[Node] = []
var _randoms: Array[RandomNumberGenerator] = []
# True for an agent whose reset has a second parameter.
var _takes_options: Array[bool] = []
var _observations: Array[Field] = []
var _actions: Array[Field] = []
# The agents of the current step, and of a step in which all act.
var _marks := PackedByteArray()
var _all_act := PackedByteArray()
var _do_all_act := false
var _rewards := PackedFloat64Array()
# The flags of a step in which no episode ends.
var _no_flags := PackedByteArray()
# The number of actions in the episode of each agent, or -1 before its first reset.
var _ages := PackedInt32Array()
# The result of the last local step, or 1 for an agent that has not begun.
var _is_over := PackedByteArray()
var _options := {}
var _answer := StreamPeerBuffer.new()
var _number := 0
# The place of the actions in a message, and the size of that message.
var _actions_at := 0
var _action_bytes := 0
# Physics steps until the answer, and the number of them that are left when agents are reset.
var _steps_left := 0
var _steps_after_reset := -1
var _peer: RefCounted
var _program := false
# The memory that says which game has the name.
var _claim: RefCounted
# The lock of the program that has started the game, and the thread that waits for it.
var _lock: RefCounted
var _watcher: Thread
# Set by that thread.
var _is_orphan := false
var _is_started_by_program := false
var _is_ready := false
var _is_broken := false
# Set while this gym, and not the game, has paused the tree.
var _is_holding := false
var _has_window := true
var _looked_in_frame := -1
var _next_try := 0
var _end_of_patience := 0
var _lost_agent := ""
var _problem := ""


## Returns a space of arrays with [param shape]. [param low] and [param high] are the limits: a
## number, or an [Array] with one for each element. [param dtype] is one of [code]float32[/code],
## [code]float64[/code], [code]uint8[/code], [code]int8[/code], [code]int32[/code] and
## [code]int64[/code]. Without limits, integers have those of their type.
## [br][br]
## An agent uses the packed array of that type, with as many elements as the shape has. For
## [code]uint8[/code] and [code]int8[/code], that is [PackedByteArray]. For [code]uint8[/code], an
## observation may be an [Image]. Its shape is [code][height, width, channels][/code] with 1, 3 or 4
## channels.
static func box(
	shape: Array, low: Variant = -INF, high: Variant = INF, dtype := "float32"
) -> Dictionary:
	var limits: Array = _RANGES.get(dtype, [-INF, INF])
	if low is float and low == -INF:
		low = limits[0]
	if high is float and high == INF:
		high = limits[1]
	return {"type": "box", "shape": shape, "low": low, "high": high, "dtype": dtype}


## Returns a space of [param n] integers, of which [param start] is the first. An agent uses
## [int].
static func discrete(n: int, start := 0) -> Dictionary:
	return {"type": "discrete", "n": n, "start": start}


## Returns a space of several integers. Each one is at least [code]0[/code], and less than the
## number in [param nvec]. An agent uses [PackedInt64Array].
static func multi_discrete(nvec: Array) -> Dictionary:
	return {"type": "multi_discrete", "nvec": nvec}


## Returns a space of [param n] values [code]0[/code] or [code]1[/code]. An agent uses
## [PackedByteArray].
static func multi_binary(n: int) -> Dictionary:
	return {"type": "multi_binary", "n": n}


## Returns a space of several named values: [param spaces] has a space for each name. An agent uses
## a [Dictionary] with these names. The spaces in it can't be of this kind.
static func dict(spaces: Dictionary) -> Dictionary:
	return {"type": "dict", "spaces": spaces}


# Not _enter_tree() and _exit_tree(), which a script that extends this one may have.
func _notification(what: int) -> void:
	if what == NOTIFICATION_ENTER_TREE:
		_enter()
	elif what == NOTIFICATION_EXIT_TREE:
		_leave()


## Returns [code]true[/code] if a program acts.
func is_connected_to_program() -> bool:
	return _program


## Returns why no program can join or why the last one was sent away, in words for people. Returns
## an empty string if all is well.
func get_problem() -> String:
	return _problem


func _on_physics_frame() -> void:
	if _is_broken or not (_is_ready or _prepare()):
		return
	if not _lost_agent.is_empty():
		_stop("the agent %s has left the tree; the number of agents is fixed" % _lost_agent)
		return
	if get_tree().paused and not _is_holding:
		# A player's pause. Without a player, the program would wait until its timeout.
		if _program and not _has_window:
			_fail("the game has paused the tree, so no physics step can follow")
		return
	if _steps_left > 0:
		_steps_left -= 1
		if _steps_left == _steps_after_reset:
			_reset_marked()
		if _steps_left > 0:
			return
		_finish()
	if _peer != null or _open():
		while true:
			var message: Variant = _receive()
			if message == null:
				break
			_obey(message)
			if _steps_left > 0:
				_release()
				return
			if _peer == null:
				break
	if not is_inside_tree():
		# An agent has changed the scene.
		return
	if _program or _is_started_by_program or mode == Mode.REMOTE:
		_hold()
	else:
		_release()
		_play()


#region Preparation


func _enter() -> void:
	# This comes before the physics frame of any node, and also in a paused tree. The process mode
	# of this node must not be "always", because the agents below it would inherit it.
	get_tree().physics_frame.connect(_on_physics_frame)
	_read_arguments()
	if _is_started_by_program:
		_watch_program()


func _leave() -> void:
	get_tree().physics_frame.disconnect(_on_physics_frame)
	if _program and _peer != null:
		# A game that quits has no other frame, and its program shall hear of the exit code instead.
		# The callable has a reference to the peer, but none to this node.
		var text := "the gym has left the tree, because the game has changed its scene or freed the node"
		var say_farewell := func(peer: RefCounted) -> void: peer.send(text)
		get_tree().physics_frame.connect(say_farewell.bind(_peer), CONNECT_ONE_SHOT)
	_release()
	_peer = null
	_claim = null
	_program = false
	_is_ready = false
	_steps_left = 0
	if _watcher != null:
		_lock.close()
		_watcher.wait_to_finish()
		_watcher = null
		# A killed program leaves the name, and so does a lock that is closed during a wait for it.
		if _lock.open(memory_name + _PROGRAM) == OK and _lock.try_lock():
			ClassDB.instantiate(_MEMORY).remove(memory_name + _PROGRAM)
	_lock = null


func _read_arguments() -> void:
	for argument in OS.get_cmdline_user_args():
		if argument.begins_with(_ARGUMENT):
			memory_name = argument.trim_prefix(_ARGUMENT)
			_is_started_by_program = true


# The program holds a lock while it lives, and the system gives that back if the program is killed.
func _watch_program() -> void:
	if not ClassDB.class_exists(_MUTEX):
		return
	_lock = ClassDB.instantiate(_MUTEX)
	if _lock.open(memory_name + _PROGRAM) != OK:
		return
	if _lock.try_lock():
		# Without a death, the program has no such lock.
		_is_orphan = _lock.was_abandoned()
		_lock.close()
	else:
		_watcher = Thread.new()
		_watcher.start(_wait_for_end_of_program)


# Runs in a thread, so it can also end a game whose script hangs.
func _wait_for_end_of_program() -> void:
	var error := ERR_TIMEOUT
	while error == ERR_TIMEOUT:
		# Ends early when _leave() closes the lock.
		error = _lock.lock(_PATIENCE)
	if error != OK:
		return
	_is_orphan = true
	var end := Time.get_ticks_msec() + _GRACE
	while not _lock.get_name().is_empty():
		if Time.get_ticks_msec() > end:
			# Nobody else would remove the names of a game that is killed.
			_lock.close()
			ClassDB.instantiate(_MEMORY).remove(memory_name)
			OS.kill(OS.get_process_id())
		OS.delay_msec(20)


# Finds the agents and the spaces. Everything of the scene is ready in the first physics frame.
func _prepare() -> bool:
	_agents.clear()
	for node: Node in get_tree().get_nodes_in_group(_GROUP):
		if is_ancestor_of(node):
			_agents.append(node)
	_has_window = DisplayServer.get_name() != "headless"
	_read_arguments()
	_end_of_patience = Time.get_ticks_msec() + _PATIENCE
	var wrong := _check_agents()
	if wrong.is_empty():
		wrong = _check_spaces()
	if wrong.is_empty():
		wrong = _check_parameters()
	if not wrong.is_empty():
		_stop(wrong)
		return false
	var count := _agents.size()
	_randoms.clear()
	_takes_options.clear()
	for agent in _agents:
		var random := RandomNumberGenerator.new()
		random.randomize()
		_randoms.append(random)
		_takes_options.append(agent.get_method_argument_count(&"reset") > 1)
		if not agent.tree_exiting.is_connected(_on_agent_exiting):
			agent.tree_exiting.connect(_on_agent_exiting.bind(agent))
	_rewards.resize(count)
	_no_flags.resize(_align(count))
	_no_flags.fill(0)
	_all_act = _no_flags.duplicate()
	_marks = _all_act.duplicate()
	_ages.resize(count)
	_ages.fill(-1)
	_is_over.resize(count)
	_is_over.fill(1)
	_steps_left = 0
	_answer.resize(_get_answer_bytes())
	_actions_at = _HEAD + _align(count)
	_action_bytes = _actions_at
	for field in _actions:
		_action_bytes += field.column
	_is_ready = true
	return true


func _check_agents() -> String:
	if _agents.is_empty():
		return "no node below %s is in the group %s" % [name, _GROUP]
	var methods := [&"reset", &"act", &"observe", &"judge"]
	if mode == Mode.HUMAN:
		methods.append(&"human_action")
	elif mode == Mode.SCRIPT:
		methods.append(&"script_action")
	for agent in _agents:
		for method: StringName in methods:
			if not agent.has_method(method):
				return "the agent %s has no method %s()" % [get_path_to(agent), method]
	return ""


# Godot only prints an error if a call has wrong arguments, and the agent would never act.
func _check_parameters() -> String:
	var type := TYPE_DICTIONARY
	if _actions[0].key.is_empty():
		type = Field.VARIANTS[_actions[0].kind]
	for agent in _agents:
		for method: Dictionary in agent.get_method_list():
			var numbers: Array = _PARAMETERS.get(method.name, [])
			var most: int = method.args.size()
			if numbers.is_empty() or method.flags & METHOD_FLAG_VARARG:
				continue
			var path := get_path_to(agent)
			if most < numbers[0] or most - method.default_args.size() > numbers[1]:
				var takes := [path, method.name, most, numbers[0]]
				return "the agent %s: %s() takes %d arguments, but gets %d" % takes
			if method.name == "act" and not _is_taken(type, method.args[0].type):
				var types := [path, type_string(method.args[0].type), type_string(type)]
				return "the agent %s: act() takes %s, but action_space gives %s" % types
	return ""


# Returns whether a parameter of one type takes values of another one. Without a type, it takes all.
func _is_taken(type: int, parameter: int) -> bool:
	if parameter == TYPE_NIL or parameter == type:
		return true
	if type == TYPE_INT:
		return parameter == TYPE_FLOAT or parameter == TYPE_BOOL
	return parameter == TYPE_ARRAY and type != TYPE_DICTIONARY


func _check_spaces() -> String:
	if observation_space.is_empty() and &"observation_space" in _agents[0]:
		observation_space = _agents[0].observation_space
	if action_space.is_empty() and &"action_space" in _agents[0]:
		action_space = _agents[0].action_space
	var count := _agents.size()
	_observations.clear()
	_actions.clear()
	var wrong := Field.read(observation_space, "observation_space", count, _observations)
	if wrong.is_empty():
		wrong = Field.read(action_space, "action_space", count, _actions)
	return wrong


func _get_answer_bytes() -> int:
	var bytes := _HEAD + _agents.size() * 8 + _align(_agents.size())
	for field in _observations:
		bytes += field.column
	return bytes


# Returns the bytes of the largest buffer that the protocol needs.
func _get_buffer_size() -> int:
	var answer := _get_answer_bytes()
	if _has_window:
		var picture := get_viewport().get_visible_rect().size
		answer = maxi(answer, int(picture.x) * int(picture.y) * 3)
	var command := maxi(_action_bytes, _HEAD + _align(_agents.size()) + _agents.size() * 8)
	# A message has a little less than half of a buffer.
	return 2 * maxi(answer, command) + 2 * _ROOM


func _open() -> bool:
	var now := Time.get_ticks_msec()
	if memory_name.is_empty() or now < _next_try:
		return false
	_next_try = now + _TRY_EVERY
	var size := _get_buffer_size()
	if not ClassDB.class_exists(_PEER):
		_give_up("the library of the addon is missing on this system")
	elif size > _MAX_BUFFER:
		var sizes := [size / 2, _MAX_BUFFER / 2]
		_give_up("a message takes %d bytes, more than the limit of %d" % sizes)
	else:
		_open_peer(size)
	return _peer != null


func _open_peer(size: int) -> void:
	if not _is_started_by_program and _claim == null and not _claim_name():
		return
	var peer: RefCounted = ClassDB.instantiate(_PEER)
	var error: Error = peer.open(memory_name, size)
	if error != OK:
		_problem = "can't open %s: %s" % [memory_name, peer.get_last_error_message()]
		if error == ERR_INVALID_PARAMETER or _is_started_by_program:
			_give_up(_problem)
	elif peer.get_max_message_size() * 2 + _ROOM >= size:
		_peer = peer
		_problem = ""
	else:
		# A program that had the name first has decided on the size.
		peer.close()
		_problem = "another program has made the memory %s, with too little room" % memory_name


# A pair connects any two sides. So a second game under the name would be taken for the program of
# the first one.
func _claim_name() -> bool:
	var claim: RefCounted = ClassDB.instantiate(_MEMORY)
	var error: Error = claim.create(memory_name + _GAME, 8)
	if error == OK:
		claim.encode_u32(0, OS.get_process_id())
		_claim = claim
	# Any other error is also one of the peer, which tells of it.
	if error != ERR_ALREADY_EXISTS:
		return true
	var owner := "another game"
	if claim.open_read_only(memory_name + _GAME) == OK and claim.decode_u32(0) > 0:
		owner += ", the process %d," % claim.decode_u32(0)
	var text := "%s has the name %s; give this one another memory_name" % [owner, memory_name]
	if text != _problem:
		push_error("SharedMemoryGym: ", text)
	_problem = text
	return false


# No program can join. A player or a script can go on.
func _give_up(text: String) -> void:
	_next_try = 1 << 62
	if _is_started_by_program:
		_stop(text)
	else:
		_problem = text
		push_error("SharedMemoryGym: ", text)


#endregion
#region Messages


# Returns the next message, or null if nothing more can be done in this frame.
func _receive() -> Variant:
	var must_wait := _program or _is_started_by_program or mode == Mode.REMOTE
	while true:
		var timeout := 0
		if must_wait and not _has_window:
			timeout = _SLEEP
		elif must_wait and _looked_in_frame != Engine.get_process_frames():
			_looked_in_frame = Engine.get_process_frames()
			timeout = _LOOK
		var message: Variant = _peer.receive(timeout)
		if message != null:
			return message
		match _peer.get_last_error():
			ERR_DOES_NOT_EXIST, ERR_TIMEOUT:
				if _is_started_by_program and not _program:
					var ended := "the program that has started the game has ended"
					if not _is_orphan:
						ended = "no program came to the game that it has started"
					if _is_orphan or Time.get_ticks_msec() > _end_of_patience:
						_stop(ended)
						return null
				if timeout != _SLEEP:
					return null
			ERR_CONNECTION_ERROR:
				_lose_program()
				if _is_started_by_program:
					return null
				must_wait = mode == Mode.REMOTE
			_:
				_problem = _peer.get_last_error_message()
				_peer.close()
				_peer = null
				_lose_program()
				return null
	return null


func _obey(message: Variant) -> void:
	if not _program:
		_greet(message)
	elif message is Dictionary:
		_options = message
	elif not message is PackedByteArray or message.size() < _HEAD:
		_fail("the program has sent neither bytes nor options")
	else:
		_number = message.decode_u32(4)
		match message.decode_u32(0):
			_STEP:
				_begin_step(message)
			_RESET:
				_begin_episodes(message)
			_RENDER:
				_send_picture()
			var kind:
				_fail("the program has sent a message of the unknown kind %d" % kind)


func _greet(message: Variant) -> void:
	if not message is Dictionary or not message.get("gym") is int:
		_fail("the program under the name %s doesn't use a gym" % memory_name)
		return
	if message.gym != PROTOCOL:
		_fail("the program has version %d of the protocol, this game %d" % [message.gym, PROTOCOL])
		return
	var names := PackedStringArray()
	for agent in _agents:
		names.append(str(get_path_to(agent)))
	var answer := {
		"gym": PROTOCOL,
		"agents": names,
		"observation_space": observation_space,
		"action_space": action_space,
		"steps_per_action": steps_per_action,
		"steps_after_reset": steps_after_reset,
		"max_episode_steps": max_episode_steps,
		"physics_ticks_per_second": Engine.physics_ticks_per_second,
		"has_window": _has_window,
	}
	_ages.fill(-1)
	_options = {}
	if _send(answer):
		_program = true
		_problem = ""
		program_connected.emit()


func _send(message: Variant) -> bool:
	var error: Error = _peer.send(message, _SLEEP)
	if error == OK:
		return true
	if error == ERR_INVALID_PARAMETER:
		_fail(_peer.get_last_error_message())
	else:
		_problem = _peer.get_last_error_message()
		_peer.close()
		_peer = null
		_lose_program()
	return false


# Tells the program what is wrong, and sends it away.
func _fail(text: String) -> void:
	push_error("SharedMemoryGym: ", text)
	_problem = text
	if _peer != null:
		_peer.send(text)
		_peer.close()
		_peer = null
	_lose_program()


# Nothing can mend this: the gym does nothing more.
func _stop(text: String) -> void:
	_is_broken = true
	if _peer == null and _is_started_by_program and ClassDB.class_exists(_PEER):
		_meet_starter()
	_fail(text)
	_release()
	if _is_started_by_program:
		get_tree().quit(1)


# The program that has started this game waits for the name, so it can be told.
func _meet_starter() -> void:
	var peer: RefCounted = ClassDB.instantiate(_PEER)
	if peer.open(memory_name, _ROOM) == OK and peer.wait_connected(5 * _SLEEP) == OK:
		_peer = peer


func _lose_program() -> void:
	_steps_left = 0
	_next_try = Time.get_ticks_msec() + _TRY_EVERY
	_is_over.fill(1)
	if _program:
		_program = false
		program_disconnected.emit()
	if _is_started_by_program:
		get_tree().quit(0 if _problem.is_empty() else 1)


func _send_picture() -> void:
	RenderingServer.force_draw(false)
	var image := get_viewport().get_texture().get_image() if _has_window else null
	if image == null or image.is_empty():
		_fail("a game without a window has no pictures")
		return
	if image.get_format() != Image.FORMAT_RGB8:
		image.convert(Image.FORMAT_RGB8)
	_send(image)


#endregion
#region Steps


# With one agent, calls decide how long a step takes. So this function and _finish() make few.
func _begin_step(message: PackedByteArray) -> void:
	if message.size() != _action_bytes:
		_fail("actions have %d bytes, but %d arrived" % [_action_bytes, message.size()])
		return
	_marks = message.slice(_HEAD, _actions_at)
	_do_all_act = _marks == _all_act
	var count := _agents.size()
	var values: Array
	if _actions[0].key.is_empty():
		values = _actions[0].decode(message, _actions_at, count)
	else:
		values = _decode_dictionaries(message)
	for field in _actions:
		if not field.problem.is_empty():
			_fail(field.problem)
			return
	for index in count:
		if not _do_all_act and _marks[index] != _ACT:
			continue
		if _ages[index] < 0:
			_fail("the agent %s acts before its first reset" % get_path_to(_agents[index]))
			return
		_agents[index].act(values[index])
	_steps_left = steps_per_action
	_steps_after_reset = -1
	if not _do_all_act:
		_steps_after_reset = mini(steps_after_reset, steps_per_action)
		if _steps_after_reset == _steps_left:
			_reset_marked()


func _decode_dictionaries(message: PackedByteArray) -> Array:
	var values := []
	for index in _agents.size():
		values.append({})
	var at := _actions_at
	for field in _actions:
		var column := field.decode(message, at, values.size())
		for index in values.size():
			values[index][field.key] = column[index]
		at += field.column
	return values


func _begin_episodes(message: PackedByteArray) -> void:
	var count := _agents.size()
	if message.size() != _actions_at + count * 8:
		var sizes := [_actions_at + count * 8, message.size()]
		_fail("a reset has %d bytes, but %d arrived" % sizes)
		return
	_marks = message.slice(_HEAD, _actions_at)
	_do_all_act = false
	for index in count:
		if _marks[index] == _START_WITH_SEED:
			_randoms[index].seed = message.decode_s64(_actions_at + index * 8)
			if index == 0:
				seed(_randoms[index].seed)
		elif _marks[index] == _ACT:
			_marks[index] = _REST
	_reset_marked()
	_options = {}
	_steps_left = steps_after_reset
	_steps_after_reset = -1
	if _steps_left == 0:
		_finish()


func _reset_marked() -> void:
	for index in _agents.size():
		if _marks[index] == _START or _marks[index] == _START_WITH_SEED:
			_reset(index)


func _reset(index: int) -> void:
	_ages[index] = 0
	if _takes_options[index]:
		_agents[index].reset(_randoms[index], _options)
	else:
		_agents[index].reset(_randoms[index])


# A step is over: judges, observes, and sends the answer.
func _finish() -> void:
	if not _program:
		return
	var infos := {}
	# Empty if no episode ends, as in most steps.
	var flags := PackedByteArray()
	if not _do_all_act:
		_rewards.fill(0)
	for index in _agents.size():
		if not _do_all_act and _marks[index] != _ACT:
			continue
		var judged: Variant = _agents[index].judge()
		if not judged is Array or judged.size() < 2:
			_fail_of(index, "judge() must return [reward, terminated]")
			return
		_rewards[index] = judged[0]
		_ages[index] += 1
		var flag := _TERMINATED if judged[1] else 0
		if max_episode_steps > 0 and _ages[index] >= max_episode_steps:
			flag |= _TRUNCATED
		if flag != 0:
			if flags.is_empty():
				flags = _no_flags.duplicate()
			flags[index] = flag
		if judged.size() > 2 and judged[2] is Dictionary:
			infos[index] = judged[2]
	var values := []
	for agent in _agents:
		values.append(agent.observe())
	# A StreamPeerBuffer copies an array as a whole, and append_array() of PackedByteArray each byte.
	_answer.seek(0)
	_answer.put_u64(_number << 32 | _STEP)
	_answer.put_data(_rewards.to_byte_array())
	_answer.put_data(_no_flags if flags.is_empty() else flags)
	for field in _observations:
		if not field.encode(values, _answer):
			_fail_of(field.wrong_agent, field.problem)
			return
	if infos.is_empty() or _send(infos):
		_send(_answer.data_array)


func _fail_of(index: int, text: String) -> void:
	_fail("the agent %s: %s" % [get_path_to(_agents[index]), text])


# Without a program, a player or a script acts, by the same methods of the agents.
func _play() -> void:
	for index in _agents.size():
		var agent := _agents[index]
		if _is_over[index] == 0:
			var judged: Variant = agent.judge()
			_ages[index] += 1
			var is_terminated: bool = judged is Array and judged.size() > 1 and judged[1]
			if is_terminated or (max_episode_steps > 0 and _ages[index] >= max_episode_steps):
				_is_over[index] = 1
		if _is_over[index] == 1:
			_is_over[index] = 0
			_reset(index)
		if mode == Mode.HUMAN:
			agent.act(agent.human_action())
		else:
			agent.act(agent.script_action(agent.observe()))
	_steps_left = steps_per_action
	_steps_after_reset = -1


# Lets the world stand still while nobody acts.
func _hold() -> void:
	if not _is_holding and not get_tree().paused:
		_is_holding = true
		get_tree().paused = true


func _release() -> void:
	if _is_holding:
		_is_holding = false
		get_tree().paused = false


func _on_agent_exiting(agent: Node) -> void:
	if is_inside_tree() and _is_ready:
		_lost_agent = agent.name


#endregion


static func _align(size: int) -> int:
	return (size + 7) & ~7
