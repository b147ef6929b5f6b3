"""The zips of ./build.sh package, unpacked and used as by somebody who has just got them."""

import importlib
import pathlib
import shutil
import sys
import zipfile

import pytest
from harness import projects
from harness.demos import PACKAGE, run_demo
from harness.editor import Editor
from harness.marks import linux_only, same_for_every_user
from harness.session import PROJECT, REPOSITORY

pytestmark = [linux_only, same_for_every_user, pytest.mark.timeout(300)]

sys.path.append(str(REPOSITORY / "tools"))
DEMOS = importlib.import_module("run_demo").DEMOS

# A project as the project manager makes it.
EMPTY = """config_version=5

[application]

config/name="Empty"
config/features=PackedStringArray("4.3", "GL Compatibility")
"""
DRIVER = """
[editor_plugins]

enabled=PackedStringArray("res://driver/plugin.cfg")
"""
# Nothing but the addon is there, so classes are asked for by their names.
MISSING = """
func run(names):
	var global := ProjectSettings.get_global_class_list().map(func(c): return str(c.class))
	return names.filter(func(name): return not ClassDB.class_exists(name) and not name in global)
"""
ENABLE = """
func run():
	await enable()
	# The editor saves a moment later.
	var saved := func(): return PLUGIN in FileAccess.get_file_as_string("res://project.godot")
	return panel().is_visible_in_tree() and await until(saved)
"""
IS_ENABLED = """
func run():
	return EditorInterface.is_plugin_enabled(PLUGIN) and panel() != null
"""
DISABLE = """
func run():
	EditorInterface.set_plugin_enabled(PLUGIN, false)
	await frames(3)
	return panel() == null
"""


@pytest.fixture(scope="module")
def zips(session):
    """Makes the zips; returns their paths, that of the addon and that of the demos."""
    code, lines = session.run([REPOSITORY / "build.sh", "package"], 280, env=None)
    assert code == 0, "\n".join(lines)
    return [pathlib.Path(line) for line in lines[-2:]]


@pytest.fixture
def addon_zip(zips):
    return zips[0]


@pytest.fixture
def empty_project(session, addon_zip):
    """Returns a project that has nothing but the content of the addon's zip."""
    folder = session.folder / session.name("empty")
    folder.mkdir()
    (folder / "project.godot").write_text(EMPTY, encoding="utf-8")
    unpack(addon_zip, folder)
    return folder


@pytest.fixture(scope="module")
def demo_project(session, zips):
    """Returns the project of the demos, which an editor has opened once."""
    folder = session.folder / session.name("demos")
    unpack(zips[1], folder)
    (project,) = folder.iterdir()
    open_without_new_files(session, project)
    return project


def unpack(archive, folder):
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)


def open_without_new_files(session, folder):
    """Opens a project in the editor, which must neither print an error nor add a file.

    A file that it would add, such as the identifier of a script, is missing in the zip.
    """
    before = files_in(folder)
    projects.open_in_editor(session, folder)
    assert sorted(files_in(folder) ^ before) == []


def files_in(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    # Godot's cache, which it makes in each project, and the projects' own settings of editors.
    return {name for name in names if not name.startswith((".godot", ".editorconfig"))}


def test_zip_works_in_a_game(session, addon_zip):
    folder = projects.make(session, "game", addon=None)
    unpack(addon_zip, folder)
    for needed in ("dock/plugin.gd", "dock/plugin.gd.uid"):
        assert (folder / "addons/shared_memory" / needed).exists()
    projects.check_addon(folder / "addons/shared_memory")
    projects.open_in_editor(session, folder)
    projects.play(session, [session.godot, "--headless", "--path", folder])


def test_zip_works_in_empty_project(session, empty_project):
    classes = [path.stem for path in projects.HELP.glob("*.xml")]
    scripts = (empty_project / "addons/shared_memory").glob("*.gd")
    classes += [path.stem.title().replace("_", "") for path in scripts]
    assert {"SharedMemory", "SharedMemoryTexture"} < set(classes)
    open_without_new_files(session, empty_project)
    # Only another plugin can enable it from here.
    shutil.copytree(PROJECT / "projects/dock/driver", empty_project / "driver")
    with (empty_project / "project.godot").open("a", encoding="utf-8") as settings:
        settings.write(DRIVER)
    editor = Editor(session, project=empty_project)
    assert editor.run(MISSING, classes) == []
    assert editor.run(ENABLE) is True, editor.printed()
    editor.end(keep=True)
    editor = Editor(session, project=empty_project)
    assert editor.run(IS_ENABLED) is True, "after a restart"
    assert editor.run(DISABLE) is True
    editor.end()


def test_demo_zip_opens_in_the_editor(demo_project):
    assert demo_project.name == "godot-shared-memory-demo"
    projects.check_addon(demo_project / "addons/shared_memory")


def test_scripts_in_demo_zip_are_executable(zips):
    # Other programs keep the modes that extractall() drops.
    with zipfile.ZipFile(zips[1]) as zipped:
        for entry in zipped.filelist:
            is_script = zipped.read(entry).startswith(b"#!")
            assert entry.external_attr >> 16 == (0o100755 if is_script else 0o100644)
            assert is_script or not entry.filename.endswith("chat.py")


@pytest.mark.parametrize("name", DEMOS)
def test_demo_of_zip_runs(session, demo_project, name):
    if DEMOS[name]["needs_package"] and not PACKAGE:
        pytest.skip("no Python package: ./build.sh test builds it")
    run_demo(session, name, SHM_DEMO_PROJECT=str(demo_project))
