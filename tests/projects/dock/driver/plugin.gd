@tool
extends EditorPlugin
## Obeys a scenario in Python, order by order: see harness/editor.py.
##
## An order is a file with a script, whose function [code]run[/code] may wait for frames. The answer
## is a file, too, since the editor's own lines go to stdout.

const IDLE_FRAMES := 60

var _folder := OS.get_environment("DRIVER_FOLDER")
var _is_busy := false
var _next := 1
var _idle_frames := 0


func _process(_delta: float) -> void:
	var order := "%s/order%d.gd" % [_folder, _next]
	var is_scanning := EditorInterface.get_resource_filesystem().is_scanning()
	_idle_frames = 0 if is_scanning else _idle_frames + 1
	# After a scan, the editor may load scripts again, which would end an order.
	if _idle_frames > IDLE_FRAMES and not _is_busy and FileAccess.file_exists(order):
		_is_busy = true
		var answer: Variant = await _obey(order)
		var file := FileAccess.open("%s/answer%d.new" % [_folder, _next], FileAccess.WRITE)
		file.store_string(JSON.stringify(answer))
		file.close()
		DirAccess.rename_absolute(file.get_path(), file.get_path().trim_suffix("new") + "json")
		_next += 1
		_is_busy = false


func _obey(order: String) -> Variant:
	var source := FileAccess.get_file_as_string(order)
	var script := GDScript.new()
	script.source_code = '@tool\nextends "res://driver/order.gd"\n' + source
	if script.reload() != OK:
		return "the order does not compile"
	var arguments: Array = str_to_var(FileAccess.get_file_as_string(order + ".arguments"))
	return await script.new(self).callv(&"run", arguments)
