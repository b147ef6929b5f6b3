extends "res://test_case.gd"
## SharedMemoryTexture and SharedMemoryViewportSource, also in a release build.
## scenarios/test_texture.py has the rest.

const TEXTURE := "res://addons/shared_memory/shared_memory_texture.gd"
const SOURCE := "res://addons/shared_memory/shared_memory_viewport_source.gd"
const FRAMES := 200


func test_texture_follows_a_stream_of_its_own_process() -> void:
	var texture: ImageTexture = load(TEXTURE).new()
	var came_and_went: Array[bool] = []
	texture.live_changed.connect(func(is_live: bool) -> void: came_and_went.append(is_live))
	texture.keep_last_picture = false
	texture.memory_name = unique_name()
	await _until(func() -> bool: return false, 3)
	assert_false(texture.is_live(), "nothing is there")
	assert_eq(texture.get_picture(), null)
	for size in [Vector2i(3, 2), Vector2i(5, 4)]:
		var stream := SharedMemoryStream.new()
		assert_code(stream.create(texture.memory_name, 1000), OK)
		var image := Image.create_empty(size.x, size.y, false, Image.FORMAT_RGB8)
		image.fill(Color(0.2, 0.4, 0.6))
		assert_code(stream.write(image), OK)
		await _until(texture.is_live)
		assert_eq(texture.get_size(), Vector2(size))
		image.convert(Image.FORMAT_RGBA8)
		assert_eq(texture.get_picture().get_data(), image.get_data())
		assert_eq(texture.get_problem(), "")
		stream.close()
		await _until(func() -> bool: return not texture.is_live())
		assert_eq(texture.get_size(), Vector2.ONE, "the placeholder")
	assert_eq(came_and_went, [true, false, true, false] as Array[bool])


func test_texture_counts_the_pictures_that_it_missed() -> void:
	var texture: ImageTexture = load(TEXTURE).new()
	assert_eq([texture.get_age_usec(), texture.get_sequence()], [-1, 0], "no name")
	assert_eq(texture.get_missed_count(), 0)
	texture.memory_name = unique_name()
	await _until(func() -> bool: return false, 3)
	assert_eq([texture.get_age_usec(), texture.get_sequence()], [-1, 0], "no source")
	var stream := SharedMemoryStream.new()
	assert_code(stream.create(texture.memory_name, 1000), OK)
	var image := Image.create_empty(2, 2, false, Image.FORMAT_RGB8)
	assert_code(stream.write(image), OK)
	await _until(texture.is_live)
	var first: int = texture.get_sequence()
	assert_true(first > 0, "a picture has a number")
	assert_true(texture.get_age_usec() >= 0, "a picture has an age")
	assert_eq(texture.get_missed_count(), 0)
	for count in 3:
		assert_code(stream.write(image), OK)
	await _until(func() -> bool: return texture.get_sequence() != first)
	assert_eq(texture.get_sequence(), first + 3)
	assert_eq(texture.get_missed_count(), 2)


func test_source_without_a_window_makes_nothing() -> void:
	var source: Node = load(SOURCE).new()
	source.memory_name = unique_name()
	Engine.get_main_loop().root.add_child(source)
	await _until(source.is_writing, 10)
	assert_false(source.is_writing())
	assert_false(SharedMemory.exists(source.memory_name))
	assert_eq(source._get_configuration_warnings(), PackedStringArray())
	source.free()


## Waits for a condition, for some frames at most.
func _until(condition: Callable, frames := FRAMES) -> void:
	while frames > 0 and not condition.call():
		await Engine.get_main_loop().process_frame
		frames -= 1
