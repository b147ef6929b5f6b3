@tool
extends Tree
## A table of texts that is refreshed several times a second.
##
## A row is known by its key. So the selection and the place to which the user has scrolled survive,
## and a look that finds the same texts draws nothing.

## Emitted when the user selects a row.
signal row_selected(key: String)

var _keys := PackedStringArray()
var _items := {}
var _is_rebuilding := false


func _init() -> void:
	hide_root = true
	hide_folding = true
	select_mode = SELECT_ROW
	allow_search = true
	# The texts are those of other programs.
	auto_translate_mode = Node.AUTO_TRANSLATE_MODE_DISABLED
	size_flags_vertical = Control.SIZE_EXPAND_FILL
	item_selected.connect(_on_item_selected)


## Sets the titles of the columns. Each has the minimum width, and a share of the rest.
func set_titles(titles: Array, widths: Array, shares: Array) -> void:
	columns = titles.size()
	column_titles_visible = true
	for column in columns:
		set_column_title(column, titles[column])
		set_column_title_alignment(column, HORIZONTAL_ALIGNMENT_LEFT)
		set_column_custom_minimum_width(column, widths[column])
		set_column_expand(column, shares[column] > 0)
		set_column_expand_ratio(column, maxi(shares[column], 1))
		set_column_clip_content(column, true)


## Shows these rows. Each is an array of its key, and a text for each column.
func show_rows(rows: Array[Array]) -> void:
	var keys := PackedStringArray()
	for row in rows:
		keys.append(row[0])
	if keys != _keys:
		_rebuild(keys)
	for row in rows:
		var item: TreeItem = _items[row[0]]
		for column in mini(columns, row.size() - 1):
			if item.get_text(column) != row[column + 1]:
				item.set_text(column, row[column + 1])


## Returns the row with this key, or [code]null[/code].
func item_of(key: String) -> TreeItem:
	return _items.get(key)


## Returns the key of the selected row, or an empty text.
func selected_key() -> String:
	var item := get_selected()
	return "" if item == null else item.get_metadata(0)


func select_key(key: String) -> void:
	var item := item_of(key)
	if item != null:
		item.select(0)
		scroll_to_item(item)


func _rebuild(keys: PackedStringArray) -> void:
	_is_rebuilding = true
	var selected := selected_key()
	clear()
	_items.clear()
	_keys = keys
	var root := create_item()
	for key in keys:
		var item := create_item(root)
		item.set_metadata(0, key)
		_items[key] = item
	if _items.has(selected):
		_items[selected].select(0)
	_is_rebuilding = false


func _on_item_selected() -> void:
	if not _is_rebuilding:
		row_selected.emit(selected_key())
