"""The README's examples, as they stand there, and the addon's own README."""

import re
import subprocess
import sys

from harness import projects
from harness.demos import PACKAGE, needs_package
from harness.marks import segments_are_files
from harness.session import REPOSITORY, file_of, kill, wait_until

TIME_LIMIT = 30
GREETING = re.compile(r'^\{ "from": (\d+), "at": \(1\.?0?, 2\.?0?\) \}$', re.MULTILINE)


def block(title, language):
    """Returns the first piece of code in the section with that title."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {title}\n")[1]
    return re.search(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[
        1
    ]


def project(session, title):
    """Makes a project whose scene has the section's script; returns it, and the file of its memory."""
    code = block(title, "gdscript")
    memory = file_of(re.search(r'(?:create|open)\("(\w+)"', code)[1])
    assert not memory.exists(), "another game of this example runs already"
    folder = projects.make(session, "readme")
    (folder / "main.gd").write_text(code, encoding="utf-8")
    projects.list_addon(folder)
    return folder, memory


@segments_are_files
def test_first_example_of_readme_works(session):
    folder, memory = project(session, "First example")
    game = session.start(
        [session.godot, "--headless", "--path", folder],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: memory.exists() and memory.read_bytes().strip(b"\0"))
        partner = [sys.executable, "-c", block("First example", "python")]
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


@segments_are_files
def test_two_programs_with_the_example_of_messages_greet_each_other(session):
    folder, memory = project(session, "Messages")
    games = []

    def start():
        output = folder / f"output{len(games)}"
        with output.open("wb") as file:
            command = [session.godot, "--headless", "--path", folder]
            games.append(session.start(command, stdout=file))
        return lambda: GREETING.findall(output.read_text(encoding="utf-8"))

    try:
        first = start()
        second = start()
        wait_until(lambda: len(first()) == len(second()) == 1, TIME_LIMIT)
        assert first() != second(), "each prints the greeting of the other one"
        # The one that made the memory.
        kill(games[0])
        third = start()
        wait_until(lambda: len(second()) == 2 and len(third()) == 1, TIME_LIMIT)
        assert third() == first(), "the one that has stayed"
        assert second()[0] != second()[1], "another process"
    finally:
        for game in games:
            kill(game)
        memory.unlink(missing_ok=True)
    told = "".join(path.read_text(encoding="utf-8") for path in folder.glob("output*"))
    assert projects.errors_in(told.splitlines()) == [], told


@segments_are_files
@needs_package
def test_game_and_python_with_the_example_of_messages_greet_each_other(session):
    folder, memory = project(session, "Messages")
    output = folder / "output"
    with output.open("wb") as file:
        command = [session.godot, "--headless", "--path", folder]
        game = session.start(command, stdout=file)

    def heard():
        return output.read_text().count('{ "from": "Python", "numbers": [1, 2.5] }')

    try:
        for run in range(2):
            partner = [PACKAGE, "-c", block("Messages", "python")]
            code, lines = session.run(partner, TIME_LIMIT)
            vector = "Vector2(x=1.0, y=2.0)"
            assert (code, lines) == (0, [f"{{'from': {game.pid}, 'at': {vector}}}"])
            wait_until(lambda count=run + 1: heard() == count, TIME_LIMIT)
    finally:
        kill(game)
        memory.unlink(missing_ok=True)
    assert projects.errors_in(output.read_text().splitlines()) == []


def test_readme_of_the_addon_names_every_class():
    classes = {path.stem for path in (REPOSITORY / "rust/addon/doc_classes").glob("*")}
    text = (REPOSITORY / "addons/shared_memory/README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^- `(\w+)`: ", text, re.MULTILINE)) == classes
