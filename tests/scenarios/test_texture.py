"""SharedMemoryTexture: the pictures of other programs, as a Godot without a window has them.

The sources are the header for C, another Godot, and bytes that mean nothing. test_texture_drawn.py has the
pixels that are drawn. SHM_TEST_ROUNDS sets how often the memory is spoiled.
"""

import os
import random
import re
import shutil
import time

import pytest
from harness import projects
from harness.constants import OK
from harness.effort import rounds
from harness.marks import linux_only, same_for_every_user
from harness.session import LIVE_AGENT, PROJECT, REPOSITORY, file_of, wait_until
from test_c_partner import program, start_partner  # noqa: F401

pytestmark = [
    same_for_every_user,
    linux_only,
    pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler"),
]
ROUNDS = rounds(30)
SIZE = 1 << 20
# The formats of Godot, and those that the native format adds.
L8, LA8, RGB8, RGBA8, RF, BGR8, BGRA8 = 0, 1, 4, 5, 8, 256, 257
BLACK = [[1, 1], RGB8, b""]

# Makes a texture, and writes down when its source comes and goes.
MAKE = """
func run(name, properties):
	var texture = load("res://addons/shared_memory/shared_memory_texture.gd").new()
	var log = []
	texture.live_changed.connect(func(is_live): log.append(is_live))
	texture.memory_name = name
	for property in properties:
		texture.set(property, properties[property])
	Engine.set_meta("texture", texture)
	Engine.set_meta("log", log)
"""
SET = "func run(property, value): Engine.get_meta('texture').set(property, value)"
SET_AND_WAIT = """
func run(property, value):
	Engine.get_meta("texture").set(property, value)
	for frame in 3:
		await Engine.get_main_loop().process_frame
"""
WAIT = "func run(time): await Engine.get_main_loop().create_timer(time).timeout"
PLACE = """
func run(rows):
	var image = Image.create_from_data(1, rows.size() / 3, false, Image.FORMAT_RGB8, rows)
	Engine.get_meta("texture").placeholder = ImageTexture.create_from_image(image)
"""
# Its size and format; the pixels, unless they are those of the placeholder, or too many to show.
PICTURE = """
func run():
	for frame in 3:
		await Engine.get_main_loop().process_frame
	var texture = Engine.get_meta("texture")
	var picture = texture.get_picture()
	var has_pixels = picture != null and picture.get_data_size() <= 4096
	var pixels = picture.get_data() if has_pixels else PackedByteArray()
	return [[texture.get_width(), texture.get_height()], texture.get_format(), pixels]
"""
COLOR = "func run(): return Engine.get_meta('texture').get_picture().get_pixel(0, 0).h"
IS_LIVE = "func run(): return Engine.get_meta('texture').is_live()"
LOG = "func run(): return Engine.get_meta('log')"
PROBLEM = "func run(): return Engine.get_meta('texture').get_problem()"
FORGET = """
func run():
	for key in Engine.get_meta_list():
		Engine.remove_meta(key)
"""
# Another Godot as the source.
CREATE = """
func run(name, size, readers):
	var stream = SharedMemoryStream.new()
	Engine.set_meta("stream", stream)
	return stream.create(name, size, readers)
"""
WRITE = """
func run(width, height, color):
	var image = Image.create_empty(width, height, false, Image.FORMAT_RGBA8)
	image.fill(Color8(color[0], color[1], color[2], color[3]))
	return Engine.get_meta("stream").write(image)
"""


@pytest.fixture
def viewer(start_agent):
    """Returns a Godot whose frames go on."""
    viewer = start_agent(script=LIVE_AGENT)
    yield viewer
    if not viewer.is_over:
        viewer.run(FORGET)


@pytest.fixture
def start_source(start_partner):  # noqa: F811
    """Starts a C program that makes a stream."""

    def start(name, size=SIZE, limit=4096):
        source = start_partner()
        assert source.ask(f"create {name} {size} local") == "ok"
        assert source.ask(f"stream {limit} 2") == "ok"
        return source

    return start


@pytest.fixture
def source(start_source, name, cleanup):
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    return start_source(name)


def write(source, width, height, sent, content):
    answer = source.ask(f"write image:{width}x{height}:{sent} {content.hex()}")
    assert answer.startswith("ok"), answer


def shows(viewer, expected):
    """Waits until the texture has this size, format and content."""
    until = time.monotonic() + 10
    while (found := viewer.run(PICTURE)) != expected:
        assert time.monotonic() < until, (found, viewer.run(PROBLEM))


def comes(viewer, is_there):
    """Waits until the source is there, or has gone."""
    wait_until(lambda: viewer.run(IS_LIVE) is is_there, 10)


def test_texture_shows_each_format(viewer, source, name):
    viewer.run(MAKE, name, {})
    assert viewer.run(PICTURE) == BLACK
    # Sent as, sent bytes, shown as, shown bytes: two pixels, the left one is red where there is colour.
    sent = [
        (RGBA8, "ff000080 0a141e28", RGBA8, "ff000080 0a141e28"),
        (RGB8, "ff0000 0a141e", RGBA8, "ff0000ff 0a141eff"),
        (BGR8, "0000ff 1e140a", RGBA8, "ff0000ff 0a141eff"),
        (BGRA8, "0000ff80 1e140a28", RGBA8, "ff000080 0a141e28"),
        (L8, "4d 10", L8, "4d 10"),
        (LA8, "4d80 1020", RGBA8, "4d4d4d80 10101020"),
        (RF, "0000803f 00000000", RF, "0000803f 00000000"),
    ]
    for sent_as, content, shown_as, shown in sent * 2:
        write(source, 2, 1, sent_as, bytes.fromhex(content))
        shows(viewer, [[2, 1], shown_as, bytes.fromhex(shown)])
    assert viewer.run(LOG) == [True]
    assert viewer.run(PROBLEM) == ""


def test_texture_follows_kill_restart_and_other_size(
    viewer, source, start_source, name
):
    viewer.run(MAKE, name, {})
    write(source, 2, 2, RGBA8, bytes(range(16)))
    shows(viewer, [[2, 2], RGBA8, bytes(range(16))])
    assert viewer.run(LOG) == [True]
    source.kill()
    comes(viewer, False)
    assert viewer.run(LOG) == [True, False]
    assert viewer.run(PROBLEM) == "nothing writes to the stream"
    # The last picture stays.
    assert viewer.run(PICTURE) == [[2, 2], RGBA8, bytes(range(16))]
    for number in range(1, 4):
        # Other sizes of the memory, too.
        source = start_source(name, SIZE * number, 4096 * number)
        pixels = bytes(range(number, number + 4 * number))
        write(source, 1, number, RGBA8, pixels)
        shows(viewer, [[1, number], RGBA8, pixels])
        comes(viewer, True)
        source.kill()
        comes(viewer, False)
    assert viewer.run(LOG) == [True, False] * 4
    # Another name has nothing to do with that picture.
    viewer.run(SET, "memory_name", name + "-2")
    assert viewer.run(PICTURE) == BLACK


def test_placeholder_stands_in_for_a_source(viewer, source, name):
    viewer.run(MAKE, name, {"keep_last_picture": False})
    rows = bytes([1, 2, 3, 4, 5, 6])
    viewer.run(PLACE, rows)
    placeholder = [[1, 2], RGB8, b""]
    assert viewer.run(PICTURE) == placeholder
    write(source, 1, 1, RGBA8, bytes(4))
    shows(viewer, [[1, 1], RGBA8, bytes(4)])
    # A placeholder that changes now is for later.
    rows = bytes(range(9))
    viewer.run(PLACE, rows)
    assert viewer.run(PICTURE) == [[1, 1], RGBA8, bytes(4)]
    source.kill()
    shows(viewer, [[1, 3], RGB8, b""])
    assert viewer.run(LOG) == [True, False]
    viewer.run(SET, "placeholder", None)
    assert viewer.run(PICTURE) == BLACK
    viewer.expect_error("placeholder must be another texture")
    itself = "func run(): Engine.get_meta('texture').placeholder = Engine.get_meta('texture')"
    viewer.run(itself)


def test_dead_writers_picture_is_not_shown_as_live(viewer, source, start_agent, name):
    write(source, 1, 1, RGBA8, b"\1\2\3\4")
    # Another reader keeps the memory in use.
    other = start_agent()
    open_it = """
func run(name):
	var stream = SharedMemoryStream.new()
	Engine.set_meta("stream", stream)
	stream.open(name)
	return stream.read() != null
"""
    assert other.run(open_it, name) is True
    source.kill()
    viewer.run(MAKE, name, {"keep_last_picture": False})
    assert viewer.run(PICTURE) == BLACK
    viewer.run(SET, "keep_last_picture", True)
    shows(viewer, [[1, 1], RGBA8, b"\1\2\3\4"])
    assert viewer.run(LOG) == []
    other.run(FORGET)


def test_other_messages_are_not_shown(viewer, source, name):
    viewer.run(MAKE, name, {})
    for kind, content in (
        ("text", b"a text"),
        ("array:1:0:3", bytes(12)),
        ("value", bytes.fromhex("0200000007000000")),
        ("bytes", b""),
    ):
        command = f"write {kind} {content.hex() or '-'}"
        assert source.ask(command).startswith("ok"), kind
        assert viewer.run(PICTURE) == BLACK, kind
        assert viewer.run(IS_LIVE) is False
        assert viewer.run(PROBLEM) != ""
    write(source, 1, 1, L8, b"\7")
    shows(viewer, [[1, 1], L8, b"\7"])
    assert source.ask("write text 61").startswith("ok")
    assert viewer.run(PICTURE) == [[1, 1], L8, b"\7"]
    assert viewer.run(IS_LIVE) is True, "the source is still there"
    assert viewer.run(PROBLEM) == "the newest message is not an image"


def test_picture_too_large_for_a_texture_is_not_shown(
    viewer, start_source, name, cleanup
):
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    source = start_source(name, limit=20000)
    viewer.run(MAKE, name, {})
    for kind in ("20000x1", "1x20000"):
        assert source.ask(f"write image:{kind}:0 fill:1:20000").startswith("ok")
        assert viewer.run(PICTURE) == BLACK
        assert "can't be shown" in viewer.run(PROBLEM)
    assert source.ask("write image:16384x1:0 fill:1:16384").startswith("ok")
    wait_until(lambda: viewer.run(PICTURE)[0] == [16384, 1], 10)


def test_bad_name_is_told_once(viewer, name):
    viewer.run(MAKE, name, {})
    viewer.expect_error("contains '/'")
    viewer.run(SET_AND_WAIT, "memory_name", "a/b")
    # No second time.
    viewer.run(WAIT, 0.3)
    assert viewer.run(PICTURE) == BLACK
    assert "contains '/'" in viewer.run(PROBLEM)
    viewer.run(SET, "memory_name", "")
    assert viewer.run(PROBLEM) == "memory_name is empty"


# PROPERTY_USAGE_EDITOR, _READ_ONLY and _STORAGE.
EDITOR, READ_ONLY, STORAGE = 1 << 2, 1 << 28, 1 << 1
PROPERTY = """
func run():
	var texture = Engine.get_meta("texture")
	texture.problem = "another"
	for property in texture.get_property_list():
		if property.name == "problem":
			return [property.usage, texture.problem]
"""


def test_inspector_has_the_problem(viewer, source, name):
    viewer.run(MAKE, name, {})
    usage, problem = viewer.run(PROPERTY)
    assert usage & (EDITOR | READ_ONLY | STORAGE) == EDITOR | READ_ONLY
    assert source.ask("write bytes 61").startswith("ok")
    wait_until(lambda: "not an image" in viewer.run(PROPERTY)[1], 10)
    write(source, 1, 1, L8, b"\7")
    wait_until(lambda: viewer.run(PROPERTY)[1] == "", 10)
    viewer.run(SET, "memory_name", "")
    assert viewer.run(PROPERTY)[1] == "memory_name is empty"


# Counts the calls of a texture on its stream, between the two.
COUNT = """
class Counter:
	extends RefCounted
	var stream
	var reads = []
	var looks = 0
	func is_attached():
		return stream.is_attached()
	func has_new_data():
		looks += 1
		return stream.has_new_data()
	func get_message_shape():
		return stream.get_message_shape()
	func read_image(image, format):
		reads.append(Engine.get_process_frames())
		return stream.read_image(image, format)
	func get_writer_state():
		return stream.get_writer_state()
	func get_last_error_message():
		return stream.get_last_error_message()

func run():
	var texture = Engine.get_meta("texture")
	var counter = Counter.new()
	counter.stream = texture._stream
	texture._stream = counter
	Engine.set_meta("counter", counter)
	var box = HBoxContainer.new()
	for number in 3:
		var rect = TextureRect.new()
		rect.texture = texture
		box.add_child(rect)
	Engine.get_main_loop().root.add_child(box)
	Engine.set_meta("box", box)
"""
COUNTED = """
func run():
	var counter = Engine.get_meta("counter")
	var looks = counter.looks
	var frames = Engine.get_process_frames()
	for frame in 20:
		await Engine.get_main_loop().process_frame
	looks = counter.looks - looks
	return [counter.reads, looks, Engine.get_process_frames() - frames]
"""


def test_several_nodes_read_once(viewer, source, name):
    viewer.run(MAKE, name, {})
    write(source, 1, 1, L8, b"\1")
    comes(viewer, True)
    viewer.run(COUNT)
    for value in range(2, 12):
        write(source, 1, 1, L8, bytes([value]))
        shows(viewer, [[1, 1], L8, bytes([value])])
    reads, looks, frames = viewer.run(COUNTED)
    assert len(reads) == 10, "one for each picture, none for each node"
    assert len(set(reads)) == 10, "one per frame"
    assert looks <= frames + 1, "one look per frame while nothing is new"
    # Many pictures in a frame cost no more.
    assert source.ask("produce 2000 1 2000 1000").startswith("ok")
    reads, _, _ = viewer.run(COUNTED)
    assert len(set(reads)) == len(reads)
    viewer.run("func run(): Engine.get_meta('box').free()")


EXAMPLE = re.compile(r"## Images without code\n.*?```gdscript\n(.*?)```", re.DOTALL)
RUN_EXAMPLE = """
func run(source):
	var script = GDScript.new()
	script.source_code = source
	script.reload()
	var node = script.new()
	Engine.get_main_loop().root.add_child(node)
	Engine.set_meta("node", node)
"""


def test_example_of_the_readme_is_a_source(viewer, start_agent, name):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    source = EXAMPLE.search(text)[1].replace('"game_camera"', f'"{name}"')
    game = start_agent(script=LIVE_AGENT)
    game.run(RUN_EXAMPLE, source)
    viewer.run(MAKE, name, {})
    comes(viewer, True)
    assert viewer.run(PICTURE)[:2] == [[64, 64], RGBA8]
    first = viewer.run(COLOR)
    wait_until(lambda: viewer.run(COLOR) != first, 10)
    game.run("func run(): Engine.get_meta('node').free()")
    game.run(FORGET)


# --- Scenes ------------------------------------------------------------------------------------------

SAVE = """
func run(folder):
	var texture = Engine.get_meta("texture")
	var root = TextureRect.new()
	root.texture = texture
	var scene = PackedScene.new()
	var result = [scene.pack(root)]
	for path in ["scene.tscn", "scene.scn"]:
		result.append(ResourceSaver.save(scene, folder.path_join(path)))
	for path in ["texture.tres", "texture.res"]:
		result.append(ResourceSaver.save(texture, folder.path_join(path)))
	root.free()
	return result
"""
# In another thread, as a loading screen does.
LOAD = """
func run(path):
	ResourceLoader.load_threaded_request(path, "", false, ResourceLoader.CACHE_MODE_IGNORE)
	while ResourceLoader.load_threaded_get_status(path) == ResourceLoader.THREAD_LOAD_IN_PROGRESS:
		await Engine.get_main_loop().process_frame
	var loaded = ResourceLoader.load_threaded_get(path)
	if loaded is PackedScene:
		var root = loaded.instantiate()
		Engine.set_meta("texture", root.texture)
		root.free()
	else:
		Engine.set_meta("texture", loaded)
"""
DUPLICATE = """
func run():
	var texture = Engine.get_meta("texture").duplicate()
	Engine.set_meta("texture", texture)
	return [texture.memory_name, texture.keep_last_picture]
"""


def test_saved_scene_has_no_pixels(viewer, start_source, name, tmp_path, cleanup):
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    source = start_source(name, limit=640 * 480 * 4, size=8 << 20)
    viewer.run(MAKE, name, {"keep_last_picture": False})
    assert source.ask("write image:640x480:5 fill:1:1228800").startswith("ok")
    wait_until(lambda: viewer.run(PICTURE)[0] == [640, 480], 10)
    assert viewer.run(SAVE, str(tmp_path)) == [OK] * 5
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert len(sizes) == 4
    assert max(sizes.values()) < 1500, sizes
    text = (tmp_path / "scene.tscn").read_text()
    assert "Image" not in text.replace("ImageTexture", ""), text
    assert "problem" not in text, text
    assert "problem" not in (tmp_path / "texture.tres").read_text()
    for file in sizes:
        viewer.run(FORGET)
        viewer.run(LOAD, str(tmp_path / file))
        wait_until(lambda: viewer.run(PICTURE)[0] == [640, 480], 10)
        comes(viewer, True)
        assert viewer.run(DUPLICATE) == [name, False]
        wait_until(lambda: viewer.run(PICTURE)[0] == [640, 480], 10)
        get = "func run(property): return Engine.get_meta('texture').get(property)"
        assert viewer.run(get, "memory_name") == name


# The part of test_case.gd that agents need. The rest names the classes of the library.
ONLY_MARK = """extends RefCounted
static func mark(event, values := {}):
	printerr("##test## ", JSON.stringify({"event": event}.merged(values)))
"""


def test_scene_loads_without_a_library(viewer, session, start_agent, name, tmp_path):
    viewer.run(MAKE, name, {})
    viewer.run(PLACE, bytes(range(6)))
    assert viewer.run(SAVE, str(tmp_path)) == [OK] * 5
    folder = projects.make(session, "readme", addon=None)
    addon = folder / "addons/shared_memory"
    shutil.copytree(projects.ADDON, addon)
    shutil.rmtree(addon / "bin")
    (addon / "shared_memory.gdextension").unlink()
    shutil.copytree(PROJECT / "harness", folder / "harness")
    (folder / "test_case.gd").write_text(ONLY_MARK, encoding="utf-8")
    command = [session.godot, "--headless", "--path", folder]
    bare = start_agent(command=command, script=LIVE_AGENT)
    has_class = "func run(): return ClassDB.class_exists('SharedMemoryStream')"
    assert bare.run(has_class) is False
    for path in tmp_path.iterdir():
        bare.run(LOAD, str(path))
        assert bare.run(PICTURE) == [[1, 2], RGB8, b""]
        assert bare.run(IS_LIVE) is False
        assert "library" in bare.run(PROBLEM)
    bare.run(FORGET)


# --- Lifetimes ---------------------------------------------------------------------------------------

CONNECTIONS = """
func run():
	for frame in 3:
		await Engine.get_main_loop().process_frame
	return [
		RenderingServer.frame_pre_draw.get_connections().size(),
		Engine.get_main_loop().process_frame.get_connections().size(),
	]
"""
# The handler of the signal drops the last reference.
MAKE_SHORT = """
func run(name):
	var texture = load("res://addons/shared_memory/shared_memory_texture.gd").new()
	texture.memory_name = name
	texture.live_changed.connect(func(_is_live): Engine.remove_meta("texture"))
	Engine.set_meta("texture", texture)
"""
HAS_TEXTURE = "func run(): return Engine.has_meta('texture')"


def mappings_of(agent, name):
    with open(f"/proc/{agent.pid}/maps", encoding="utf-8") as maps:
        return [line for line in maps if f"/dev/shm/{name}" in line]


def test_nothing_is_left_of_a_texture(viewer, source, name, tmp_path):
    before = viewer.run(CONNECTIONS)
    write(source, 1, 1, L8, b"\1")
    for _ in range(5):
        viewer.run(MAKE, name, {})
        comes(viewer, True)
        assert viewer.run(CONNECTIONS) == [count + 1 for count in before]
        assert len(mappings_of(viewer, name)) == 1
        viewer.run(FORGET)
        assert viewer.run(CONNECTIONS) == before
        assert mappings_of(viewer, name) == []
    for _ in range(5):
        viewer.run(MAKE_SHORT, name)
        wait_until(lambda: viewer.run(HAS_TEXTURE) is False, 10)
        assert viewer.run(CONNECTIONS) == before
    # Loaded in a thread, and gone at once.
    viewer.run(MAKE, name, {})
    assert viewer.run(SAVE, str(tmp_path)) == [OK] * 5
    viewer.run(FORGET)
    for _ in range(20):
        viewer.run(LOAD, str(tmp_path / "texture.tres"))
        viewer.run(FORGET)
    assert viewer.run(CONNECTIONS) == before
    assert mappings_of(viewer, name) == []


# --- Hostile sources -----------------------------------------------------------------------------------


def test_random_bytes_in_the_stream_do_no_harm(
    viewer, start_source, name, cleanup, note
):
    seed = random.randrange(1 << 32)
    note(f"seed {seed}")
    dice = random.Random(seed)
    path = file_of(name)
    cleanup.callback(path.unlink, missing_ok=True)
    viewer.run(MAKE, name, {})
    for number in range(ROUNDS):
        source = start_source(name, limit=4096)
        write(source, 2, 2, RGBA8, bytes(16))
        with path.open("r+b") as memory:
            for _ in range(20):
                # Mostly the header and the heads of messages.
                memory.seek(
                    dice.choice([0, 64, 128, 4096, 8192]) + dice.randrange(1024)
                )
                memory.write(dice.randbytes(dice.choice([1, 2, 4, 8, 64])))
                memory.flush()
                source.ask(f"write image:2x2:5 fill:{number}:16")
            viewer.run(PICTURE)
            if dice.random() < 0.3:
                os.truncate(path, dice.randrange(SIZE))
                viewer.run(PICTURE)
        source.kill()
        path.unlink(missing_ok=True)
    source = start_source(name)
    write(source, 2, 2, RGBA8, bytes(range(16)))
    shows(viewer, [[2, 2], RGBA8, bytes(range(16))])
    comes(viewer, True)


def test_any_file_under_the_name_is_no_source(viewer, make_foreign, name):
    viewer.run(MAKE, name, {})
    for content in (b"", bytes(4096), os.urandom(65536)):
        path = make_foreign(name, content)
        assert viewer.run(PICTURE) == BLACK
        assert viewer.run(IS_LIVE) is False
        assert path.read_bytes() == content
    assert viewer.run(LOG) == []


def test_source_may_be_another_godot(viewer, start_agent, name):
    viewer.run(MAKE, name, {})
    for color in ([255, 0, 0, 255], [1, 2, 3, 4]):
        other = start_agent()
        assert other.run(CREATE, name, 4096, 2) == OK
        assert other.run(WRITE, 2, 1, color) == OK
        shows(viewer, [[2, 1], RGBA8, bytes(color) * 2])
        comes(viewer, True)
        other.run(FORGET)
        # An orderly end, which removes the name.
        assert not file_of(name).exists()
        comes(viewer, False)
    assert viewer.run(LOG) == [True, False] * 2


# --- The editor ----------------------------------------------------------------------------------------

# Writes pictures that move, in the thread that the test doesn't wait for.
WRITE_ON = """
func run(name):
	var stream = SharedMemoryStream.new()
	var thread = Thread.new()
	var state = {"is_over": false}
	Engine.set_meta("thread", thread)
	Engine.set_meta("state", state)
	var work = func():
		var image = Image.create_empty(64, 48, false, Image.FORMAT_RGBA8)
		var number = 0
		while not state.is_over:
			number += 1
			image.fill(Color8(0, number % 256, 0))
			stream.write(image)
			OS.delay_msec(10)
	var code = stream.create(name, 64 * 48 * 4)
	thread.start(work)
	return code
"""
STOP_WRITING = """
func run():
	Engine.get_meta("state").is_over = true
	Engine.get_meta("thread").wait_to_finish()
	for key in ["thread", "state"]:
		Engine.remove_meta(key)
"""


@pytest.mark.timeout(200)
def test_editor_previews_a_scene(session, agent, name, cleanup):
    assert agent.run(WRITE_ON, name) == OK
    cleanup.callback(agent.run, STOP_WRITING)
    folder = projects.make(session, "preview")
    scene = folder / "scene.tscn"
    scene.write_text(scene.read_text().replace("NAME", name))
    projects.open_in_editor(session, folder)
    environment = {**session.environment(), "PREVIEW_NAME": name}
    lines = projects.godot(session, "--editor", "--path", folder, env=environment)
    told = "\n".join(lines)
    assert "the editor ends: all is well" in told, told
    assert [line for line in lines if line.startswith("problem: ")] == []
