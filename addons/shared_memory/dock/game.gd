@tool
extends RefCounted
## The processes of the game that this editor has started, and the segments that they use, on Linux.
##
## [code]SharedMemory.get_users[/code] reads the mappings of every process, which takes long. So it
## is called for one segment at a time. That happens only after the game or the editor has mapped
## something else, or when an answer is old.

const Library := preload("library.gd")
const Processes := preload("processes.gd")

## Another program may have put another segment under a name since then.
const OLD_MSEC := 30_000
## Parts of the paths of shared memory in the system's list of mappings.
const SHARED := ["/dev/shm/", "/memfd:", "/SYSV"]

## The processes of the game.
var processes: Array[int] = []

## A number that changes with the shared memory that game and editor have mapped. 0: there is none.
var _mapped := 0
## The answers for each segment, by its key, and their times.
var _uses := {}
var _owners := {}
var _asked := {}


## Looks which processes the game has, and what they have mapped.
func look() -> void:
	processes = []
	var mapped := PackedStringArray()
	if OS.get_name() == "Linux":
		if EditorInterface.is_playing_scene():
			processes = Processes.descendants_of(OS.get_process_id())
		for process: int in processes + [OS.get_process_id()]:
			for line in Processes.lines_of("/proc/%d/maps" % process):
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
		_owners.clear()
		return
	var next := {}
	var oldest := Time.get_ticks_msec() - OLD_MSEC
	for segment: Dictionary in segments:
		var time: int = _asked.get(Library.key_of(segment), -OLD_MSEC)
		if segment["size"] >= 0 and (next.is_empty() or time < oldest) and time <= oldest:
			next = segment
			oldest = time
	if not next.is_empty():
		var key := Library.key_of(next)
		var users: Array[int] = []
		users.assign(Library.users_of(next))
		_uses[key] = users.any(processes.has)
		_owners[key] = _kind_of_owner(next, users)
		_asked[key] = Time.get_ticks_msec()


## Returns whether a process of the game has a segment open.
func uses(segment: Dictionary) -> bool:
	return _uses.get(Library.key_of(segment), false)


## Returns the kind of process that owns a segment of this user, as [method kind_of]. It is empty if
## that isn't known.
func owner_of(segment: Dictionary) -> String:
	if OS.get_name() != "Linux":
		return ""
	# A game may have made it a moment ago.
	var otherwise := "" if EditorInterface.is_playing_scene() else "process"
	return _owners.get(Library.key_of(segment), otherwise)


func _kind_of_owner(segment: Dictionary, users: Array[int]) -> String:
	var ours := processes + [OS.get_process_id()]
	if not users.any(ours.has):
		return "process"
	var owner := Processes.owner_of(segment, users)
	return "" if owner == 0 else kind_of(owner)


## Returns [code]game[/code], [code]editor[/code], or [code]process[/code] for any other one.
func kind_of(process: int) -> String:
	if process in processes:
		return "game"
	return "editor" if process == OS.get_process_id() else "process"
