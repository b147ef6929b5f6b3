@tool
extends RefCounted
## The segments that the game has open which this editor has started, on Linux.
##
## [code]SharedMemory.get_users[/code] reads the mappings of every process, which takes long. So it
## is called for one segment at a time, and only after the game has mapped something else, or when
## an answer is old.

const Library := preload("library.gd")

## Another program may have put another segment under a name since then.
const OLD_MSEC := 30_000
## Parts of the paths of shared memory in the system's list of mappings.
const SHARED := ["/dev/shm/", "/memfd:", "/SYSV"]

## The processes of the game.
var processes: Array[int] = []

## A number that changes with the shared memory that the game has mapped. 0: there is none.
var _mapped := 0
## The answers for each segment, by its key, and their times.
var _uses := {}
var _asked := {}


## Looks which processes the game has, and what they have mapped.
func look() -> void:
	processes = []
	var mapped := PackedStringArray()
	if OS.get_name() == "Linux" and EditorInterface.is_playing_scene():
		processes = _descendants_of(OS.get_process_id())
	for process in processes:
		for line in _lines("/proc/%d/maps" % process):
			if SHARED.any(line.contains):
				mapped.append(line)
	var now := 0 if mapped.is_empty() else hash(mapped)
	if now != _mapped:
		_mapped = now
		_asked.clear()


## Asks for the users of the segment for which that was not done for the longest time.
func ask(segments: Array) -> void:
	if _mapped == 0:
		_uses.clear()
		return
	var next := {}
	var oldest := Time.get_ticks_msec() - OLD_MSEC
	for segment: Dictionary in segments:
		var time: int = _asked.get(Library.key_of(segment), -OLD_MSEC)
		if segment["size"] >= 0 and (next.is_empty() or time < oldest) and time <= oldest:
			next = segment
			oldest = time
	if not next.is_empty():
		var users := Array(Library.users_of(next))
		_uses[Library.key_of(next)] = users.any(processes.has)
		_asked[Library.key_of(next)] = Time.get_ticks_msec()


## Returns whether a process of the game has a segment open.
func uses(segment: Dictionary) -> bool:
	return _uses.get(Library.key_of(segment), false)


static func _descendants_of(ancestor: int) -> Array[int]:
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


## Returns the lines of a file of the system, with a character for each byte.
##
## A path may be any bytes, and Godot would print an error for those that are not UTF-8.
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
