@tool
extends RefCounted
## The facts that Linux gives of processes (proc(5)). There are none elsewhere, and none of other
## users' processes.

const Library := preload("library.gd")
const Look := preload("look.gd")

## The byte that the owner of a segment locks, as [code]OFDLCK … WRITE[/code]: see
## [code]life_lock.rs[/code].
const LIFE_BYTE := 1 << 62
## The places of device, inode and path in a line of [code]maps[/code].
const DEVICE := 3
const INODE := 4


## Returns the processes that a process has started, also through others, in ascending order.
static func descendants_of(ancestor: int) -> Array[int]:
	var children := {}
	for process in DirAccess.get_directories_at("/proc"):
		if process.is_valid_int():
			var stat := "\n".join(lines_of("/proc/%s/stat" % process))
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


## Returns which of the users of a segment owns it, or [code]0[/code] if that isn't known.
##
## The owner holds a lock on the segment. The system tells each process's locks by the file's inode,
## and the inode by a mapping, so the segment is opened for a moment.
static func owner_of(segment: Dictionary, users: Array[int]) -> int:
	if segment["owner_state"] != Library.Owner.ALIVE or users.is_empty():
		return 0
	if segment["backend"] != Library.Backend.NATIVE:
		return users[0] if users.size() == 1 else 0
	var file := _file_of(segment)
	if file.is_empty():
		return 0
	var lock := "%s %d %d" % [file, LIFE_BYTE, LIFE_BYTE]
	for user in users:
		var folder := DirAccess.open("/proc/%d/fdinfo" % user)
		for number in folder.get_files() if folder != null else PackedStringArray():
			for line in lines_of("/proc/%d/fdinfo/%s" % [user, number]):
				if line.begins_with("lock:") and line.ends_with(lock):
					return user
	return 0


## Returns the lines of a file of the system, with a character for each byte.
##
## A path may be any bytes, and Godot would print an error for those that are not UTF-8.
static func lines_of(path: String) -> PackedStringArray:
	var content := PackedByteArray()
	var file := FileAccess.open(path, FileAccess.READ)
	# Such a file has no length.
	while file != null and file.get_error() == OK:
		var part := file.get_buffer(1 << 16)
		content.append_array(part)
		if part.is_empty():
			break
	return content.get_string_from_ascii().split("\n")


## Returns device and inode of a segment, as a lock has them, or an empty text.
static func _file_of(segment: Dictionary) -> String:
	var look := Look.new()
	if not look.open(segment):
		return ""
	var path := "/dev/shm/" + String(segment["name"])
	path = path.to_utf8_buffer().get_string_from_ascii().replace("\n", "\\012")
	for line in lines_of("/proc/self/maps"):
		if line.ends_with(path) and line.substr(line.find("/")) == path:
			var fields := line.split(" ", false)
			return "%s:%s" % [fields[DEVICE], fields[INODE]]
	return ""
