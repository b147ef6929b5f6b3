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
	var layout: String = segment.get("layout", "")
	var line := "var memory := SharedMemory.new(); "
	if segment["backend"] == Library.Backend.NATIVE:
		match layout:
			"latest":
				return "var stream := SharedMemoryStream.new(); stream.open(%s)" % name
			"lanes":
				return "var queue := SharedMemoryQueue.new(); queue.open(%s)" % name
			"pair":
				return "var peer := SharedMemoryPeer.new(); peer.open(%s)" % name
			"locks":
				return "var mutex := SharedMemoryMutex.new(); mutex.open(%s)" % name
	else:
		var backend: String = ["NATIVE", "FILE", "SYSV", "MEMFD"][segment["backend"]]
		line += "memory.backend = SharedMemory.BACKEND_%s; " % backend
	line += "memory.open(%s)" % name
	match layout:
		"latest":
			line += "; var stream := SharedMemoryStream.new(); stream.attach(memory)"
		"lanes":
			line += "; var queue := SharedMemoryQueue.new(); queue.attach(memory)"
	return line


# Messages and locks need the package of partners/python/. Plain memory needs no package.
static func _python(segment: Dictionary) -> String:
	var name := Printable.literal(segment["name"])
	var layout: String = segment.get("layout", "")
	match segment["backend"]:
		Library.Backend.SYSV, Library.Backend.MEMFD:
			return ""
		Library.Backend.FILE:
			name = Printable.literal(ProjectSettings.globalize_path(segment["name"]))
			var memory := "gsm.SharedMemory.open(%s, backend=gsm.Backend.FILE)" % name
			match layout:
				"latest":
					return _with_package("stream = gsm.Stream.attach(%s)" % memory)
				"lanes":
					return _with_package("queue = gsm.Queue.attach(%s)" % memory)
			return _mapped_file(name)
	match layout:
		"latest":
			return _with_package("stream = gsm.Stream.open(%s)" % name)
		"lanes":
			return _with_package("queue = gsm.Queue.open(%s)" % name)
		"pair":
			return _with_package("peer = gsm.Peer(%s)" % name)
		"locks":
			return _with_package("mutex = gsm.Mutex(%s)" % name)
	match OS.get_name():
		"Linux":
			return _mapped_file(Printable.literal("/dev/shm/" + segment["name"]))
		"Windows":
			var tag := [segment["size"], name]
			return "import mmap; memory = mmap.mmap(-1, %d, tagname=%s)" % tag
	return _with_package("memory = gsm.SharedMemory.open(%s)" % name)


static func _with_package(statement: String) -> String:
	return "import godot_shared_memory as gsm; " + statement


static func _mapped_file(path: String) -> String:
	return "import mmap, os; memory = mmap.mmap(os.open(%s, os.O_RDWR), 0)" % path


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
