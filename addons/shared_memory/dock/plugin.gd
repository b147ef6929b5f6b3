@tool
extends EditorPlugin
## Adds the bottom panel [i]Shared Memory[/i] to the editor.
##
## The classes of the addon work without it. It is enabled in the project settings, under
## [i]Plugins[/i].

const DockPanel := preload("panel.gd")

var _panel: Control


func _enter_tree() -> void:
	_panel = DockPanel.new()
	add_control_to_bottom_panel(_panel, "Shared Memory")


func _exit_tree() -> void:
	remove_control_from_bottom_panel(_panel)
	_panel.queue_free()
	_panel = null
