@tool
extends RefCounted
## The segments that the game uses which was started from this editor, on Linux.
##
## [code]SharedMemory.get_users[/code] reads the mappings of every process for one segment. For all
## segments, it is cheaper to read those of the game once.

const Library := preload("library.gd")

## The processes of the game.
var processes: Array[int] = []

var _mapped := {}


## Looks which processes the editor has started, and what they have mapped.
func look() -> void:
	processes = []
	_mapped = {}
	if OS.get_name() != "Linux" or not EditorInterface.is_playing_scene():
		return
	processes = _descendants_of(OS.get_process_id())
	for process in processes:
		for line in _lines("/proc/%d/maps" % process):
			# Address, access, offset, device and inode have no slash.
			var path := line.find("/")
			if path >= 0:
				_mapped[line.substr(path)] = true


## Returns whether a process of the game has it mapped.
func uses(segment: Dictionary) -> bool:
	if _mapped.is_empty():
		return false
	var name: String = segment["name"]
	# As the system writes it, which escapes the end of a line.
	var raw := name.replace("\n", "\\012").to_utf8_buffer().get_string_from_ascii()
	match segment["backend"]:
		Library.Backend.NATIVE:
			return _mapped.has("/dev/shm/" + raw)
		Library.Backend.SYSV:
			return _mapped.has("/SYSV%s (deleted)" % name.trim_prefix("0x"))
		Library.Backend.MEMFD:
			return _mapped.has("/memfd:%s (deleted)" % raw)
	return _mapped.has(raw)


func _descendants_of(ancestor: int) -> Array[int]:
	var children := {}
	for process in DirAccess.get_directories_at("/proc"):
		if process.is_valid_int():
			var stat := "\n".join(_lines("/proc/%s/stat" % process))
			# The name of the program, in brackets, may hold anything. State and parent follow it.
			var fields := stat.substr(stat.rfind(")") + 1).split(" ", false)
			if fields.size() > 1:
				children.get_or_add(fields[1].to_int(), []).append(process.to_int())
	var found: Array[int] = []
	var next: Array = children.get(ancestor, [])
	while not next.is_empty():
		var process: int = next.pop_back()
		found.append(process)
		next.append_array(children.get(process, []))
	found.sort()
	return found


## Returns the lines of a file of the system, with a character for each byte: a path may be any bytes,
## and Godot would print an error for those that are not UTF-8.
static func _lines(path: String) -> PackedStringArray:
	var content := PackedByteArray()
	var file := FileAccess.open(path, FileAccess.READ)
	# Such a file has no length.
	while file != null and file.get_error() == OK:
		var part := file.get_buffer(1 << 16)
		content.append_array(part)
		if part.is_empty():
			break
	return content.get_string_from_ascii().split("\n")
