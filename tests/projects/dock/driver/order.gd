@tool
extends RefCounted
## The base of an order: what most of them need.

const PLUGIN := "shared_memory"
const PATIENCE_MSEC := 20_000

var plugin: EditorPlugin


func _init(of: EditorPlugin) -> void:
	plugin = of


## Returns the panel, or [code]null[/code].
func panel() -> Control:
	return EditorInterface.get_base_control().find_child("SharedMemoryPanel", true, false)


## Enables the plugin, and opens its panel.
func enable() -> void:
	EditorInterface.set_plugin_enabled(PLUGIN, true)
	await show_panel()


func show_panel() -> void:
	plugin.make_bottom_panel_item_visible(panel())
	await frames(3)


## Plays the scene as the button does. The editor shows another panel then.
func play() -> void:
	EditorInterface.play_custom_scene("res://game.tscn")
	await frames(3)
	await show_panel()


func frames(count: int) -> void:
	for _frame in count:
		await plugin.get_tree().process_frame


## Waits until the condition holds. Returns whether it does.
func until(condition: Callable) -> bool:
	var end := Time.get_ticks_msec() + PATIENCE_MSEC
	while not condition.call():
		if Time.get_ticks_msec() > end:
			return false
		await plugin.get_tree().process_frame
	return true


## Returns the texts of the row of a segment, by the titles of their columns.
func row_of(memory: String) -> Dictionary:
	var table: Tree = panel()._list._table
	var item: TreeItem = table.item_of("0 " + memory)
	var cells := {}
	if item != null:
		for column in table.columns:
			cells[panel()._list.TITLES[column]] = item.get_text(column)
	return cells


## Selects the segment, as a click on its row does.
func select(memory: String) -> bool:
	if not await until(func() -> bool: return not row_of(memory).is_empty()):
		return false
	panel()._list._table.select_key("0 " + memory)
	await frames(2)
	return true


## Shows a tab of the view, and returns it.
func tab(name: String) -> Control:
	var tabs: TabContainer = panel()._view._tabs
	for index in tabs.get_tab_count():
		if tabs.get_tab_control(index).name == name:
			tabs.current_tab = index
	await frames(2)
	return tabs.get_current_tab_control()


## Returns the rows of a table as arrays of texts.
func rows(table: Tree) -> Array:
	var found := []
	for item in table.get_root().get_children() if table.get_root() != null else []:
		var cells := []
		for column in table.columns:
			cells.append(item.get_text(column))
		found.append(cells)
	return found
