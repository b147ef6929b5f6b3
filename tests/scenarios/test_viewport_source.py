"""SharedMemoryViewportSource: the pictures of a viewport, read by another Godot.

The renderer opengl3 reads pixels back at once, and vulkan later.
"""

import time

import pytest
from harness.constants import OK
from harness.marks import linux_only
from harness.session import LIVE_AGENT, file_of, wait_until
from test_texture import WAIT
from test_texture_drawn import only_opengl, renderer  # noqa: F401

pytestmark = linux_only
RGBA8 = 5
GREEN = [0, 255, 0, 255]
CORNERS = [[255, 0, 0, 255], GREEN, [0, 0, 255, 255], [200, 100, 50, 255]]

# A viewport with four colours, and a source in it.
MAKE = """
func run(name, size, properties):
	var viewport = SubViewport.new()
	viewport.size = Vector2i(size[0], size[1])
	viewport.render_target_update_mode = SubViewport.UPDATE_ALWAYS
	for corner in 4:
		var rect = ColorRect.new()
		rect.color = [Color.RED, Color.LIME, Color.BLUE, Color8(200, 100, 50)][corner]
		rect.anchor_left = corner % 2 * 0.5
		rect.anchor_top = corner / 2 * 0.5
		rect.anchor_right = rect.anchor_left + 0.5
		rect.anchor_bottom = rect.anchor_top + 0.5
		viewport.add_child(rect)
	var source = load("res://addons/shared_memory/shared_memory_viewport_source.gd").new()
	source.memory_name = name
	for property in properties:
		source.set(property, properties[property])
	viewport.add_child(source)
	Engine.get_main_loop().root.add_child(viewport)
	Engine.set_meta("viewport", viewport)
	Engine.set_meta("source", source)
"""
MAKE_IN_WINDOW = """
func run(name):
	var rect = ColorRect.new()
	rect.color = Color.LIME
	rect.set_anchors_preset(Control.PRESET_FULL_RECT)
	var source = load("res://addons/shared_memory/shared_memory_viewport_source.gd").new()
	source.memory_name = name
	rect.add_child(source)
	Engine.get_main_loop().root.add_child(rect)
	Engine.set_meta("viewport", rect)
	Engine.set_meta("source", source)
"""
STATE = """
func run():
	for frame in 3:
		await RenderingServer.frame_post_draw
	var source = Engine.get_meta("source")
	return [source.is_writing(), source.get_problem()]
"""
SET = """
func run(key, property, value):
	if value is Array:
		value = Vector2i(value[0], value[1])
	Engine.get_meta(key).set(property, value)
"""
FREE = """
func run():
	if Engine.has_meta("viewport"):
		Engine.get_meta("viewport").free()
	for key in Engine.get_meta_list():
		Engine.remove_meta(key)
"""
OPEN = """
func run(name):
	var stream = SharedMemoryStream.new()
	Engine.set_meta("stream", stream)
	return stream.open(name)
"""
# The size, the format, and the colours of the four quarters of the newest picture.
READ = """
func run():
	var image = Engine.get_meta("stream").read()
	if not image is Image:
		return [Engine.get_meta("stream").get_last_error()]
	var colors = []
	for corner in 4:
		var x = image.get_width() * (1 + corner % 2 * 2) / 4
		var y = image.get_height() * (1 + corner / 2 * 2) / 4
		var color = image.get_pixel(x, y)
		colors.append([color.r8, color.g8, color.b8, color.a8])
	return [[image.get_width(), image.get_height()], image.get_format(), colors]
"""
COUNT = "func run(): return Engine.get_meta('stream').get_sequence()"


@pytest.fixture
def window(start_window, renderer, name, cleanup):  # noqa: F811
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    window = start_window(renderer)
    yield window
    if not window.is_over:
        window.run(FREE)


@pytest.fixture
def reader(agent, name):
    assert agent.run(OPEN, name) == OK
    yield agent
    agent.run(FREE)


def arrives(reader, expected):
    """Waits for a picture of this size and format, with these colours, as exact as 8 bits are."""
    size, format, colors = expected
    until = time.monotonic() + 20
    while True:
        found = reader.run(READ)
        if found[:2] == [size, format]:
            pairs = zip(sum(found[2], []), sum(colors, []))
            if all(abs(a - b) <= 3 for a, b in pairs):
                return
        assert time.monotonic() < until, found


def test_pictures_arrive_upright_and_in_their_colours(window, reader, name):
    window.run(MAKE, name, [64, 32], {})
    arrives(reader, [[64, 32], RGBA8, CORNERS])
    assert window.run(STATE) == [True, ""]
    before = reader.run(COUNT)
    # Pictures keep coming, also in another size.
    wait_until(lambda: [reader.run(READ), reader.run(COUNT) > before + 5][1])
    window.run(SET, "viewport", "size", [30, 50])
    arrives(reader, [[30, 50], RGBA8, CORNERS])


@only_opengl
def test_larger_picture_is_scaled_down(window, reader, name):
    window.run(MAKE, name, [200, 100], {})
    window.run(SET, "source", "max_size", [100, 100])
    arrives(reader, [[100, 50], RGBA8, CORNERS])
    window.run(SET, "source", "max_size", [400, 20])
    arrives(reader, [[40, 20], RGBA8, CORNERS])
    window.run(SET, "source", "max_size", [400, 400])
    arrives(reader, [[200, 100], RGBA8, CORNERS])


def test_window_is_handed_out(window, reader, name):
    window.run(MAKE_IN_WINDOW, name)
    wait_until(lambda: reader.run(READ)[1:] == [RGBA8, [GREEN] * 4], 20)


READS_LATER = """
func run():
	var source = Engine.get_meta("source")
	return source._can_read_later(source.get_viewport())
"""


def test_vulkan_reads_later_and_opengl_at_once(window, reader, renderer, name):  # noqa: F811
    window.run(MAKE, name, [8, 8], {})
    arrives(reader, [[8, 8], RGBA8, CORNERS])
    assert window.run(READS_LATER) is (renderer == "vulkan")
    # The pixels of this kind have other formats.
    window.run(SET, "viewport", "use_hdr_2d", True)
    before = reader.run(COUNT)
    wait_until(lambda: reader.run(READ) and reader.run(COUNT) > before + 8)
    assert window.run(READS_LATER) is False
    assert window.run(STATE) == [True, ""]
    arrives(reader, [[8, 8], RGBA8, CORNERS])


@only_opengl
def test_interval_and_switch_hold_pictures_back(window, reader, name):
    window.run(MAKE, name, [8, 8], {"frame_interval": 10})
    arrives(reader, [[8, 8], RGBA8, CORNERS])
    count = """
func run():
	var stream = ClassDB.instantiate("SharedMemoryStream")
	stream.open(Engine.get_meta("source").memory_name)
	stream.read()
	var before = stream.get_sequence()
	for frame in 100:
		await RenderingServer.frame_post_draw
	stream.read()
	return stream.get_sequence() - before
"""
    assert 9 <= window.run(count) <= 11
    window.run(SET, "source", "enabled", False)
    window.run(STATE)
    assert window.run(count) == 0
    window.run(SET, "source", "enabled", True)
    window.run(SET, "source", "frame_interval", 0)
    assert 95 <= window.run(count) <= 101


@only_opengl
def test_source_is_killed_and_comes_back(start_window, reader, renderer, name, cleanup):  # noqa: F811
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    for number in range(1, 3):
        window = start_window(renderer)
        window.run(MAKE, name, [8 * number, 8], {})
        arrives(reader, [[8 * number, 8], RGBA8, CORNERS])
        window.kill()
    window = start_window(renderer)
    window.run(MAKE, name, [8, 16], {})
    arrives(reader, [[8, 16], RGBA8, CORNERS])
    window.run(FREE)
    wait_until(lambda: not file_of(name).exists(), 5)


@only_opengl
def test_name_of_another_program_is_waited_for(window, start_agent, name):
    other = start_agent().memory()
    assert other.create(name, 64) == OK
    window.run(MAKE, name, [8, 8], {})
    is_writing, problem = window.run(STATE)
    assert not is_writing and name in problem
    other.close()
    wait_until(lambda: window.run(STATE) == [True, ""], 5)


@only_opengl
def test_mistakes_are_told(window, name):
    window.run(MAKE, name, [8, 8], {})
    window.run(STATE)
    path = "func run(text): Engine.get_meta('source').viewport_path = NodePath(text)"
    warnings = (
        "func run(): return Engine.get_meta('source')._get_configuration_warnings()"
    )
    assert window.run(warnings) == []
    for wrong in ("../nothing", ".."):
        window.run(path, wrong)
        expected = wrong == ".."
        assert (window.run(STATE)[1] == "") is expected
        assert (window.run(warnings) == []) is expected
    window.run(path, "")
    window.run(SET, "source", "max_size", [4, 4])
    assert "8 x 8" in window.run(warnings)[0]
    window.run(SET, "source", "max_size", [8, 8])
    window.expect_error("contains '/'")
    wait = SET + "\tfor frame in 3:\n\t\tawait RenderingServer.frame_post_draw\n"
    window.run(wait, "source", "memory_name", "a/b")
    # No second time.
    window.run(WAIT, 0.7)
    is_writing, problem = window.run(STATE)
    assert not is_writing and "contains '/'" in problem
    window.run(SET, "source", "memory_name", "")
    assert window.run(STATE)[0] is False
    assert "memory_name" in window.run(warnings)[0]
    window.run(SET, "source", "memory_name", name)
    wait_until(lambda: window.run(STATE) == [True, ""], 5)


# Frees the node, or only its viewport, in any frame after it has asked for pixels.
FREE_SOON = """
func run(frames, file):
	for frame in frames:
		await RenderingServer.frame_post_draw
	Engine.get_meta("viewport").free()
	Engine.remove_meta("viewport")
	Engine.remove_meta("source")
	var has_name = FileAccess.file_exists(file)
	for frame in 6:
		await RenderingServer.frame_post_draw
	return [has_name, RenderingServer.frame_post_draw.get_connections().size()]
"""


def test_node_may_go_while_pixels_are_on_the_way(window, reader, name):
    for frames in (0, 1, 2, 3, 5) * 2:
        window.run(MAKE, name, [64, 64], {})
        assert window.run(FREE_SOON, frames, str(file_of(name))) == [False, 0]
    window.run(MAKE, name, [8, 8], {})
    arrives(reader, [[8, 8], RGBA8, CORNERS])


def test_nothing_happens_without_a_window(start_agent, name):
    bare = start_agent(script=LIVE_AGENT)
    bare.run(MAKE, name, [8, 8], {})
    bare.run(WAIT, 0.3)
    assert not file_of(name).exists()
    bare.run(FREE)
