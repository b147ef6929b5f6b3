"""The README's first example, as it stands there."""

import re
import subprocess
import sys

from harness import projects
from harness.marks import segments_are_files
from harness.session import REPOSITORY, file_of, kill, wait_until

TIME_LIMIT = 30


def first_block(language):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return re.search(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1]


@segments_are_files
def test_first_example_of_readme_works(session):
    folder = projects.make(session, "readme")
    (folder / "main.gd").write_text(first_block("gdscript"), encoding="utf-8")
    projects.list_addon(folder)
    memory = file_of(re.search(r'create\("(\w+)"', first_block("gdscript"))[1])
    assert not memory.exists(), "another game of this example runs already"
    game = session.start(
        [session.godot, "--headless", "--path", folder],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: memory.exists() and memory.read_bytes().strip(b"\0"))
        partner = [sys.executable, "-c", first_block("python")]
        code, lines = session.run(partner, TIME_LIMIT)
        assert (code, lines) == (0, ["Hello from Godot!"])
        # The game closes it when it has the answer.
        wait_until(lambda: not memory.exists())
    finally:
        kill(game)
        told = game.stdout.read()
        game.stdout.close()
        memory.unlink(missing_ok=True)
    assert "Hello from Python!" in told
    assert projects.errors_in(told.splitlines()) == [], told
