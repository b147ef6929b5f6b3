@tool
@icon("icons/SharedMemoryTexture.svg")
class_name SharedMemoryTexture
extends ImageTexture
## The newest image that another program writes into shared memory.
##
## Use it wherever a [Texture2D] can stand: in a [TextureRect], a [Sprite2D], a material. Enter the
## name of a stream in [member memory_name]. The texture then shows each new [Image] of that stream,
## in the editor, too. No script is needed. If nothing is shown, [member problem] tells why.
## [br][br]
## The other program may start later, crash, start again, or change the size and the format of its
## images. It uses [SharedMemoryStream] in Godot, the package [code]godot_shared_memory[/code] in
## Python, or the native format of this addon in another language. See also
## [SharedMemoryViewportSource].
## [br][br]
## [b]Cost:[/b] The texture reads right before a frame is drawn. It copies and uploads at most one
## image per frame, and nothing while there is no new one. It never waits. Nodes that use the same
## resource share one copy, but each duplicate of the resource reads for itself. A texture takes one
## of the stream's places for readers.
## [br][br]
## [b]Formats:[/b] Images of 8 bits per channel, also in BGR and BGRA, become
## [constant Image.FORMAT_RGBA8]. With the renderer Compatibility, grey stays
## [constant Image.FORMAT_L8]. The other renderers show that too bright in 3D, so grey becomes
## RGBA8 there. The engine uploads both formats as they are. Other formats are shown as they
## arrive, and the engine may convert them first. An image with more than 16384 pixels in a row or
## column is not shown.
## [br][br]
## [b]Scenes:[/b] The image is never saved with a scene. Without the library of the addon, a scene
## still loads, and shows the placeholder.
## [br][br]
## [b]Note:[/b] If this program draws nothing, the texture reads in each process frame instead.

## Emitted when the source comes or goes: see [method is_live].
signal live_changed(is_live: bool)

const _STREAM := &"SharedMemoryStream"
# The number of SharedMemory.OWNER_ALIVE. That class may be missing.
const _OWNER_ALIVE := 1
# Graphics cards have this limit, or a higher one.
const _LARGEST := 16384
# The formats of Godot with 8 bits per channel, and BGR8 and BGRA8 of the native format.
const _EIGHT_BITS: PackedInt32Array = [
	Image.FORMAT_LA8, Image.FORMAT_RGB8, Image.FORMAT_RGBA8, 256, 257
]
# The time between two looks at the source, in milliseconds.
const _LOOK_EVERY := 100

## The name of the stream, as its writer passes it to [method SharedMemoryStream.create].
@export var memory_name := "":
	set(value):
		if value != memory_name:
			memory_name = value
			_forget_source()

## The image without a source. It is black if this is empty.
@export var placeholder: Texture2D:
	set(value):
		if value == self:
			push_error("The placeholder must be another texture.")
			return
		if placeholder != null:
			placeholder.changed.disconnect(_on_placeholder_changed)
		placeholder = value
		if placeholder != null:
			placeholder.changed.connect(_on_placeholder_changed)
		_on_placeholder_changed()

## If [code]true[/code], the last image stays when the source has gone. If [code]false[/code], the
## placeholder comes back.
@export var keep_last_picture := true:
	set(value):
		keep_last_picture = value
		if not value and not _is_live:
			_show_placeholder()

## If [code]false[/code], the editor shows the placeholder. The running game is not affected.
@export var preview_in_editor := true:
	set(value):
		if value != preview_in_editor:
			preview_in_editor = value
			if Engine.is_editor_hint():
				_forget_source()

## The reason why there is nothing to see, for the inspector: see [method get_problem]. It can't be
## set, and is never saved.
@export_custom(PROPERTY_HINT_MULTILINE_TEXT, "", PROPERTY_USAGE_EDITOR | PROPERTY_USAGE_READ_ONLY)
var problem: String:
	get = get_problem

# A SharedMemoryStream, or null where there is no library or no name.
var _stream: RefCounted
# Filled in place by each image.
var _image := Image.new()
var _shows_picture := false
var _is_live := false
var _has_writer := false
var _was_refused := false
var _problem := ""
var _next_look := 0
var _last_frame := -1
var _frames_drawn := -1
# With a RenderingDevice, L8 has no sRGB, which materials expect.
var _converts_grey := RenderingServer.get_rendering_device() != null


func _init() -> void:
	_show_placeholder()
	_connect_to_frames()


# The engine would read the image back from the graphics card, and save it with each scene.
func _get(property: StringName) -> Variant:
	# Not null, which means that the engine goes on to look. The engine doesn't save false.
	return false if property == &"image" else null


func _set(property: StringName, _value: Variant) -> bool:
	return property == &"image"


## Returns [code]true[/code] while there is a source: a program that has written an image to the
## stream, and that runs. It takes up to 0.2 seconds to notice its end. A program that hangs still
## runs.
func is_live() -> bool:
	return _is_live


## Returns the image that is shown, or [code]null[/code] for the placeholder. Unlike
## [method Texture2D.get_image], this doesn't wait for the graphics card, and works with
## [code]--headless[/code].
func get_picture() -> Image:
	# Its pixels are copied only if the next image comes while they are in use.
	return _image.duplicate() if _shows_picture else null


## Returns why there is no source, or why the newest message is not shown, in words for people.
## Returns an empty string if all is well.
func get_problem() -> String:
	if memory_name.is_empty():
		return "memory_name is empty"
	if not ClassDB.class_exists(_STREAM):
		return "the library of the addon is missing on this system"
	if not _wants_source():
		return "preview_in_editor is off"
	return _problem


## Returns the microseconds since the newest image was written, or [code]-1[/code] without one. A
## value that grows shows that the source hangs.
func get_age_usec() -> int:
	return _stream.get_age_usec() if _stream != null else -1


## Returns the number of the image that this texture has read last, or [code]0[/code] without one.
## Each image has a number that is [code]1[/code] higher than that of the previous one.
func get_sequence() -> int:
	return _stream.get_sequence() if _stream != null else 0


## Returns how many images were written, but never shown, because newer ones replaced them. The
## count starts again with new memory under the name.
func get_missed_count() -> int:
	return _stream.get_missed_count() if _stream != null else 0


# The signals of frames belong to the main thread, but a scene may be loaded in another one.
func _connect_to_frames() -> void:
	var tree := Engine.get_main_loop() as SceneTree
	if OS.get_thread_caller_id() == OS.get_main_thread_id():
		if not RenderingServer.frame_pre_draw.is_connected(_update_picture):
			RenderingServer.frame_pre_draw.connect(_update_picture)
			if tree != null:
				tree.process_frame.connect(_on_process_frame)
		return
	while tree != null:
		# A deferred call runs in the thread that loads. This call is safe there.
		var timer := tree.create_timer(0.05)
		timer.timeout.connect(_connect_to_frames)
		if timer.time_left > 0:
			return
		# The timer may have ended before it was connected.


# Nothing draws in a program without a window, and in a minimized one. The editor draws when
# something changes, so here it learns of a change.
func _on_process_frame() -> void:
	var frames_drawn := Engine.get_frames_drawn()
	if frames_drawn == _frames_drawn:
		_update_picture()
	_frames_drawn = frames_drawn


# Runs when no other thread uses the image: the engine has uploaded the last one.
func _update_picture() -> void:
	var frame := Engine.get_process_frames()
	if frame == _last_frame or not _wants_source():
		return
	_last_frame = frame
	var now := Time.get_ticks_msec()
	if now >= _next_look:
		_next_look = now + _LOOK_EVERY
		_look_at_source()
	var is_new := false
	if _stream != null and _stream.is_attached() and _stream.has_new_data():
		if not _has_writer:
			_look_at_source()
		is_new = (_has_writer or keep_last_picture) and _read()
	# Last, because a connected function may change anything.
	_set_live(_has_writer and (_is_live or is_new))


func _look_at_source() -> void:
	if _stream == null and not _was_refused and ClassDB.class_exists(_STREAM):
		_stream = ClassDB.instantiate(_STREAM)
		_open()
	elif _stream != null and Engine.is_editor_hint() and not _stream.is_attached():
		# If the editor has reloaded the library, the object has forgotten the name.
		_open()
	_has_writer = _stream != null and _stream.get_writer_state() == _OWNER_ALIVE
	if _stream != null and not _has_writer:
		_problem = _stream.get_last_error_message()
		if _problem.is_empty():
			_problem = "nothing writes to the stream"


func _open() -> void:
	if _stream.open(memory_name) != OK:
		# The error was printed, and another try would print it again.
		_was_refused = true
		_problem = _stream.get_last_error_message()
		_stream = null


# Reads and shows the newest image, and returns whether there was one.
func _read() -> bool:
	var shape: PackedInt32Array = _stream.get_message_shape()
	if shape.size() != 3:
		_problem = "the newest message is not an image"
		return false
	if not _fits(Vector2i(shape[0], shape[1])):
		_problem = "an image of %d x %d can't be shown" % [shape[0], shape[1]]
		return false
	# Otherwise -1, the format of the message. So no image in colour can become grey here.
	var is_converted := (
		_EIGHT_BITS.has(shape[2]) or (_converts_grey and shape[2] == Image.FORMAT_L8)
	)
	var format := Image.FORMAT_RGBA8 if is_converted else -1
	if _stream.read_image(_image, format) != OK:
		_problem = _stream.get_last_error_message()
		return false
	# The writer may have replaced the message after the first look.
	if not _fits(_image.get_size()):
		return false
	var is_same_kind := (
		_shows_picture
		and _image.get_size() == Vector2i(get_size())
		and _image.get_format() == get_format()
	)
	# Before the image is set, because that emits a signal.
	_shows_picture = true
	_problem = ""
	if is_same_kind:
		# Unlike update(), this doesn't make the inspector begin again.
		RenderingServer.texture_2d_update(get_rid(), _image, 0)
	else:
		set_image(_image)
	return true


func _fits(size: Vector2i) -> bool:
	return size.clamp(Vector2i.ONE, Vector2i(_LARGEST, _LARGEST)) == size


func _wants_source() -> bool:
	return not memory_name.is_empty() and (preview_in_editor or not Engine.is_editor_hint())


func _forget_source() -> void:
	_stream = null
	_was_refused = false
	_has_writer = false
	_problem = ""
	_next_look = 0
	_show_placeholder()
	_set_live(false)


func _set_live(value: bool) -> void:
	if value == _is_live:
		return
	_is_live = value
	if not value and not keep_last_picture:
		_show_placeholder()
	live_changed.emit(value)


func _on_placeholder_changed() -> void:
	if not _shows_picture:
		_show_placeholder()


func _show_placeholder() -> void:
	_shows_picture = false
	var image := placeholder.get_image() if placeholder != null else null
	if image == null or image.is_empty():
		image = Image.create_empty(1, 1, false, Image.FORMAT_RGB8)
	set_image(image)
