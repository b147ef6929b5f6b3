@tool
extends EditorPlugin
## Reloads the extension again and again while objects hold segments, and tells what became of
## them.

const EXTENSION := "res://addons/shared_memory/shared_memory.gdextension"
const ROUNDS := 6


class Mailbox:
	extends SharedMemory
	var count := 7


var _problems := 0
var _name := OS.get_environment("RELOAD_NAME")


func _enter_tree() -> void:
	if not _name.is_empty():
		_run.call_deferred()


func _run() -> void:
	while EditorInterface.get_resource_filesystem().is_scanning():
		await get_tree().process_frame
	var owner_of_it := SharedMemory.new()
	var peer := SharedMemory.new()
	var box := Mailbox.new()
	var keeper := SharedMemory.new()
	keeper.persistent = true
	var untyped: Variant = SharedMemory.new()
	var files := 0
	for round_number in ROUNDS:
		var label := "round %d: " % round_number
		_check(owner_of_it.create(_name + "a", 4096) == OK, label + "create")
		_check(peer.open(_name + "a") == OK, label + "open")
		_check(box.create(_name + "b", 4096) == OK, label + "create by a subclass")
		_check(keeper.create(_name + "c", 4096) == OK, label + "create a persistent one")
		_check(untyped.create(_name + "d", 4096) == OK, label + "create, untyped")
		owner_of_it.fill(1)
		_check(peer.read(1)[0] == 1, label + "read")
		_check(_is_mapped(), label + "mapped")

		if round_number % 2 == 1:
			_replace_library()
		var result := GDExtensionManager.reload_extension(EXTENSION)
		_check(result == GDExtensionManager.LOAD_STATUS_OK, label + "reload: %d" % result)
		await get_tree().process_frame

		for memory: SharedMemory in [owner_of_it, peer, box, keeper, untyped]:
			_check(memory.get_status() == SharedMemory.STATUS_UNINITIALIZED, label + "status")
			_check(not memory.is_open(), label + "is_open")
			_check(memory.get_size() == 0, label + "size")
			_check(memory.get_last_error() == OK, label + "last error")
		_check(box.count == 7, label + "a script's own variable")
		for letter: String in ["a", "b", "d"]:
			_check(not SharedMemory.exists(_name + letter), label + letter + " is gone")
		_check(SharedMemory.exists(_name + "c"), label + "the persistent one stays")
		SharedMemory.remove(_name + "c")
		_check(not _is_mapped(), label + "no segment is mapped any more")
		_check_truncated(label)
		# The first round loads what stays loaded.
		if round_number == 1:
			files = _open_files()
	_check(_open_files() <= files, "open files: %d, then %d" % [files, _open_files()])
	printerr("the editor ends: ", "all is well" if _problems == 0 else "%d problems" % _problems)
	get_tree().quit()


## As a build does: a new file in the place of the old one.
func _replace_library() -> void:
	for library in DirAccess.get_files_at("res://addons/shared_memory/bin"):
		var path := ProjectSettings.globalize_path("res://addons/shared_memory/bin/" + library)
		DirAccess.copy_absolute(path, path + ".new")
		DirAccess.rename_absolute(path + ".new", path)


## The library has to set up again its part of the whole process.
func _check_truncated(label: String) -> void:
	var memory := SharedMemory.new()
	_check(memory.create(_name + "e", 8192) == OK, label + "create to cut")
	var file := FileAccess.open("/dev/shm/%se" % _name, FileAccess.READ_WRITE)
	file.resize(0)
	file.close()
	_check(memory.fill(1) == ERR_FILE_CORRUPT, label + "cut")


func _is_mapped() -> bool:
	var maps := FileAccess.open("/proc/self/maps", FileAccess.READ)
	while not maps.eof_reached():
		if maps.get_line().contains(_name):
			return true
	return false


func _open_files() -> int:
	return DirAccess.get_files_at("/proc/self/fd").size()


func _check(held: bool, what: String) -> void:
	if not held:
		_problems += 1
		printerr("problem: ", what)
