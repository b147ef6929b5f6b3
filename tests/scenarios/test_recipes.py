"""The recipes of docs/RECIPES.md, and those for Python in docs/PARTNERS.md: the code as it stands there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest
from harness import projects
from harness.constants import (
    BACKEND_FILE,
    ERR_ALREADY_EXISTS,
    ERR_DOES_NOT_EXIST,
    OK,
    OWNER_ALIVE,
    OWNER_DEAD,
)
from harness.demos import PACKAGE, Side, needs_package, scene
from harness.marks import linux_only
from harness.session import (
    PROJECT,
    REPOSITORY,
    file_of,
    is_group_alive,
    kill,
    wait_until,
)

pytestmark = linux_only

TIME_LIMIT = 30
# The programs of ./build.sh test-windows.
WINDOWS = REPOSITORY / "target/windows/bin"


def recipe(title, language, number=0, page="RECIPES"):
    """Returns a piece of code of the recipe with that title."""
    text = (REPOSITORY / f"docs/{page}.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^##+ {title}\n(.*?)(?=^##|\Z)", text, re.M | re.S)
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.M | re.S)[number]


def script(*parts):
    """Returns a script that keeps its memory, so that a test can call its functions one by one."""
    return "\n".join(["extends Node", "var memory := SharedMemory.new()", *parts])


# Keeps a node with that script in the agent, and calls a function of it.
CALL = """
func run(source, function, arguments):
	var node = Engine.get_meta("recipe") if Engine.has_meta("recipe") else null
	if node == null:
		var script = GDScript.new()
		script.source_code = source
		if script.reload() != OK:
			return "the recipe does not compile"
		node = script.new()
		Engine.set_meta("recipe", node)
	if function == "free":
		node.free()
		Engine.remove_meta("recipe")
		return null
	return node.callv(function, arguments)
"""


@pytest.fixture
def play(agent, cleanup):
    """Runs functions of a recipe's script in a Godot of its own, which keeps the script's memory."""

    def start(source):
        agent.run(CALL, source, "get_instance_id", [])
        cleanup.callback(agent.run, CALL, source, "free", [])
        return lambda function, *given: agent.run(CALL, source, function, list(given))

    return start


def indented(code):
    return textwrap.indent(code, "\t")


# --- Programs to begin with ----------------------------------------------------------------------------


def project(session, node, code):
    """Makes a project whose only node has that type and this script."""
    folder = projects.make(session, "readme")
    scene = folder / "main.tscn"
    scene.write_text(scene.read_text().replace('type="Node"', f'type="{node}"'))
    (folder / "main.gd").write_text(code, encoding="utf-8")
    projects.list_addon(folder)
    return folder


def start_game(session, folder):
    return Side(session, [session.godot, "--headless", "--path", folder])


CAMERA = "A camera from Python in a game"
# Stands in for OpenCV.
CV2 = """
import time

import numpy


class VideoCapture:
    def __init__(self, number):
        assert number == 0

    def read(self):
        time.sleep(0.02)
        return True, numpy.full((48, 64, 3), (10, 20, 30), numpy.uint8)
"""
SHOWS = """
var was_live := false

func _process(_delta: float) -> void:
	if texture.is_live() == was_live:
		return
	was_live = not was_live
	if was_live:
		var picture: Image = texture.get_picture()
		print("shows ", picture.get_size(), " ", picture.get_pixel(5, 5).to_html(false))
"""


@needs_package
def test_camera_of_python_is_shown(session, name, tmp_path):
    (tmp_path / "cv2.py").write_text(CV2, encoding="utf-8")
    environment = {**session.environment(), "PYTHONPATH": str(tmp_path)}
    source = recipe(CAMERA, "python").replace('"camera"', f'"{name}"')
    script = recipe(CAMERA, "gdscript").replace('"camera"', f'"{name}"') + SHOWS
    folder = project(session, "TextureRect", script)
    projects.open_in_editor(session, folder)
    game = start_game(session, folder)
    camera = Side(session, [PACKAGE, "-c", source], env=environment)
    # Red, green, blue.
    assert game.read_until("shows ") == "(64, 48) 1e140a"
    camera.end(signal.SIGKILL)
    camera = Side(session, [PACKAGE, "-c", source], env=environment)
    assert game.read_until("shows ") == "(64, 48) 1e140a"
    camera.end(signal.SIGINT)
    assert not file_of(name).exists()
    game.end(signal.SIGKILL)
    assert projects.errors_in(game.lines) == []


NOTEBOOK = "A game that a notebook controls"


@needs_package
def test_notebook_controls_a_game(session, name, cleanup):
    script = recipe(NOTEBOOK, "gdscript").replace('"player"', f'"{name}"')
    folder = project(session, "Node2D", script)
    cell = recipe(NOTEBOOK, "python").replace('"player"', f'"{name}"')
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    # The prompt shows the result of each line.
    notebook = Side(
        session, [PACKAGE, "-i", "-u", "-c", "import sys; sys.ps1 = sys.ps2 = ''"]
    )
    game = start_game(session, folder)
    for line in cell.splitlines():
        notebook.type(line)
    at = "{'position': Vector2(x="
    assert notebook.read_until(at).startswith("10.0, y=0.0), 'frame': ")
    notebook.type("move(0, 5)")
    assert notebook.read_until(at).startswith("10.0, y=5.0), 'frame': ")
    notebook.type(f'gsm.Peer("{name}")')
    notebook.read_until("godot_shared_memory._errors.InUseError")
    game.end(signal.SIGKILL)
    game = start_game(session, folder)
    notebook.type("move(1, 1)")
    notebook.read_until("godot_shared_memory._errors.ConnectionError")
    notebook.type("move(1, 1)")
    assert notebook.read_until(at).startswith("1.0, y=1.0), 'frame': ")
    notebook.type(f'game.close(); game = gsm.Peer("{name}"); move(1, 1)')
    assert notebook.read_until(at).startswith("2.0, y=2.0), 'frame': ")
    notebook.type("exit()")
    assert notebook.wait() == 0
    game.end(signal.SIGKILL)
    assert projects.errors_in(game.lines) == []


TELEMETRY = "Telemetry of a program in C"


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_program_in_c_has_telemetry(session, cleanup, tmp_path):
    cleanup.callback(file_of("SharedMemoryTelemetry").unlink, missing_ok=True)
    (tmp_path / "telemetry.c").write_text(recipe(TELEMETRY, "c"), encoding="utf-8")
    built = tmp_path / "telemetry"
    flags = ["-Wall", "-Wextra", "-I", REPOSITORY / "partners/c"]
    command = ["cc", *flags, tmp_path / "telemetry.c", "-o", built]
    assert session.run(command, 60) == (0, [])
    script = recipe(TELEMETRY, "gdscript").replace("text = str", "print")
    game = start_game(session, project(session, "Label", script))
    for _ in range(2):
        demo = Side(session, scene(session, "telemetry"))
        program = Side(session, [built])
        shown = demo.read_until("Godot shows ")
        assert "4000 rpm, gear 3, throttle 0.80, brake 0.00" in shown
        assert demo.wait() == 0, demo.lines
        assert projects.errors_in(demo.lines) == []
        game.read_until("[")
        program.end(signal.SIGKILL)
    game.end(signal.SIGKILL)
    assert projects.errors_in(game.lines) == []


# --- Sandboxes -----------------------------------------------------------------------------------------

SANDBOX = "The partner runs, but `open` finds nothing"
# A sandbox with all files of this machine, and a /dev/shm of its own.
BUBBLEWRAP = ["bwrap", "--bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]


@pytest.fixture
def start_in_sandbox(session, start_agent):
    def start(*options):
        command = [*BUBBLEWRAP, *options]
        if not shutil.which("bwrap"):
            pytest.skip("no Bubblewrap (bwrap)")
        tried = subprocess.run([*command, "true"], capture_output=True, text=True)
        if tried.returncode != 0:
            pytest.skip(f"Bubblewrap can't start: {tried.stderr.strip()}")
        command += [session.godot, "--headless", "--path", PROJECT]
        return start_agent(command=command), [*BUBBLEWRAP, *options]

    return start


def look(command=()):
    """Runs the recipe's commands; returns the list of names, and the number of the folder."""
    shell = [*command, "sh", "-c", recipe(SANDBOX, "sh")]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=10, check=True)
    *names, device = done.stdout.splitlines()
    return "\n".join(names), device


def list_names(agent):
    line = recipe(SANDBOX, "gdscript").strip().removeprefix("print(").removesuffix(")")
    return agent.run(f"func run():\n\treturn Array({line})")


def test_private_dev_shm_hides_segments(name, memory, start_in_sandbox):
    assert memory.create(name, 64) == OK
    inside, sandbox = start_in_sandbox()
    theirs = inside.memory()
    assert theirs.open(name) == ERR_DOES_NOT_EXIST
    assert name not in list_names(inside)
    names, device = look()
    assert name in names
    names_inside, device_inside = look(sandbox)
    assert name not in names_inside
    assert device_inside != device
    assert theirs.create(name, 64) == OK, "both sides believe to have created it"


def test_bound_dev_shm_reaches_out_of_a_sandbox(name, memory, start_in_sandbox):
    assert memory.create(name, 64) == OK
    assert memory.write(b"outside") == OK
    inside, sandbox = start_in_sandbox("--bind", "/dev/shm", "/dev/shm")
    names_inside, device_inside = look(sandbox)
    assert name in names_inside
    assert device_inside == look()[1]
    assert name in list_names(inside)
    theirs = inside.memory()
    assert theirs.open(name) == OK
    assert theirs.read(7) == b"outside"
    assert theirs.get_owner_state() == OWNER_ALIVE


def test_shared_folder_reaches_into_a_sandbox(
    tmp_path, agent, play, start_in_sandbox, unique_name
):
    inside, _sandbox = start_in_sandbox()
    theirs = inside.memory()
    theirs.set_backend(BACKEND_FILE)
    path = str(tmp_path / "frames")
    assert theirs.create(path, 64) == OK
    assert theirs.write(b"inside") == OK
    code = recipe(SANDBOX, "gdscript", 1).replace("/shared/frames", path)
    read = "func read():\n\treturn memory.read(6)"
    ours = play(script("func start():", indented(code), read))
    ours("start")
    assert ours("read") == b"inside"


# --- Logout, and a segment that grows ------------------------------------------------------------------


def test_creator_notices_removed_name(name, play):
    loop = recipe("The name disappears after a logout", "gdscript")
    creator = play(script(loop.replace('"frames"', f'"{name}"')))
    creator("_process", 0.0)
    first = file_of(name).stat().st_ino
    creator("_process", 0.0)
    assert file_of(name).stat().st_ino == first
    # As logind does.
    file_of(name).unlink()
    creator("_process", 0.0)
    second = file_of(name).stat()
    assert second.st_size == 1024
    assert file_of(name).read_bytes()[:4] != bytes(4), "the same call writes to it"
    creator("_process", 0.0)
    assert file_of(name).stat().st_ino == second.st_ino


def test_segment_that_grows_is_opened_again(name, make_foreign, play):
    path = make_foreign(name, b"old")
    code = recipe("The partner has made its segment larger", "gdscript")
    code = code.replace('"frames"', f'"{name}"')
    reader = play(
        script(
            f'func start():\n\treturn memory.open("{name}")',
            "func look():",
            indented(code),
            "\treturn memory.read()",
        )
    )
    assert reader("start") == OK
    assert reader("look") == b"old"
    with open(path, "r+b") as file:
        file.truncate(6)
        file.seek(3)
        file.write(b"new")
    assert reader("look") == b"oldnew"


# --- Pictures ------------------------------------------------------------------------------------------

SHOW = """
extends Node

func _ready():
	var bytes := PackedByteArray([255, 128, 0, 10, 20, 30])
	var memory := SharedMemory.new()
	memory.create("{name}", 6)
	memory.write(bytes)
	var image := Image.create_empty(2, 1, false, Image.FORMAT_RGB8)
	memory.read_image(image)
	var view := Sprite2D.new()
	view.centered = false
	view.texture = ImageTexture.create_from_image(image)
	view.texture_filter = CanvasItem.TEXTURE_FILTER_NEAREST
	view.scale = Vector2(32, 32)
	var shader := Shader.new()
	shader.code = FileAccess.get_file_as_string("res://view.gdshader")
	view.material = ShaderMaterial.new()
	view.material.shader = shader
	add_child(view)
	await RenderingServer.frame_post_draw
	await RenderingServer.frame_post_draw
	var shot := get_viewport().get_texture().get_image()
	for x in [16, 48]:
		var pixel := shot.get_pixel(x, 16)
		print("pixel %d %d %d" % [pixel.r8, pixel.g8, pixel.b8])
	memory.close()
	get_tree().quit()
"""


def test_shader_exchanges_red_and_blue(name, session, display, tmp_path):
    folder = projects.make(session, "readme")
    (folder / "main.gd").write_text(SHOW.replace("{name}", name), encoding="utf-8")
    shader = recipe("Red and blue are exchanged", "glsl")
    (folder / "view.gdshader").write_text(shader, encoding="utf-8")
    projects.list_addon(folder)
    command = [session.godot, "--path", folder, "--rendering-driver", "opengl3"]
    environment = {**session.environment(), "DISPLAY": display}
    code, lines = session.run(
        [*command, "--audio-driver", "Dummy"], TIME_LIMIT, env=environment
    )
    if not any("OpenGL API" in line for line in lines):
        pytest.skip(f"no window with OpenGL: {lines[-3:]}")
    pixels = [line for line in lines if line.startswith("pixel")]
    assert (code, pixels) == (0, ["pixel 0 128 255", "pixel 30 20 10"]), lines


# --- A fork --------------------------------------------------------------------------------------------

# Loaded into a Godot: makes a child as a library inside the game might.
FORK = """
#include <signal.h>
#include <unistd.h>
static void make_child(int number) {
    (void)number;
    if (fork() == 0)
        for (;;) pause();
}
__attribute__((constructor)) static void prepare(void) { signal(SIGUSR1, make_child); }
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_forked_child_keeps_name_of_killed_owner(
    name, session, start_agent, agent, cleanup, tmp_path
):
    source, library = tmp_path / "fork.c", tmp_path / "fork.so"
    source.write_text(FORK)
    command = ["cc", "-shared", "-fPIC", "-o", library, source]
    subprocess.run(command, check=True, timeout=60)
    environment = {**session.environment(), "LD_PRELOAD": str(library)}
    owner = start_agent(env=environment)
    memory = agent.memory()
    assert owner.memory().create(name, 64) == OK
    assert memory.open(name) == OK
    os.kill(owner.pid, signal.SIGUSR1)
    wait_until(lambda: len(memory.get_users(name)) == 3)
    (child,) = set(memory.get_users(name)) - {owner.pid, agent.pid}
    owner.kill(children=False)
    cleanup.callback(kill, owner.process)

    assert memory.get_owner_state() == OWNER_ALIVE
    other = agent.memory()
    assert other.create(name, 64) == ERR_ALREADY_EXISTS
    text = f'"{name}" exists already: a running process of this user owns it'
    assert other.get_last_error_message() == text
    code = recipe("A killed game still owns its name", "gdscript")
    code = code.replace('"frames"', f'"{name}"')
    users, remove = code.splitlines()
    users = users.partition("print(")[2].partition(") #")[0]
    found = agent.run(f"func run():\n\treturn Array({users})")
    assert sorted(found) == sorted([child, agent.pid])
    agent.run("func run():\n" + indented(remove))
    assert other.create(name, 64) == OK
    # The other way out: the child's end.
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: memory.get_owner_state() == OWNER_DEAD)


# --- Queues --------------------------------------------------------------------------------------------

SEND = """
func run(names):
	var memories = []
	var queues = []
	for name in names:
		memories.append(SharedMemory.new())
		memories[-1].create(name, 4096)
		memories[-1].persistent = true
		queues.append(SharedMemoryQueue.new())
		queues[-1].attach(memories[-1], SharedMemoryQueue.LAYOUT_LSM_V2, 64)
	for number in 10:
		var message := PackedByteArray([number])
"""
TAKE = """
func run(name, most):
	var memory = SharedMemory.new()
	memory.open(name)
	var queue = SharedMemoryQueue.new()
	queue.attach(memory, SharedMemoryQueue.LAYOUT_LSM_V2)
	var numbers = []
	while numbers.size() < most and queue.get_message_count() > 0:
		numbers.append(queue.dequeue()[0])
	return numbers
"""


@pytest.fixture
def send(agent, cleanup):
    """Sends ten messages as the recipe does, to the queues of these names."""

    def to(*names):
        for name in names:
            cleanup.callback(file_of(name).unlink, missing_ok=True)
        loop = recipe("Each reader of a queue gets half of the messages", "gdscript")
        agent.run(SEND + textwrap.indent(loop, "\t\t"), list(names))

    return to


def test_two_readers_of_a_queue_share_its_messages(name, send, start_agent):
    send(name)
    one, other = start_agent(), start_agent()
    assert one.run(TAKE, name, 5) == [0, 1, 2, 3, 4]
    assert other.run(TAKE, name, 10) == [5, 6, 7, 8, 9]


def test_queue_for_each_reader_delivers_all_messages(unique_name, send, start_agent):
    names = [unique_name(), unique_name()]
    send(*names)
    for name in names:
        assert start_agent().run(TAKE, name, 10) == list(range(10))


# --- Wine ----------------------------------------------------------------------------------------------

SIMULATOR = """
#include <stdio.h>
#include <windows.h>

static void *publish(const wchar_t *name) {
    HANDLE section = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 800, name);
    return MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, 800);
}

/* As Assetto Corsa: other memory of the same size, and the physics: packet, gas, brake, fuel, gear, rpms. */
int main(void) {
    wchar_t *version = publish(L"Local\\\\acpmf_static");
    volatile int *packet = publish(L"Local\\\\acpmf_physics");
    if (version == NULL || packet == NULL) return 1;
    lstrcpyW(version, L"1.7");
    float *pedals = (float *)packet + 1;
    pedals[0] = 0.625f, pedals[1] = 0.25f, packet[4] = 3, packet[5] = 6500;
    for (*packet = 4711;; ++*packet) {
        if (*packet == 4711) puts("ready"), fflush(stdout);
        Sleep(5);
    }
}
"""
LOOK = """
func look():
	if not memory.is_open():
		return null
	return [memory.is_current(), memory.decode_s32(0), memory.decode_s32(20)]
"""


@pytest.fixture
def simulator(session, tmp_path, cleanup):
    """Starts a program for Windows that has such memory."""
    path = f"{os.environ['PATH']}{os.pathsep}{WINDOWS}"
    wine = shutil.which("wine", path=path)
    compiler = shutil.which("x86_64-w64-mingw32-gcc", path=path)
    if not wine or not compiler:
        pytest.skip("no Wine or no mingw: ./build.sh test-windows fetches both")
    source, program = tmp_path / "sim.c", tmp_path / "sim.exe"
    source.write_text(SIMULATOR)
    subprocess.run([compiler, "-o", program, source], check=True, timeout=60)
    process = session.start([wine, program], stdout=subprocess.PIPE, text=True)
    cleanup.callback(process.stdout.close)
    cleanup.callback(kill, process)
    assert process.stdout.readline() == "ready\n"
    return process


def test_godot_reads_memory_of_a_windows_program(simulator, play):
    title = "Telemetry of a Windows game in Wine or Proton"
    code = [recipe(title, "gdscript", number) for number in range(3)]
    reader = play(script(*code, LOOK))
    reader("_on_timer_timeout")
    is_current, packet, rpms = reader("look")
    assert (is_current, rpms) == (True, 6500)
    assert packet >= 4711
    wait_until(lambda: reader("look")[1] > packet)
    kill(simulator)
    wait_until(lambda: not reader("look")[0])
    reader("_on_timer_timeout")
    assert reader("look") is None


# --- Python --------------------------------------------------------------------------------------------

# A Python that gets no more address space, as in a container with a limit.
ATTACH = """
import resource, sys
from multiprocessing import shared_memory
resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
{attach}
"""
SHARED_MEMORY = "shared_memory.SharedMemory(sys.argv[1])"
MMAP = """
import mmap
with open("/dev/shm/" + sys.argv[1], "r+b") as file:
    mmap.mmap(file.fileno(), 0)
"""


def wait_for_tracker(python):
    """Waits for Python's resource tracker, which outlives its process by a moment."""
    python.wait(TIME_LIMIT)
    wait_until(lambda: not is_group_alive(python.pid))


@pytest.mark.parametrize(
    ("attach", "remains"),
    [(SHARED_MEMORY, False), (MMAP, True)],
    ids=["SharedMemory", "mmap"],
)
def test_python_that_fails_to_attach_removes_name(
    name, session, make_foreign, attach, remains
):
    path = make_foreign(name)
    os.truncate(path, 1 << 30)
    command = [sys.executable, "-c", ATTACH.format(attach=attach), name]
    python = session.start(command, stdout=subprocess.PIPE, text=True)
    with python.stdout:
        assert "Cannot allocate memory" in python.stdout.read()
    assert python.wait(TIME_LIMIT) == 1
    assert path.exists() == remains
    wait_for_tracker(python)


CREATE = """
import sys, time
from multiprocessing import shared_memory
segment = shared_memory.SharedMemory(sys.argv[1], create=True, size=64)
print("ready", flush=True)
time.sleep(60)
"""


def test_name_of_killed_python_creator_goes(name, session, cleanup, memory):
    python = session.start(
        [sys.executable, "-c", CREATE, name], stdout=subprocess.PIPE, text=True
    )
    cleanup.callback(python.stdout.close)
    cleanup.callback(kill, python)
    assert python.stdout.readline() == "ready\n"
    assert memory.open(name) == OK
    # Only this process: its resource tracker is another one.
    os.kill(python.pid, signal.SIGKILL)
    wait_until(lambda: not file_of(name).exists())
    assert not memory.is_current()
    assert memory.write(b"still there") == OK
    wait_for_tracker(python)


def test_python_notices_restart_of_game(name, session, cleanup, start_agent):
    loop = recipe("Python after a restart of the game", "python", page="PARTNERS")
    show = "def use(memory):\n    print(memory[0], flush=True)\n"
    code = show + loop.replace("/dev/shm/frames", str(file_of(name)))
    python = session.start(
        [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True
    )
    cleanup.callback(python.stdout.close)
    cleanup.callback(kill, python)
    cleanup.callback(file_of(name).unlink, missing_ok=True)

    def wait_for(number):
        for line in python.stdout:
            if line == f"{number}\n":
                return
        raise AssertionError(f"{number} never came")

    for number in (1, 2, 3):
        game = start_agent()
        memory = game.memory()
        assert memory.create(name, 64) == OK
        memory.write(bytes([number]))
        wait_for(number)
        if number == 1:
            game.kill()
        else:
            memory.close()
    assert not file_of(name).exists(), "Python keeps no name"
