@tool
extends RefCounted
## The line that opens a segment, for each language.

const Library := preload("library.gd")
const Printable := preload("printable.gd")


## Returns the line, or an empty text if there is none for such a segment.
static func of(language: String, segment: Dictionary) -> String:
	match language:
		"GDScript":
			return _gdscript(segment)
		"Python":
			return _python(segment)
	return _c(segment)


static func _gdscript(segment: Dictionary) -> String:
	var name := Printable.literal(segment["name"])
	match segment.get("layout", ""):
		"latest":
			return "var stream := SharedMemoryStream.new(); stream.open(%s)" % name
		"lanes":
			return "var queue := SharedMemoryQueue.new(); queue.open(%s)" % name
		"pair":
			return "var peer := SharedMemoryPeer.new(); peer.open(%s)" % name
		"locks":
			return "var mutex := SharedMemoryMutex.new(); mutex.open(%s)" % name
	var line := "var memory := SharedMemory.new(); "
	if segment["backend"] != Library.Backend.NATIVE:
		var backend: String = ["NATIVE", "FILE", "SYSV", "MEMFD"][segment["backend"]]
		line += "memory.backend = SharedMemory.BACKEND_%s; " % backend
	return "%smemory.open(%s)" % [line, name]


static func _python(segment: Dictionary) -> String:
	var path: String = segment["name"]
	match segment["backend"]:
		Library.Backend.SYSV, Library.Backend.MEMFD:
			return ""
		Library.Backend.FILE:
			path = ProjectSettings.globalize_path(path)
		Library.Backend.NATIVE:
			if OS.get_name() == "Windows":
				var tag := [segment["size"], Printable.literal(path)]
				return "import mmap; memory = mmap.mmap(-1, %d, tagname=%s)" % tag
			if OS.get_name() != "Linux":
				return ""
			path = "/dev/shm/" + path
	var file := "os.open(%s, os.O_RDWR)" % Printable.literal(path)
	return "import mmap, os; memory = mmap.mmap(%s, 0)" % file


static func _c(segment: Dictionary) -> String:
	var name: String = segment["name"]
	match segment["backend"]:
		Library.Backend.SYSV:
			return "void *memory = shmat(shmget(%s, 0, 0), NULL, 0);" % name
		Library.Backend.MEMFD:
			return ""
		Library.Backend.FILE:
			var path := Printable.c_literal(ProjectSettings.globalize_path(name))
			return "int file = open(%s, O_RDWR);" % path
	if segment.get("layout", "") == "pair":
		var peer := "gsm_peer peer; gsm_error error = gsm_peer_open(&peer, %s, 1 << 20, GSM_LOCAL);"
		return peer % Printable.c_literal(name)
	if OS.get_name() == "Windows":
		var section := "HANDLE section = OpenFileMappingA(FILE_MAP_ALL_ACCESS, FALSE, %s);"
		return section % Printable.c_literal(name)
	return "int file = shm_open(%s, O_RDWR, 0);" % Printable.c_literal("/" + name)
