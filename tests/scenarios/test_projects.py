"""The addon in projects of its own: exported, reloaded in the editor, fresh from the zip."""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from harness import projects
from harness.effort import seconds_more
from harness.gdscript import TestFile, shown
from harness.marks import same_for_every_user, segments_are_files
from harness.session import PROJECT, REPOSITORY, file_of, kill, wait_until

TIME_LIMIT = 60
HELP = REPOSITORY / "rust/addon/doc_classes"
pytestmark = pytest.mark.timeout(300 + seconds_more())


def godot(session, *arguments, **options):
    """Runs Godot to its end, which must be without an error."""
    command = [session.godot, "--headless", *arguments]
    code, lines = session.run(command, TIME_LIMIT, **options)
    told = "\n".join(lines)
    assert code == 0, told
    assert projects.errors_in(lines) == [], told
    return lines


def open_in_editor(session, folder):
    """Lets Godot find and import what is in a project, as its editor does when it is first opened.

    Not with --import: Godot 4.5 and 4.6 crash if they end while they make the documentation of a new
    extension (godotengine/godot#111048).
    """
    godot(session, "--editor", "--path", folder, "--quit-after", "200")


def play(session, command, **options):
    """Runs the game of projects/game, and answers it as any other program would."""
    name = session.name()
    game = session.start(
        [*command, "--", name],
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        **options,
    )
    try:
        answer(name, game)
        told, _errors = game.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        kill(game)
        pytest.fail(f"the game does not end\n{game.stdout.read()}")
    finally:
        game.stdout.close()
    assert game.returncode == 0, told
    assert "the game ends: all is well" in told
    assert projects.errors_in(told.splitlines()) == [], told
    assert not file_of(name).exists()


def answer(name, game):
    path = file_of(name)

    def has_written():
        return path.exists() and path.read_bytes()[:13] == b"from the game"

    # After it has written, it waits for this answer.
    wait_until(lambda: has_written() or game.poll() is not None, TIME_LIMIT)
    if has_written():
        with open(path, "r+b") as file:
            file.seek(500)
            file.write(b"from the test")


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
    open_in_editor(session, folder)
    game = session.folder / session.name("export") / "game"
    game.parent.mkdir()
    godot(session, "--path", folder, "--export-release", "Game", game)
    libraries = [path.name for path in game.parent.glob("*.so")]
    assert len(libraries) == 1, "the library lies beside the game"
    return game


@segments_are_files
def test_exported_game(session):
    game = export(session, projects.make(session, "game"))
    play(session, [game, "--headless"], cwd=game.parent)


# Each file has a limit of its own.
@pytest.mark.timeout(900 + seconds_more())
@same_for_every_user
@segments_are_files
def test_gdscript_tests_pass_in_exported_game(session, note):
    # A release build of the engine checks less, and has no debugger.
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
    game = export(session, folder)
    passed, failures = 0, {}
    for path in sorted(PROJECT.glob("test_*.gd")):
        file = TestFile(path)
        if not file.tests:
            continue
        judge = file.run(session, game=game)
        failures.update(judge.failures())
        for result in judge.results.values():
            passed += not result.problems and result.skipped is None
            for text in result.notes:
                note(f"{result.name}: {text}")
            if result.problems:
                print(f"{result.name}:", *shown(result.log), sep="\n")
    note(f"{passed} tests passed in it")
    assert failures == {}


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
    open_in_editor(session, folder)
    command = [session.godot, "--headless", "--path", folder]
    writer = session.start(
        [*command, "res://writer.tscn"], stdout=subprocess.PIPE, text=True
    )
    wait_until(path.exists, TIME_LIMIT)
    lines = godot(session, "--path", folder, "res://reader.tscn")
    assert "Read: Hello from Godot" in lines
    told, _errors = writer.communicate(timeout=TIME_LIMIT)
    assert writer.returncode == 0, told
    assert "Status: true" in told
    assert projects.errors_in(told.splitlines()) == [], told
    assert not path.exists(), "gone with its creator"


@segments_are_files
def test_reload_in_editor(session, name):
    folder = projects.make(session, "reload")
    open_in_editor(session, folder)
    lines = godot(
        session,
        "--editor",
        "--path",
        folder,
        env={**session.environment(), "RELOAD_NAME": name},
    )
    assert "the editor ends: all is well" in lines
    assert [line for line in lines if line.startswith("problem: ")] == []


@segments_are_files
def test_zip_works_in_empty_project(session):
    code, lines = session.run([REPOSITORY / "build.sh", "package"], 280, env=None)
    assert code == 0, "\n".join(lines)
    archive = lines[-1]
    folder = projects.make(session, "game", addon=None)
    with zipfile.ZipFile(archive) as zipped:
        names = zipped.namelist()
        zipped.extractall(folder)
    strangers = [n for n in names if not n.startswith("addons/shared_memory/")]
    assert strangers == [], "addons/ is all there is at its root"
    for needed in ("LICENSE", "README.md", "shared_memory.gdextension"):
        assert f"addons/shared_memory/{needed}" in names
    check_addon(folder / "addons/shared_memory")
    open_in_editor(session, folder)
    play(session, [session.godot, "--headless", "--path", folder])


def test_addon_folder_is_complete():
    check_addon(PROJECT / "addons/shared_memory")


def check_addon(folder):
    """Checks that the .gdextension file names each library, and that the icons it names exist."""
    settings = configparser.ConfigParser(delimiters=("=",))
    settings.optionxform = str
    settings.read(folder / "shared_memory.gdextension", encoding="utf-8")

    def file(value):
        path = value.strip('"')
        # Relative to the file, or to the project.
        start = "res://addons/shared_memory/"
        assert not (path.startswith("res://") and not path.startswith(start))
        return path[len(start) :] if path.startswith(start) else path

    assert settings["configuration"]["entry_symbol"] == '"godot_shared_memory_init"'
    assert settings["configuration"]["compatibility_minimum"] == '"4.3"'
    libraries = {key: file(value) for key, value in settings["libraries"].items()}
    systems = {tuple(key.split(".")[:1]) for key in libraries}
    assert systems == {("linux",), ("windows",), ("macos",)}
    built = {path.relative_to(folder).as_posix() for path in folder.glob("bin/*")}
    built = {path for path in built if not path.endswith(".new")}
    assert built != set(), "there is a library"
    assert built - set(libraries.values()) == set(), "a library without a key"
    for key, path in libraries.items():
        assert re.search(r"^bin/\w+\.(linux|windows|macos)\.\w+\.\w+$", path), key
    icons = {key: file(value) for key, value in settings["icons"].items()}
    classes = {path.stem for path in HELP.glob("*.xml")}
    assert set(icons) == classes, "one for each class"
    for key, path in icons.items():
        assert (folder / path).is_file(), f"{key}: {path}"
