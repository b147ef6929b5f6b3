extends "res://test_case.gd"
## Random calls of every method from eight threads on one stream, one queue and one array.
##
## At the same time, other threads attach them again, close their memory and drop them. As
## test_anything.gd, from the same table.

# same for every user

const Argument := preload("res://calls/argument.gd")
const Method := preload("res://calls/method.gd")
const Methods := preload("res://calls/methods.gd")

const THREADS := 8
const SECONDS := 1.5
const CODES := [
	OK,
	ERR_UNAVAILABLE,
	ERR_UNCONFIGURED,
	# Another thread's call has a role still, from before attach().
	ERR_ALREADY_IN_USE,
	ERR_INVALID_PARAMETER,
	ERR_INVALID_DATA,
	ERR_DOES_NOT_EXIST,
	ERR_ALREADY_EXISTS,
	ERR_BUSY,
	ERR_TIMEOUT,
]

var _methods: Methods
var _is_native := false
## The one object of all threads, and the memory it is attached to.
var _object: RefCounted
var _memory: SharedMemory
## The name that all threads make and open.
var _name := ""
var _exchange := Mutex.new()


func test_random_calls_from_threads_keep_streams_consistent() -> void:
	_race("SharedMemoryStream")


func test_random_calls_from_threads_keep_queues_consistent() -> void:
	_race("SharedMemoryQueue")


func test_random_calls_from_threads_keep_native_streams_consistent() -> void:
	_race("SharedMemoryStream", true)


func test_random_calls_from_threads_keep_native_queues_consistent() -> void:
	_race("SharedMemoryQueue", true)


func test_random_calls_from_threads_keep_arrays_consistent() -> void:
	_race("SharedMemoryArray")


func _race(of_class: String, is_native := false) -> void:
	_is_native = is_native
	Argument.is_native = is_native
	_name = unique_name()
	_methods = Methods.new(of_class, is_native)
	_renew()
	var started_with := randi()
	var until := Time.get_ticks_msec() + int(effort("SHM_TEST_SECONDS", SECONDS) * 1000)
	allow_errors("SharedMemory")
	var threads: Array[Thread] = []
	for number in THREADS:
		var thread := Thread.new()
		thread.start(_work.bind(hash([started_with, number]), until))
		threads.append(thread)
	var problems := {}
	var done := {}
	for thread in threads:
		var found: Array = thread.wait_to_finish()
		problems.merge(found[0])
		for method: String in found[1]:
			done[method] = done.get(method, 0) + found[1][method]
	assert_eq(problems, {}, "problems")
	var calls := 0
	for method in _methods.all:
		assert_true(done.get(method.name, 0) > 0, "%s() was called" % method.name)
		calls += done.get(method.name, 0)
	note("%s, seed %d: %d calls" % [of_class, started_with, calls])
	_object = null
	_memory = null


## Another object, with memory of its own. Dropping the last reference to the old one frees it.
func _renew() -> void:
	_memory = SharedMemory.new()
	_memory.create(unique_name(), Methods.size_for(_is_native))
	_object = ClassDB.instantiate(_methods.of_class)
	_object.callv("attach", [_memory] + _attach_arguments())
	if _object.has_signal("message_received"):
		_object.set("lock_timeout_msec", 1)


func _work(started_with: int, until: int) -> Array:
	var chance := RandomNumberGenerator.new()
	chance.seed = started_with
	var problems := {}
	var done := {}
	while Time.get_ticks_msec() < until and problems.is_empty():
		_exchange.lock()
		if chance.randf() < 0.1:
			_renew()
		# References of its own.
		var object := _object
		var memory := _memory
		_exchange.unlock()
		for _call in chance.randi() % 100:
			if chance.randf() < 0.02:
				object.callv("attach", [memory] + _attach_arguments())
			if chance.randf() < 0.002:
				memory.close()
			var method: Method = _methods.all[chance.randi() % _methods.all.size()]
			done[method.name] = done.get(method.name, 0) + 1
			var arguments := []
			for argument in method.arguments:
				if argument.accepts is String and argument.accepts == Argument.OPEN_MEMORY:
					arguments.append(memory)
				else:
					arguments.append(argument.any_good(chance, _name))
			var how := _methods.call_typed if chance.randf() < 0.5 else _methods.call_untyped
			var result: Variant = how.call(object, method, arguments)
			var is_right := result == null or typeof(result) == method.returns
			if method.returns == TYPE_NIL or method.returns == TYPE_OBJECT:
				is_right = true
			if method.returns_code and not result in CODES:
				is_right = false
			if not is_right:
				problems["%s%s" % [method.name, str(arguments).left(60)]] = str(result).left(60)
	return [problems, done]


func _attach_arguments() -> Array:
	return Methods.attach_arguments(_methods.of_class, _is_native)
