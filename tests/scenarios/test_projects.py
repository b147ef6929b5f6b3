"""The addon in projects of its own: exported, reloaded in the editor, with scripts for another addon."""

import shutil
import subprocess
import sys

import pytest
from harness import projects
from harness.effort import ROUNDS, seconds_more
from harness.gdscript import TestFile, shown
from harness.marks import same_for_every_user, segments_are_files
from harness.session import PROJECT, file_of, wait_until

pytestmark = pytest.mark.timeout(300 + seconds_more())

FILES = [path for path in sorted(PROJECT.glob("test_*.gd")) if TestFile(path).tests]
# Of test_leaks.gd, whose limits need about as many.
ROUNDS_IN_GAME = "10000"


def export(session, folder):
    """Exports a copy of projects/game; returns the program."""
    if not session.template:
        pytest.skip("no export template was given (--template)")
    if sys.platform != "linux":
        pytest.skip("the project has a preset for Linux only")
    presets = folder / "export_presets.cfg"
    presets.write_text(
        presets.read_text(encoding="utf-8").format(
            template=session.template, architecture=projects.architecture()
        ),
        encoding="utf-8",
    )
    projects.open_in_editor(session, folder)
    game = session.folder / session.name("export") / "game"
    game.parent.mkdir()
    projects.godot(session, "--path", folder, "--export-release", "Game", game)
    libraries = [path.name for path in game.parent.glob("*.so")]
    assert len(libraries) == 1, "the library lies beside the game"
    return game


@segments_are_files
def test_exported_game(session):
    game = export(session, projects.make(session, "game"))
    projects.play(session, [game, "--headless"], cwd=game.parent)


@pytest.fixture(scope="module")
def suite(session):
    """Returns a game that has the tests in GDScript, in a release build of the engine."""
    folder = projects.make(session, "game")
    without = (
        "*.py",
        "*.ini",
        "addons",
        "fixtures",
        "projects",
        ".godot",
        "project.godot",
    )
    ignore = shutil.ignore_patterns(*without)
    shutil.copytree(PROJECT, folder, ignore=ignore, dirs_exist_ok=True)
    settings = folder / "project.godot"
    text = settings.read_text(encoding="utf-8")
    text = text.replace("res://game.tscn", "res://harness/in_game.tscn")
    settings.write_text(text, encoding="utf-8")
    return export(session, folder)


# Each file has a limit of its own.
@pytest.mark.timeout(900 + seconds_more())
@same_for_every_user
@segments_are_files
@pytest.mark.parametrize("file", [path.name for path in FILES])
def test_gdscript_tests_pass_in_exported_game(session, suite, note, file):
    # A release build of the engine checks less, and has no debugger.
    environment = session.environment()
    if file == "test_leaks.gd":
        # The editor's build calls each method more often, through the same library.
        environment.setdefault(ROUNDS, ROUNDS_IN_GAME)
    judge = TestFile(PROJECT / file).run(session, game=suite, environment=environment)
    passed = 0
    for result in judge.results.values():
        passed += not result.problems and result.skipped is None
        for text in result.notes:
            note(f"{result.name}: {text}")
        if result.problems:
            print(f"{result.name}:", *shown(result.log), sep="\n")
    note(f"{passed} tests passed in it")
    assert judge.failures() == {}


@segments_are_files
def test_scripts_for_older_addon_work(session, name):
    folder = projects.make(session, "classic")
    # Only the name changes: these tests may run twice at once.
    for script in folder.glob("*.gd"):
        text = script.read_text(encoding="utf-8")
        assert '"SharedMemoryExample"' in text
        text = text.replace("SharedMemoryExample", name)
        script.write_text(text, encoding="utf-8")
    path = file_of(name)
    projects.open_in_editor(session, folder)
    command = [session.godot, "--headless", "--path", folder]
    writer = session.start(
        [*command, "res://writer.tscn"], stdout=subprocess.PIPE, text=True
    )
    wait_until(path.exists, projects.TIME_LIMIT)
    lines = projects.godot(session, "--path", folder, "res://reader.tscn")
    assert "Read: Hello from Godot" in lines
    told, _errors = writer.communicate(timeout=projects.TIME_LIMIT)
    assert writer.returncode == 0, told
    assert "Status: true" in told
    assert projects.errors_in(told.splitlines()) == [], told
    assert not path.exists(), "gone with its creator"


@segments_are_files
def test_reload_in_editor(session, name):
    folder = projects.make(session, "reload")
    projects.open_in_editor(session, folder)
    lines = projects.godot(
        session,
        "--editor",
        "--path",
        folder,
        env={**session.environment(), "RELOAD_NAME": name},
    )
    assert "the editor ends: all is well" in lines
    assert [line for line in lines if line.startswith("problem: ")] == []


def test_addon_folder_is_complete():
    projects.check_addon(PROJECT / "addons/shared_memory")
