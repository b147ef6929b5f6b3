"""Copies of tests/projects, for an export, the editor, and an addon from its zip."""

import configparser
import platform
import re
import shutil
import subprocess

import pytest

from .judge import is_error, plain
from .session import PROJECT, REPOSITORY, file_of, kill, wait_until

TIME_LIMIT = 60
HELP = REPOSITORY / "rust/addon/doc_classes"
PROJECTS = PROJECT / "projects"
ADDON = PROJECT / "addons/shared_memory"


def make(session, kind, addon=ADDON):
    """Copies one of tests/projects, and puts the addon in, if one is given."""
    folder = session.folder / session.name(kind)
    shutil.copytree(PROJECTS / kind, folder)
    if addon:
        shutil.copytree(addon, folder / "addons/shared_memory")
    return folder


def list_addon(folder):
    """Makes Godot load the addon, as the editor does when it first finds it."""
    (folder / ".godot").mkdir()
    listed = "res://addons/shared_memory/shared_memory.gdextension\n"
    (folder / ".godot/extension_list.cfg").write_text(listed, encoding="utf-8")


def architecture():
    """Returns Godot's name of this machine's processor."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)


def errors_in(lines):
    return [line for line in map(plain, lines) if is_error(line)]


def godot(session, *arguments, **options):
    """Runs Godot to its end, which must be without an error."""
    command = [session.godot, "--headless", *arguments]
    code, lines = session.run(command, TIME_LIMIT, **options)
    told = "\n".join(lines)
    assert code == 0, f"the exit code is {code}\n{told}"
    assert errors_in(lines) == [], told
    return lines


def open_in_editor(session, folder):
    """Lets Godot find and import what is in a project, as its editor does when it is first opened.

    Not with --import: Godot 4.5 and 4.6 crash if they end while they make the documentation of a new
    extension (godotengine/godot#111048). On a busy machine, that takes longer than 200 frames.
    """
    godot(session, "--editor", "--path", folder, "--quit-after", "1000")


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
    assert errors_in(told.splitlines()) == [], told
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
