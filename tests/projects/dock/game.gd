extends Node
## A game with memory of each kind. Its names begin with an argument, or with GAME_NAME.

const CARS := "<I:frame: B:count: 4T{i:id: f:speed: 12s:driver:}:cars:"
const WIDTH := 320
const HEIGHT := 180

var _name := OS.get_environment("GAME_NAME")
var _state := SharedMemoryStream.new()
var _camera := SharedMemoryStream.new()
var _commands := SharedMemoryQueue.new()
var _cars := SharedMemory.new()
## That of another program, which may be there.
var _other := SharedMemory.new()
var _picture := Image.create_empty(WIDTH, HEIGHT, false, Image.FORMAT_RGBA8)
var _frame := 0


func _ready() -> void:
	Engine.max_fps = 60
	var results := [
		_state.create(_name + "state", 4096),
		_camera.create(_name + "camera", WIDTH * HEIGHT * 4),
		_commands.create(_name + "commands", 4096),
		_cars.create(_name + "cars", SharedMemory.calcsize(CARS)),
		_commands.enqueue({"command": "start", "level": 3}),
	]
	if SharedMemory.exists(_name + "other"):
		results.append(_other.open(_name + "other"))
	if results.any(func(result: int) -> bool: return result != OK):
		printerr("the game fails: ", results)
	var tile := Image.create_empty(1, HEIGHT, false, Image.FORMAT_RGBA8)
	for x in WIDTH:
		tile.fill(Color.from_hsv(x / float(WIDTH), 0.6, 0.9))
		_picture.blit_rect(tile, Rect2i(0, 0, 1, HEIGHT), Vector2i(x, 0))


func _process(_delta: float) -> void:
	_frame += 1
	var at := Vector2(cos(_frame / 60.0), sin(_frame / 60.0)) * 3.0
	_state.write({"frame": _frame, "at": at, "name": "Ana", "laps": [61.2, 60.8]})
	var picture := _picture.duplicate()
	picture.fill_rect(Rect2i(Vector2i(at * 25) + Vector2i(140, 70), Vector2i(40, 40)), Color.WHITE)
	_camera.write(picture)
	var cars := []
	for id in 4:
		cars.append([id, _frame % 100 + id * 10.0, ["Ana", "Ben", "Cem", "Dea"][id]])
	_cars.pack(CARS, [_frame, 4, cars])
