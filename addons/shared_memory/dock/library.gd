@tool
extends RefCounted
## The questions that the dock asks the extension about segments.
##
## This file and [code]look.gd[/code] are the only ones that know the extension's classes, and they
## find them by name. So the dock also loads without the library, and it survives when the extension
## is reloaded or unloaded.

## As [code]SharedMemory.OwnerState[/code].
enum Owner { UNKNOWN, ALIVE, DEAD }
## As [code]SharedMemory.Scope[/code].
enum Scope { LOCAL, GLOBAL }
## As [code]SharedMemory.Backend[/code].
enum Backend { NATIVE, FILE, SYSV, MEMFD }

const CLASS := &"SharedMemory"


static func is_available() -> bool:
	return ClassDB.class_exists(CLASS)


## Returns whether the system lists its segments. Elsewhere, the dock shows those that the user
## names.
static func can_list() -> bool:
	return OS.get_name() == "Linux"


## Returns a dictionary for each segment of the machine, as [code]SharedMemory.get_info[/code], with
## its [code]name[/code]. [param watched] are names to add. One that doesn't exist yet has a size of
## [code]-1[/code].
static func list(watched: PackedStringArray) -> Array[Dictionary]:
	var memory: RefCounted = ClassDB.instantiate(CLASS)
	var segments: Array[Dictionary] = []
	segments.assign(memory.call(&"list_segments"))
	var listed := {}
	for segment in segments:
		listed[key_of(segment)] = true
	for watched_name in watched:
		var backend := backend_of(watched_name)
		var info := find(watched_name, backend)
		if info.is_empty():
			info = {"name": watched_name, "backend": backend, "size": -1}
		if not listed.has(key_of(info)):
			segments.append(info)
	return segments


## Returns the dictionary of one segment, which is empty if there is none.
static func find(name: String, backend: Backend) -> Dictionary:
	var memory: RefCounted = ClassDB.instantiate(CLASS)
	var info: Dictionary = memory.call(&"get_info", name, backend)
	if not info.is_empty():
		info["name"] = name
	return info


## Returns the backend of a name that a user has typed. Only a path has a slash inside.
static func backend_of(name: String) -> Backend:
	var is_path := name.contains("://") or name.trim_prefix("/").contains("/")
	return Backend.FILE if is_path and OS.get_name() != "Windows" else Backend.NATIVE


## Returns a text that no other segment has.
static func key_of(segment: Dictionary) -> String:
	return "%d %s" % [segment["backend"], segment["name"]]


## Returns whether [method remove_leftover] may remove it.
static func is_leftover(segment: Dictionary) -> bool:
	var is_dead: bool = segment.get("owner_state", Owner.UNKNOWN) == Owner.DEAD
	return is_dead and segment.get("is_mine", false)


## Returns the processes that have it open. This takes milliseconds.
static func users_of(segment: Dictionary) -> PackedInt32Array:
	var memory: RefCounted = ClassDB.instantiate(CLASS)
	return memory.call(&"get_users", segment["name"], segment["backend"])


## Removes the name of a segment whose owner has ended.
##
## Its owner may have been started again since [param segment] was listed, so this asks once more.
## The system has no way to do both in one step.
static func remove_leftover(segment: Dictionary) -> Error:
	var now := find(segment["name"], segment["backend"])
	if now.is_empty():
		return ERR_DOES_NOT_EXIST
	if not is_leftover(now):
		return ERR_BUSY
	var memory: RefCounted = ClassDB.instantiate(CLASS)
	return memory.call(&"remove", now["name"], now["scope"], now["backend"])
