"""Messages to and from a real Godot, which the variable GODOT names."""

from __future__ import annotations

import math
import os
import pathlib
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import godot_shared_memory as gsm
import numpy
import pytest
from godot_shared_memory import Peer, Queue, Status, Stream
from test_values import MATH, same

GODOT = os.environ.get("GODOT")
ADDON = pathlib.Path(__file__).parents[3] / "addons/shared_memory"

pytestmark = pytest.mark.skipif(not GODOT or not (ADDON / "bin").exists(), reason="needs Godot and the addon")

# Tells what each message is, and sends it back.
ECHO = """extends SceneTree

func _init() -> void:
	var peer: Object = ClassDB.instantiate("SharedMemoryPeer")
	var error: int = peer.open(OS.get_cmdline_user_args()[0])
	if error != OK:
		printerr("open: ", error_string(error))
		quit(1)
		return
	peer.wait_connected(30000)
	while true:
		var value: Variant = peer.receive(30000)
		if value == null:
			break
		var told: Variant = var_to_str(value)
		if value is Image:
			told = [value.get_size(), value.get_format()]
		peer.send([typeof(value), told], 10000)
		peer.send(value, 10000)
	peer.close()
	quit()
"""

# Sends a value of each type, after its name.
VALUES = """extends SceneTree

func _init() -> void:
	var peer: Object = ClassDB.instantiate("SharedMemoryPeer")
	peer.open(OS.get_cmdline_user_args()[0])
	peer.wait_connected(30000)
	var picture := Image.create_empty(3, 2, false, Image.FORMAT_RGB8)
	picture.set_pixel(2, 1, Color8(1, 2, 3))
	var floats := Image.create_empty(2, 2, false, Image.FORMAT_RGBAF)
	floats.set_pixel(1, 0, Color(0.5, 1, 2, 1))
	var typed: Array[int] = [1, 2]
	var values := {
		"bool": true, "int": -5, "large": 1 << 62, "float": 0.1, "string": "ä€😀", "name": &"name",
		"path": ^"/root/A:b:c", "vector2": Vector2(1, 2), "vector2i": Vector2i(1, 2),
		"rect2": Rect2(1, 2, 3, 4), "rect2i": Rect2i(1, 2, 3, 4), "vector3": Vector3(1, 2, 3),
		"vector3i": Vector3i(1, 2, 3),
		"transform2d": Transform2D(Vector2(1, 2), Vector2(3, 4), Vector2(5, 6)),
		"vector4": Vector4(1, 2, 3, 4), "vector4i": Vector4i(1, 2, 3, 4), "plane": Plane(1, 2, 3, 4),
		"quaternion": Quaternion(1, 2, 3, 4), "aabb": AABB(Vector3(1, 2, 3), Vector3(4, 5, 6)),
		"basis": Basis(Vector3(1, 2, 3), Vector3(4, 5, 6), Vector3(7, 8, 9)),
		"transform3d": Transform3D(Vector3(1, 2, 3), Vector3(4, 5, 6), Vector3(7, 8, 9), Vector3(10, 11, 12)),
		"projection": Projection(Vector4(0, 1, 2, 3), Vector4(4, 5, 6, 7), Vector4(8, 9, 10, 11),
			Vector4(12, 13, 14, 15)),
		"color": Color(0.25, 0.5, 0.75, 1), "array": [null, 1, [2.5, {}]], "typed": typed,
		"dictionary": {"a": 1, 2: [3], Vector2i(1, 2): null}, "bytes": PackedByteArray([1, 2]),
		"int32": PackedInt32Array([1, -2]), "int64": PackedInt64Array([1, -2]),
		"float32": PackedFloat32Array([1, 0.5]), "float64": PackedFloat64Array([1, 0.1]),
		"strings": PackedStringArray(["a", ""]), "vectors2": PackedVector2Array([Vector2(1, 2)]),
		"vectors3": PackedVector3Array([Vector3(1, 2, 3), Vector3(4, 5, 6)]),
		"vectors4": PackedVector4Array([Vector4(1, 2, 3, 4)]),
		"colors": PackedColorArray([Color(0.25, 0.5, 0.75, 1)]), "picture": picture, "floats": floats,
		"inside": [PackedByteArray([1]), PackedVector3Array([Vector3(1, 2, 3)]), PackedStringArray(["x"])],
	}
	for key: String in values:
		peer.send([key], 10000)
		peer.send(values[key], 10000)
	peer.send("over", 10000)
	peer.receive(10000)
	quit()
"""

# Writes what it reads from one stream to another one.
STREAM = """extends SceneTree

func _init() -> void:
	var names := OS.get_cmdline_user_args()
	var from: Object = ClassDB.instantiate("SharedMemoryStream")
	var to: Object = ClassDB.instantiate("SharedMemoryStream")
	from.open(names[0])
	to.create(names[1], 1 << 22)
	while from.wait(30000) == OK:
		var value: Variant = from.read()
		if value is String and value == "over":
			break
		to.write(value)
	quit()
"""

QUEUE = """extends SceneTree

func _init() -> void:
	var names := OS.get_cmdline_user_args()
	var from: Object = ClassDB.instantiate("SharedMemoryQueue")
	var to: Object = ClassDB.instantiate("SharedMemoryQueue")
	from.open(names[0])
	to.open(names[1])
	for index in int(names[2]):
		to.enqueue(from.dequeue(30000), 30000)
	quit()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Makes a project with the addon."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ADDON, folder / "addons/shared_memory")
    (folder / "project.godot").write_text('config_version=5\n\n[application]\n\nconfig/name="test"\n')
    (folder / ".godot").mkdir()
    listed = "res://addons/shared_memory/shared_memory.gdextension\n"
    (folder / ".godot/extension_list.cfg").write_text(listed)
    for name, source in {"echo": ECHO, "values": VALUES, "stream": STREAM, "queue": QUEUE}.items():
        (folder / f"{name}.gd").write_text(source)
    return folder


StartGodot = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def godot(project: pathlib.Path) -> Iterator[StartGodot]:
    """Starts a script in Godot."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: str) -> subprocess.Popen[str]:
        command = [str(GODOT), "--headless", "--path", str(project), "-s", f"res://{script}.gd", "--"]
        environment = {
            **os.environ,
            **{f"XDG_{kind}_HOME": str(project / "home") for kind in ("DATA", "CONFIG")},
        }
        process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> None:
    """Waits for the end of a Godot, which must print no error."""
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert "ERROR" not in out, out


BYTES, INT32, INT64, FLOAT32, FLOAT64 = 29, 30, 31, 32, 33
TYPES: list[tuple[int, Any]] = [
    (1, True),
    (2, 7),
    (2, -(2**63)),
    (3, 0.1),
    (3, math.inf),
    (4, "ä€😀"),
    (4, ""),
    *((number, value) for number, value in enumerate(MATH, 5)),
    (21, gsm.StringName("name")),
    (22, gsm.NodePath("/root/A:b:c")),
    (22, gsm.NodePath("../a/b")),
    (27, {}),
    (27, {"a": 1, 2: [None, {}], True: 0.5, gsm.Vector2i(1, 2): b"x"}),
    (28, []),
    (28, [None, True, "x", [1, [2, [3]]], gsm.Color(0.5, 0.25, 1.0, 0.125)]),
    (28, [numpy.arange(3), b"ab", numpy.array([0.5], "f4")]),
    (BYTES, b"\x00\xff"),
    (INT32, numpy.array([1, -2], "i4")),
    (INT64, numpy.array([1, -2], "i8")),
    (FLOAT32, numpy.array([1, 0.5], "f4")),
    (FLOAT64, numpy.array([1, 0.1], "f8")),
]


def test_each_type_goes_to_godot_and_comes_back(name: str, godot: StartGodot) -> None:
    process = godot("echo", name)
    with Peer(name) as peer:
        peer.wait_connected(30)
        for number, value in TYPES:
            peer.send(value, 10)
            told: Any = peer.receive(10)
            assert told[0] == number, (value, told)
            assert same(peer.receive(10), value), value
        texts = {gsm.Vector3(1, 2, 3): "Vector3(1, 2, 3)", gsm.NodePath("a:b"): 'NodePath("a:b")'}
        basis = gsm.Basis(gsm.Vector3(1, 2, 3), gsm.Vector3(4, 5, 6), gsm.Vector3(7, 8, 9))
        # In the engine's text form, a basis stands row by row.
        texts[basis] = "Basis(1, 4, 7, 2, 5, 8, 3, 6, 9)"
        for sent, text in texts.items():
            peer.send(sent, 10)
            told = peer.receive(10)
            assert told[1] == text
            peer.receive(10)
    finish(process)


def test_arrays_and_pictures_go_to_godot_and_come_back(name: str, godot: StartGodot) -> None:
    process = godot("echo", name)
    with Peer(name) as peer:
        peer.wait_connected(30)

        def sent(value: Any) -> tuple[Any, Any]:
            peer.send(value, 10)
            return peer.receive(10), peer.receive(10)

        for width, number in ((2, 35), (3, 36), (4, 38)):
            vectors = numpy.arange(2 * width, dtype="f4").reshape(2, width)
            told, back = sent(gsm.vectors(vectors))
            assert told[0] == number
            assert same(back, vectors)
            # Plain numbers of any shape are a plain array.
            told, back = sent(vectors)
            assert told[0] == FLOAT32
            assert same(back, vectors.ravel())
        told, back = sent(gsm.vectors(vectors.astype("f8")))
        assert same(back, vectors)
        told, back = sent(gsm.colors(vectors))
        assert told[0] == 37
        assert same(back, vectors)
        for channels, number in ((1, 0), (2, 1), (3, 4), (4, 5)):
            pixels = numpy.arange(6 * channels, dtype="u1").reshape(2, 3, channels)
            told, back = sent(pixels)
            assert told == [24, [gsm.Vector2i(3, 2), number]]
            assert same(back, pixels)
        told, back = sent(gsm.image(pixels[:, :, :3], "BGR8"))
        assert told == [24, [gsm.Vector2i(3, 2), 4]]
        assert numpy.array_equal(back, pixels[:, :, 2::-1])
        for dtype, number in (("i2", INT32), ("u2", INT32), ("?", INT32), ("u4", INT64), ("f2", FLOAT32)):
            told, back = sent(numpy.ones(3, dtype))
            assert told[0] == number
            assert back.tolist() == [1, 1, 1]
    finish(process)


def test_each_type_comes_from_godot(name: str, godot: StartGodot) -> None:
    process = godot("values", name)
    found: dict[str, Any] = {}
    with Peer(name) as peer:
        peer.wait_connected(30)
        while (key := peer.receive(30)) != "over":
            found[key[0]] = peer.receive(30)
        peer.send("over", 10)
        floats = found.pop("floats")
        picture = found.pop("picture")
        assert (picture.dtype, picture.shape) == (numpy.uint8, (2, 3, 3))
        assert picture[1, 2].tolist() == [1, 2, 3]
        assert (floats.dtype, floats.shape) == (numpy.float32, (2, 2, 4))
        assert floats[0, 1].tolist() == [0.5, 1, 2, 1]
        inside = found.pop("inside")
        assert (inside[0], inside[1].tolist(), inside[2]) == (b"\x01", [[1, 2, 3]], ["x"])
        one = numpy.array([[1, 2, 3], [4, 5, 6]], "f4")
        expected: dict[str, Any] = {
            "bool": True,
            "int": -5,
            "large": 1 << 62,
            "float": 0.1,
            "string": "ä€😀",
            "name": gsm.StringName("name"),
            "path": gsm.NodePath("/root/A:b:c"),
            "vector2": gsm.Vector2(1, 2),
            "vector2i": gsm.Vector2i(1, 2),
            "rect2": gsm.Rect2(gsm.Vector2(1, 2), gsm.Vector2(3, 4)),
            "rect2i": gsm.Rect2i(gsm.Vector2i(1, 2), gsm.Vector2i(3, 4)),
            "vector3": gsm.Vector3(1, 2, 3),
            "vector3i": gsm.Vector3i(1, 2, 3),
            "transform2d": gsm.Transform2D(gsm.Vector2(1, 2), gsm.Vector2(3, 4), gsm.Vector2(5, 6)),
            "vector4": gsm.Vector4(1, 2, 3, 4),
            "vector4i": gsm.Vector4i(1, 2, 3, 4),
            "plane": gsm.Plane(gsm.Vector3(1, 2, 3), 4),
            "quaternion": gsm.Quaternion(1, 2, 3, 4),
            "aabb": MATH[11],
            "basis": MATH[12],
            "transform3d": MATH[13],
            "projection": MATH[14],
            "color": gsm.Color(0.25, 0.5, 0.75, 1),
            "array": [None, 1, [2.5, {}]],
            "typed": [1, 2],
            "dictionary": {"a": 1, 2: [3], gsm.Vector2i(1, 2): None},
            "bytes": b"\x01\x02",
            "int32": numpy.array([1, -2], "i4"),
            "int64": numpy.array([1, -2], "i8"),
            "float32": numpy.array([1, 0.5], "f4"),
            "float64": numpy.array([1, 0.1], "f8"),
            "strings": ["a", ""],
            "vectors2": one[:1, :2],
            "vectors3": one,
            "vectors4": numpy.array([[1, 2, 3, 4]], "f4"),
            "colors": numpy.array([[0.25, 0.5, 0.75, 1]], "f4"),
        }
        assert set(found) == set(expected)
        for key, value in expected.items():
            assert same(found[key], value), (key, found[key])
    finish(process)


def test_streams_follow_each_other_through_godot(make_name: Callable[[], str], godot: StartGodot) -> None:
    there, back = make_name(), make_name()
    process = godot("stream", there, back)
    with Stream.create(there, 1 << 22) as writer, Stream.open(back) as reader:
        for number in range(20):
            value = numpy.full((100, 200, 4), number, numpy.uint8)
            with writer.begin(value.shape) as view:
                view[:] = value
            reader.wait(30)
            with reader.frame() as frame:
                assert numpy.array_equal(frame, value)
        writer.write("over")
        process.wait(30)
    finish(process)


def test_a_queue_passes_every_message_through_godot(make_name: Callable[[], str], godot: StartGodot) -> None:
    there, back = make_name(), make_name()
    count = 2000
    with Queue.create(back, 1 << 16) as consumer, Queue.create(there, 1 << 16) as producer:
        # The consumer of one queue, and the producer of the other, is Godot.
        process = godot("queue", there, back, str(count))

        def send() -> None:
            for number in range(count):
                producer.enqueue({"number": number, "bytes": bytes(number % 100)}, 30)

        thread = threading.Thread(target=send)
        thread.start()
        for number in range(count):
            assert consumer.dequeue(30) == {"number": number, "bytes": bytes(number % 100)}
        thread.join()
        finish(process)


def test_a_game_is_killed_and_starts_again(name: str, godot: StartGodot) -> None:
    with Peer(name) as peer:
        for _ in range(3):
            process = godot("echo", name)
            peer.wait_connected(30)
            peer.send([1], 10)
            assert peer.receive(10) == [28, "[1]"]
            assert peer.receive(10) == [1]
            threading.Timer(0.1, process.kill).start()
            start = time.monotonic()
            with pytest.raises(gsm.ConnectionError):
                peer.receive(30)
            assert time.monotonic() - start < 1
            assert peer.get_status() is Status.WAITING
