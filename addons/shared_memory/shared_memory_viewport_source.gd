@tool
@icon("icons/SharedMemoryViewportSource.svg")
class_name SharedMemoryViewportSource
extends Node
## Hands out the images of a viewport: other programs read them from shared memory.
##
## Add this node to the running scene, and enter the name of a stream in [member memory_name]. The
## node makes that stream, and writes each image of its viewport to it. Another Godot shows the
## images with a [SharedMemoryTexture]. A program in another language reads them in the native
## format of this addon.
## [br][br]
## [b]Viewport:[/b] By default, the images are those of the viewport or window in which the node
## is. A [SubViewport] should have [constant SubViewport.UPDATE_ALWAYS], unless it is visible.
## Otherwise it is not drawn, and the node writes its old image again.
## [br][br]
## [b]Cost:[/b] With Godot 4.4 or newer and the renderer Forward+ or Mobile, the graphics card sends
## the pixels while the game goes on. An image arrives some frames later, usually two. With the
## renderer Compatibility, with an older Godot and with [member Viewport.use_hdr_2d], the game waits
## for each image. A higher [member frame_interval] makes that rarer.
## [br][br]
## [b]Images:[/b] They arrive in [constant Image.FORMAT_RGBA8]. A viewport without a renderer, as
## with [code]--headless[/code], has none. The node does nothing in the editor.

const _STREAM := &"SharedMemoryStream"
# The places for readers in the stream. Further readers may have to copy an image again.
const _READERS := 2
# The time between two attempts to make the stream, in milliseconds.
const _TRY_EVERY := 500

## The name of the stream, which must be free. See [method SharedMemoryStream.create].
@export var memory_name := "":
	set(value):
		if value != memory_name:
			memory_name = value
			_close()

## The path of another viewport. If it is empty, the node uses [method Node.get_viewport].
@export_node_path("Viewport") var viewport_path := NodePath():
	set(value):
		viewport_path = value
		update_configuration_warnings()

## The largest image in pixels. A larger one is scaled down on the processor. The stream takes
## four times the memory of such an image.
@export var max_size := Vector2i(1920, 1080):
	set(value):
		value = value.clamp(Vector2i.ONE, Vector2i(16384, 16384))
		if value != max_size:
			max_size = value
			_close()

## The number of frames between two images. With [code]1[/code], each frame is written.
@export_range(1, 600) var frame_interval := 1:
	set(value):
		frame_interval = maxi(value, 1)

## If [code]false[/code], nothing is written. The last image stays in the stream.
@export var enabled := true

var _writer: _Writer
var _problem := ""
var _next_try := 0
var _frames := 0


func _enter_tree() -> void:
	if not Engine.is_editor_hint():
		RenderingServer.frame_post_draw.connect(_on_frame_post_draw)


func _exit_tree() -> void:
	if RenderingServer.frame_post_draw.is_connected(_on_frame_post_draw):
		RenderingServer.frame_post_draw.disconnect(_on_frame_post_draw)
	_close()


func _get_configuration_warnings() -> PackedStringArray:
	var warnings := PackedStringArray()
	if memory_name.is_empty():
		warnings.append("Enter the name of a stream in memory_name.")
	if not ClassDB.class_exists(_STREAM):
		warnings.append("The library of the addon is missing on this system.")
	var viewport := _find_viewport()
	if viewport == null:
		warnings.append("viewport_path must lead to a SubViewport or another viewport.")
	elif viewport is SubViewport and viewport.size != viewport.size.min(max_size):
		var sizes := [viewport.size.x, viewport.size.y, max_size.x, max_size.y]
		warnings.append("The viewport has %d x %d pixels, but max_size is %d x %d." % sizes)
	return warnings


## Returns [code]true[/code] if this node has the stream.
func is_writing() -> bool:
	return _writer != null


## Returns why no images are written, in words for people. Returns an empty string if all is well.
func get_problem() -> String:
	if _writer != null and _problem.is_empty():
		return _writer.problem
	return _problem


func _on_frame_post_draw() -> void:
	_frames += 1
	if not enabled or _frames % frame_interval != 0 or memory_name.is_empty():
		return
	var viewport := _find_viewport()
	if viewport == null:
		_problem = "viewport_path doesn't lead to a viewport"
	elif _has_stream():
		_problem = ""
		_hand_out(viewport)


func _find_viewport() -> Viewport:
	if not is_inside_tree():
		return null
	if viewport_path.is_empty():
		return get_viewport()
	return get_node_or_null(viewport_path) as Viewport


# Another program may have the name for now, or may have died with it.
func _has_stream() -> bool:
	var now := Time.get_ticks_msec()
	if _writer != null or now < _next_try:
		return _writer != null
	_next_try = now + _TRY_EVERY
	if not ClassDB.class_exists(_STREAM):
		_problem = "the library of the addon is missing on this system"
		return false
	var stream: RefCounted = ClassDB.instantiate(_STREAM)
	var error: Error = stream.create(memory_name, max_size.x * max_size.y * 4, _READERS)
	if error == OK:
		_writer = _Writer.new(stream, max_size)
		return true
	_problem = stream.get_last_error_message()
	if error == ERR_INVALID_PARAMETER:
		# It was printed, and another try would print it again.
		_next_try = 1 << 62
	return false


func _hand_out(viewport: Viewport) -> void:
	var texture := viewport.get_texture().get_rid()
	if _can_read_later(viewport):
		RenderingServer.call_on_render_thread(_Writer.read_later.bind(texture, _writer))
	else:
		var image := viewport.get_texture().get_image()
		if image == null or image.is_empty():
			return
		if viewport.use_hdr_2d and RenderingServer.get_rendering_device() != null:
			# These pixels are linear. Godot 4.3 can't convert them.
			image.convert(Image.FORMAT_RGBA8)
			if image.has_method(&"linear_to_srgb"):
				image.call(&"linear_to_srgb")
		_writer.write(image)


func _can_read_later(viewport: Viewport) -> bool:
	var device := RenderingServer.get_rendering_device()
	return (
		device != null
		and device.has_method(&"texture_get_data_async")
		and not viewport.use_hdr_2d
		and not _writer.is_refused
	)


func _close() -> void:
	if _writer != null:
		_writer.close()
	_writer = null
	_problem = ""
	_next_try = 0
	update_configuration_warnings()


# Has the stream. While pixels are on the way, this lives on, even if the node is gone.
class _Writer:
	extends RefCounted

	const FORMATS: PackedInt32Array = [
		RenderingDevice.DATA_FORMAT_R8G8B8A8_UNORM, RenderingDevice.DATA_FORMAT_R8G8B8A8_SRGB
	]

	var problem := ""
	## Set if the pixels have a format that must be read the slow way.
	var is_refused := false
	var _stream: RefCounted
	var _max_size: Vector2i

	func _init(stream: RefCounted, max_size: Vector2i) -> void:
		_stream = stream
		_max_size = max_size

	## Gives the name back at once.
	func close() -> void:
		_stream = null

	## Writes the image. Only the main thread calls this.
	func write(image: Image) -> void:
		if _stream == null:
			return
		if image.get_format() != Image.FORMAT_RGBA8:
			image.convert(Image.FORMAT_RGBA8)
		var scale := Vector2(_max_size) / Vector2(image.get_size())
		if scale.x < 1.0 or scale.y < 1.0:
			var size := Vector2i(Vector2(image.get_size()) * minf(scale.x, scale.y))
			size = size.clamp(Vector2i.ONE, _max_size)
			image.resize(size.x, size.y, Image.INTERPOLATE_BILINEAR)
		problem = "" if _stream.write(image) == OK else _stream.get_last_error_message()

	## Asks the graphics card for the pixels. Only the thread that draws calls this.
	static func read_later(texture: RID, writer: _Writer) -> void:
		var device := RenderingServer.get_rendering_device()
		var pixels := RenderingServer.texture_get_rd_texture(texture)
		# The viewport may be gone, or may not have been drawn yet.
		if not device.texture_is_valid(pixels):
			return
		var format := device.texture_get_format(pixels)
		if not FORMATS.has(format.format):
			writer.is_refused = true
			return
		# A function with the writer in it keeps the writer, which a method of the writer doesn't.
		var take := func(data: PackedByteArray) -> void: _take(data, format, writer)
		# Called by its name, because Godot 4.3 doesn't have it.
		device.call(&"texture_get_data_async", pixels, 0, take)

	static func _take(data: PackedByteArray, format: RDTextureFormat, writer: _Writer) -> void:
		var size := Vector2i(format.width, format.height)
		if data.size() != size.x * size.y * 4:
			return
		var image := Image.create_from_data(size.x, size.y, false, Image.FORMAT_RGBA8, data)
		if OS.get_thread_caller_id() == OS.get_main_thread_id():
			writer.write(image)
		else:
			writer.write.call_deferred(image)
