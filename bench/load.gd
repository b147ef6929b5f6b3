extends SceneTree
## Prints how long Godot takes to load the addon, in microseconds. For a project that has not
## loaded it yet.


func _initialize() -> void:
	var start := Time.get_ticks_usec()
	var status := GDExtensionManager.load_extension(
		"res://addons/shared_memory/shared_memory.gdextension"
	)
	var took := Time.get_ticks_usec() - start
	if status == GDExtensionManager.LOAD_STATUS_OK:
		print("loaded in ", took)
	quit()
