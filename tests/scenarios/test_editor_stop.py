"""The editor's button Stop, while the main thread of the game waits."""

import os
import time

import pytest
from harness import projects
from harness.constants import OK
from harness.marks import linux_only, same_for_every_user
from harness.session import file_of, kill, wait_until

pytestmark = [linux_only, same_for_every_user, pytest.mark.timeout(120)]
TIME_LIMIT = 60
SETTLED = "was it playing? true Is it? false"

# Takes the roles that the game has left.
TAKE_ROLES = """
func run(name, kind, how):
	var memory = SharedMemory.new()
	var code = memory.create(name, 4096) if how == "create" else memory.open(name)
	var object = ClassDB.instantiate(kind)
	if code == OK:
		code = object.attach(memory, 0, 64)
	if code != OK:
		return [code, object.get_last_error_message()]
	if kind == "SharedMemoryStream":
		return [object.reset(), object.write("mine")]
	object.dequeue_all()
	return [object.get_last_error(), object.enqueue("mine")]
"""


def is_running(process):
    """Returns whether a process runs; a zombie doesn't."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class Stopped:
    """An editor that plays the scene, and stops it, as often as it is told to."""

    def __init__(self, session):
        self.folder = projects.make(session, "stopped")
        projects.list_addon(self.folder)
        self.log = self.folder / "log.txt"
        self._seen = 0
        with self.log.open("wb") as output:
            # The project's settings start the game without a display, too.
            command = [session.godot, "--headless", "--editor", "--path", self.folder]
            self.process = session.start(command, stdout=output)

    def play(self, *order):
        """Plays the scene, and returns the game's PID and the code with which it begins to wait."""
        waits = self.folder / "waits"
        waits.unlink(missing_ok=True)
        unfinished = self.folder / "order.new"
        unfinished.write_text(" ".join(order), encoding="utf-8")
        unfinished.rename(self.folder / "order")
        wait_until(
            lambda: waits.exists() and waits.read_text().endswith("\n"), TIME_LIMIT
        )
        return map(int, waits.read_text().split())

    def stop(self):
        (self.folder / "stop").touch()

    def printed(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def new_lines(self):
        """Waits until the editor has stopped the game; returns what was printed since the last call."""
        wait_until(lambda: SETTLED in self.printed()[self._seen :], TIME_LIMIT)
        text = self.printed()
        new, self._seen = text[self._seen :], len(text)
        return new.splitlines()


@pytest.fixture(scope="module")
def editor(session):
    """Returns one editor for all tests: to start one takes longer than a test."""
    stopped = Stopped(session)
    yield stopped
    kill(stopped.process)


@pytest.mark.parametrize(
    ("kind", "method", "owner"),
    [
        ("SharedMemoryStream", "wait", "game"),
        ("SharedMemoryQueue", "wait", "partner"),
        ("SharedMemoryQueue", "dequeue", "game"),
        ("SharedMemoryQueue", "enqueue", "partner"),
    ],
)
def test_stop_ends_a_waiting_game_at_once(
    request, agent, memory, name, cleanup, note, kind, method, owner
):
    if not agent.run("func run(): return OS.has_feature('editor')"):
        pytest.skip("this Godot has no editor")
    editor = request.getfixturevalue("editor")
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    if owner == "partner":
        assert memory.create(name, 4096) == OK
    game, code = editor.play(kind, name, owner, method)
    assert code == OK
    # It waits already, and longer than the shortest sleep of a wait.
    time.sleep(0.3)
    assert is_running(game), editor.printed()
    start = time.monotonic()
    editor.stop()
    wait_until(lambda: not is_running(game), 10)
    took = time.monotonic() - start
    note(f"gone {took:.3f} s after the click")
    assert took < 1

    # The editor goes on, and the game said nothing.
    lines = editor.new_lines()
    assert editor.process.poll() is None
    assert [line for line in lines if line.startswith("it went on")] == []
    assert projects.errors_in(lines) == []
    # Its roles are free, and so is its name, which the next owner removes.
    how = "create" if owner == "game" else "open"
    assert agent.run(TAKE_ROLES, name, kind, how) == [OK, OK]
    memory.close()
    assert not os.path.exists(file_of(name))
