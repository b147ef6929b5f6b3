"""SharedMemoryTexture and SharedMemoryViewportSource with a window: the pixels that are drawn and read."""

import time

import pytest
from harness.constants import OK
from harness.marks import linux_only, same_for_every_user
from harness.session import file_of, wait_until
from test_texture import (
    COUNT,
    COUNTED,
    CREATE,
    FORGET,
    IS_LIVE,
    MAKE,
    PICTURE,
    STOP_WRITING,
    WAIT,
    WRITE,
    WRITE_ON,
)

pytestmark = [linux_only, same_for_every_user]
L8, RGB8, RGBA8 = 0, 4, 5
RED, GREEN, GREY = [255, 0, 0], [0, 255, 0], [77, 77, 77]

# Shows the texture in 2D, in the whole window.
SHOW = """
func run():
	var rect = TextureRect.new()
	rect.texture = Engine.get_meta("texture")
	rect.expand_mode = TextureRect.EXPAND_IGNORE_SIZE
	rect.set_anchors_preset(Control.PRESET_FULL_RECT)
	Engine.get_main_loop().root.add_child(rect)
	Engine.set_meta("rect", rect)
"""
# Shows it on a square in 3D, before a camera.
SHOW_3D = """
func run():
	var material = StandardMaterial3D.new()
	material.shading_mode = BaseMaterial3D.SHADING_MODE_UNSHADED
	material.albedo_texture = Engine.get_meta("texture")
	var square = MeshInstance3D.new()
	square.mesh = QuadMesh.new()
	square.mesh.size = Vector2(20, 20)
	square.material_override = material
	square.position.z = -2
	square.add_child(Camera3D.new())
	square.get_child(0).position.z = 2
	Engine.get_main_loop().root.add_child(square)
	Engine.set_meta("rect", square)
"""
# The colours of the window's middle, and of the middle of its left and right half, as they are drawn.
DRAWN = """
func run():
	for frame in 2:
		await RenderingServer.frame_post_draw
	var image = Engine.get_main_loop().root.get_texture().get_image()
	var colors = []
	for part in [0.5, 0.25, 0.75]:
		var color = image.get_pixel(image.get_width() * part, image.get_height() * part)
		colors.append([color.r8, color.g8, color.b8])
	return colors
"""
FREE = """
func run():
	if Engine.has_meta("rect"):
		Engine.get_meta("rect").free()
	for key in Engine.get_meta_list():
		Engine.remove_meta(key)
"""


@pytest.fixture(params=["opengl3", "vulkan"])
def renderer(request):
    return request.param


# Where the renderer makes no difference: Vulkan takes some seconds to start.
only_opengl = pytest.mark.parametrize("renderer", ["opengl3"])


@pytest.fixture
def viewer(start_window, renderer):
    viewer = start_window(renderer)
    yield viewer
    if not viewer.is_over:
        viewer.run(FREE)


@pytest.fixture
def source(start_agent, name, cleanup):
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    source = start_agent()
    yield source
    if not source.is_over:
        source.run(FORGET)


def draws(viewer, expected):
    """Waits until the window has this colour in the middle."""
    until = time.monotonic() + 20
    while not is_close(found := viewer.run(DRAWN)[0], expected):
        assert time.monotonic() < until, (found, expected)


def is_close(color, expected):
    return all(abs(a - b) <= 1 for a, b in zip(color, expected))


WRITE_FORMAT = """
func run(width, height, format, bytes):
	var image = Image.create_from_data(width, height, false, format, bytes)
	return Engine.get_meta("stream").write(image)
"""


@pytest.mark.parametrize("show", [SHOW, SHOW_3D], ids=["in_2d", "in_3d"])
def test_picture_is_drawn(viewer, source, name, show):
    viewer.run(MAKE, name, {"keep_last_picture": False})
    viewer.run(show)
    draws(viewer, [0, 0, 0])
    assert source.run(CREATE, name, 1 << 16, 2) == OK
    # Size, format and pixels change; the same size and format with other pixels.
    for width, height, format, pixel, color in (
        (2, 2, RGBA8, [255, 0, 0, 255], RED),
        (2, 2, RGBA8, [0, 255, 0, 255], GREEN),
        (2, 2, RGBA8, [255, 0, 0, 255], RED),
        (3, 5, RGBA8, [0, 255, 0, 255], GREEN),
        (3, 5, RGB8, [255, 0, 0], RED),
        (3, 5, L8, [77], GREY),
        (3, 5, L8, [255], [255, 255, 255]),
        (1, 1, L8, [77], GREY),
        (1, 1, RGB8, [0, 255, 0], GREEN),
    ):
        pixels = bytes(pixel) * width * height
        assert source.run(WRITE_FORMAT, width, height, format, pixels) == OK
        draws(viewer, color)
    source.kill()
    draws(viewer, [0, 0, 0])


# Draws only when something changes, as the editor does.
SAVE_POWER = "func run(): OS.low_processor_usage_mode = true"
COUNT_DRAWN = """
func run():
	var drawn = Engine.get_frames_drawn()
	var processed = Engine.get_process_frames()
	await Engine.get_main_loop().create_timer(1.0).timeout
	return [Engine.get_frames_drawn() - drawn, Engine.get_process_frames() - processed]
"""


@only_opengl
def test_new_picture_makes_a_saving_program_draw(viewer, source, name):
    viewer.run(SAVE_POWER)
    viewer.run(MAKE, name, {})
    viewer.run(SHOW)
    assert source.run(CREATE, name, 1 << 16, 2) == OK
    for color in (RED, GREEN, RED):
        assert source.run(WRITE, 2, 2, [*color, 255]) == OK
        wait_until(lambda: viewer.run(IS_LIVE))
        viewer.run(WAIT, 0.3)
        now = "func run(): return Engine.get_meta('texture').get_picture().get_pixel(0, 0).g8"
        assert viewer.run(now) == color[1]
        drawn, processed = viewer.run(COUNT_DRAWN)
        assert drawn <= 2 < processed, "nothing new, nothing drawn"


@only_opengl
@pytest.mark.parametrize("saves_power", [False, True])
def test_frame_copies_one_picture_at_most(viewer, source, name, saves_power):
    assert source.run(WRITE_ON, name) == OK
    if saves_power:
        viewer.run(SAVE_POWER)
    viewer.run(MAKE, name, {})
    wait_until(lambda: viewer.run(IS_LIVE))
    # Three nodes use it.
    viewer.run(COUNT)
    for _ in range(5):
        reads, _looks, _frames = viewer.run(COUNTED)
    assert len(set(reads)) == len(reads) > 10
    viewer.run("func run(): Engine.get_meta('box').free()")
    source.run(STOP_WRITING)


WRITE_EACH = """
func run(format):
	return Engine.get_meta("stream").write(Image.create_empty(6, 4, false, format))
"""


def test_no_format_prints_an_error(viewer, source, name):
    viewer.run(MAKE, name, {})
    viewer.run(SHOW)
    assert source.run(CREATE, name, 1 << 16, 2) == OK
    assert source.run(WRITE_EACH, L8) == OK
    # The texture looks for its source every 0.1 seconds.
    wait_until(lambda: viewer.run(PICTURE)[0] == [6, 4], 30)
    # Those without compression, from L8 to RGBE9995, to make the texture and to update it.
    for format in range(17):
        for _ in range(2):
            assert source.run(WRITE_EACH, format) == OK
            viewer.run(DRAWN)
        assert viewer.run(PICTURE)[0] == [6, 4]
