"""The help's example of read_image, both sides as they stand there: a producer that never pauses."""

import html
import json
import re
import subprocess
import sys

import pytest
from harness import projects
from harness.marks import linux_only
from harness.session import REPOSITORY, file_of, kill, wait_until

HELP = REPOSITORY / "rust/addon/doc_classes/SharedMemory.xml"
TIME_LIMIT = 60
ENOUGH = 50
MARK = "##frames## "

# Shows frames without a pause, of the kind that an argument names. A line on stdin ends its turn, so that a
# busy machine can take its time.
PRODUCE = """
import select, sys

for phase in sys.argv[1:]:
    width, height, bytes_per_pixel, is_bgr = map(int, phase.split())
    # Of the numbers modulo 251, so that drawing takes no longer than copying.
    frames = [bytes([value]) * (width * height * bytes_per_pixel) for value in range(251)]
    while not select.select([sys.stdin], [], [], 0)[0]:
        show(width, height, bytes_per_pixel, is_bgr, frames[(number + 1) % 251])
    sys.stdin.readline()
"""
# Width, height, bytes per pixel, is it BGR?
RGBA, BGR, RGB = "512 384 4 0", "400 300 3 1", "320 500 3 0"
FORMAT_RGB8, FORMAT_RGBA8 = 4, 5
STATES = [
    f"512 384 {FORMAT_RGBA8} false",
    f"400 300 {FORMAT_RGB8} true",
    f"320 500 {FORMAT_RGB8} false",
]


def example():
    """Returns the GDScript and the Python of the example."""
    text = HELP.read_text(encoding="utf-8")
    method = re.search(r'<method name="read_image".*?</method>', text, re.DOTALL)[0]
    found = []
    for kind, start in (("", "extends TextureRect"), (" lang=text", "import mmap")):
        blocks = re.findall(
            rf"\[codeblock{kind}\]\n(.*?)\t+\[/codeblock\]", method, re.DOTALL
        )
        (block,) = [b for b in blocks if start in b]
        found.append(html.unescape(re.sub(r"^\t{4}", "", block, flags=re.MULTILINE)))
    return found


@pytest.fixture
def reader(session, name, cleanup):
    """Starts the example in a Godot of its own; returns a function that returns its last line."""
    folder = projects.make(session, "frames")
    script = example()[0].replace("my_camera", name)
    (folder / "main.gd").write_text(script, encoding="utf-8")
    projects.list_addon(folder)
    log = folder / "log.txt"
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    with log.open("wb") as output:
        game = session.start(
            [session.godot, "--headless", "--path", folder], stdout=output
        )
    cleanup.callback(kill, game)

    def seen():
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        assert projects.errors_in(lines) == [], lines[:40]
        marked = [line for line in lines if line.startswith(MARK)]
        last = json.loads(marked[-1][len(MARK) :]) if marked else {"state": ""}
        return last.get("state"), last.get("counts", {})

    return seen


@pytest.fixture
def produce(session, name, cleanup):
    def start(*phases):
        code = example()[1].replace("my_camera", name) + PRODUCE
        command = [sys.executable, "-c", code, *phases]
        producer = session.start(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        cleanup.callback(producer.stdin.close)
        cleanup.callback(kill, producer)
        return producer

    return start


@linux_only
def test_example_shows_whole_frames_of_producer_that_never_pauses(
    reader, produce, record_property
):
    def has_shown(state):
        now, counts = reader()
        return now == state and sum(counts[state]) >= ENOUGH

    first = produce(RGBA, BGR)
    wait_until(lambda: has_shown(STATES[0]), TIME_LIMIT)
    # Now it changes size and format.
    first.stdin.write(b"\n")
    first.stdin.flush()
    wait_until(lambda: has_shown(STATES[1]), TIME_LIMIT)
    # As the Stop button of an editor would, in the middle of a frame.
    kill(first)
    second = produce(RGB)
    wait_until(lambda: has_shown(STATES[2]), TIME_LIMIT)
    kill(second)
    _state, counts = reader()
    record_property("note", f"torn and whole frames: {counts}")
    assert list(counts) == STATES
    assert [torn for torn, _whole in counts.values()] == [0, 0, 0]


@linux_only
def test_example_waits_for_memory_and_survives_truncation(
    reader, produce, name, make_foreign
):
    # A segment that is too small, as an older version of the producer might make.
    path = make_foreign(name, bytes(100))
    producer = produce(RGBA)
    wait_until(lambda: reader()[0] == STATES[0], TIME_LIMIT)
    kill(producer)
    with path.open("r+b") as file:
        file.truncate(4096)
    producer = produce(BGR)
    wait_until(lambda: reader()[0] == STATES[1], TIME_LIMIT)
    # Numbers that no picture has.
    kill(producer)
    with path.open("r+b") as file:
        file.write((1 << 31).to_bytes(4, "little"))
        file.seek(64)
        file.write(b"\xff" * 16)
    producer = produce(RGB)
    wait_until(lambda: reader()[0] == STATES[2], TIME_LIMIT)
    kill(producer)
    assert [torn for torn, _whole in reader()[1].values()] == [0, 0, 0]
