@tool
extends MarginContainer
## The panel: the list of segments beside, or above, the view of the selected one.
##
## It asks the system only while it is visible.

const Actions := preload("actions.gd")
const Library := preload("library.gd")
const Pace := preload("pace.gd")
const SegmentList := preload("segment_list.gd")
const SegmentView := preload("segment_view.gd")

const LIST_SECONDS := 0.3
const VIEW_SECONDS := 0.1
const GAME_SECONDS := 1.0
const QUESTION_SECONDS := 0.05
## In a narrower panel, the view is below the list.
const NARROW := 640
const MISSING := """The library of Godot Shared Memory is not loaded, so there is nothing to show.

Restart the editor if the addon is new in this project. Otherwise, addons/shared_memory/bin/ has no
library for this system, or one that can't be loaded: see the Output panel."""

var _missing := Label.new()
var _split := SplitContainer.new()
var _list := SegmentList.new()
var _view := SegmentView.new()
var _actions := Actions.new()
var _list_pace := Pace.new(LIST_SECONDS)
var _view_pace := Pace.new(VIEW_SECONDS)
var _game_pace := Pace.new(GAME_SECONDS)
var _question_pace := Pace.new(QUESTION_SECONDS)
var _selected_key := ""


func _init() -> void:
	name = "SharedMemoryPanel"
	_missing.text = MISSING
	_missing.autowrap_mode = TextServer.AUTOWRAP_WORD_SMART
	_missing.vertical_alignment = VERTICAL_ALIGNMENT_CENTER
	_missing.horizontal_alignment = HORIZONTAL_ALIGNMENT_CENTER
	# A label without a width would want the height of a column of single letters.
	_missing.custom_minimum_size.x = 200
	_missing.visible = false
	add_child(_missing)
	_list.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_list.size_flags_vertical = Control.SIZE_EXPAND_FILL
	_view.size_flags_horizontal = Control.SIZE_EXPAND_FILL
	_view.size_flags_vertical = Control.SIZE_EXPAND_FILL
	_split.add_child(_list)
	_split.add_child(_view)
	add_child(_split)
	add_child(_actions)
	_list.segment_selected.connect(_select)
	_list.actions_requested.connect(_actions.offer)
	_list.removal_requested.connect(_actions.ask_to_remove)
	_list.copy_requested.connect(_actions.copy_line)
	_view.actions_requested.connect(_actions.offer)
	_view.removal_requested.connect(_actions.ask_to_remove)
	_view.look_requested.connect(_view_pace.hurry)
	_actions.list_changed.connect(_list_pace.hurry)
	visibility_changed.connect(_on_visibility_changed)
	resized.connect(_arrange)


func _ready() -> void:
	custom_minimum_size.y = 260 * EditorInterface.get_editor_scale()
	_on_visibility_changed()


func _process(_delta: float) -> void:
	var is_available := Library.is_available()
	_missing.visible = not is_available
	_split.visible = is_available
	if is_available:
		_game_pace.follow(_list.look_for_game)
		_question_pace.follow(_list.ask_for_game)
		_list_pace.follow(_refresh_list)
		_view_pace.follow(_view.look)


func _refresh_list() -> void:
	_list.refresh()
	if not _selected_key.is_empty():
		_view.update(_list.segment_of(_selected_key), _list.game_processes())


func _select(segment: Dictionary) -> void:
	if segment.is_empty():
		return
	_selected_key = Library.key_of(segment)
	_view.select(segment)
	_view.update(segment, _list.game_processes())
	_view_pace.hurry()


func _on_visibility_changed() -> void:
	set_process(is_visible_in_tree())


func _arrange() -> void:
	_split.vertical = size.x < NARROW * EditorInterface.get_editor_scale()
