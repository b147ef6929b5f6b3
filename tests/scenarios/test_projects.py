"""The addon in projects of its own: exported, reloaded in the editor, fresh from the zip."""

import configparser
import shutil
import subprocess
import sys
import time
import unittest
import zipfile

from harness import gdscript, projects
from harness.effort import seconds_more
from harness.scenario import Scenario
from harness.session import PROJECT, REPOSITORY, SHARED, kill

TIME_LIMIT = 60
BUILD = REPOSITORY / "build.sh"
ADDON = REPOSITORY / "addons/shared_memory"
HELP = REPOSITORY / "rust/addon/doc_classes"


class Projects(Scenario):
    time_limit = 300 + seconds_more()

    def godot(self, *arguments, **options):
        """Run Godot to its end; nothing may go wrong."""
        command = [self.session.godot, "--headless", *arguments]
        code, lines = self.session.run(command, TIME_LIMIT, **options)
        told = "\n".join(lines)
        self.assertIsNotNone(code, f"it does not end\n{told}")
        self.assertEqual(code, 0, told)
        self.assertEqual(projects.errors_in(lines), [], told)
        return lines

    def open_in_editor(self, folder):
        """Let Godot find and import what is in a project, as its editor does when it is first opened.

        Not with --import: Godot 4.5 and 4.6 crash when they end while they still make the documentation of
        an extension that they have just found (godotengine/godot#111048).
        """
        self.godot("--editor", "--path", folder, "--quit-after", "200")

    def play(self, command, **options):
        """Run the game of projects/game, and answer it as any other program would."""
        name = self.name()
        game = self.session.start(
            [*command, "--", name],
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            **options,
        )
        try:
            self.answer(name, game)
            told, _errors = game.communicate(timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            kill(game)
            self.fail(f"the game does not end\n{game.stdout.read()}")
        finally:
            game.stdout.close()
        self.assertEqual(game.returncode, 0, told)
        self.assertIn("the game ends: all is well", told)
        self.assertEqual(projects.errors_in(told.splitlines()), [], told)
        self.assertFalse(self.file(name).exists())

    def answer(self, name, game):
        path = self.file(name)
        until = time.monotonic() + TIME_LIMIT
        # Once it has written, it waits for us.
        while game.poll() is None and time.monotonic() < until:
            if path.exists() and path.read_bytes()[:13] == b"from the game":
                with open(path, "r+b") as file:
                    file.seek(500)
                    file.write(b"from the test")
                return
            time.sleep(0.02)

    def export(self, folder):
        """Export a copy of projects/game; return the program."""
        if not self.session.template:
            self.skipTest("no export template was given (--template)")
        if sys.platform != "linux":
            self.skipTest("the project has a preset for Linux only")
        presets = folder / "export_presets.cfg"
        presets.write_text(
            presets.read_text(encoding="utf-8").format(
                template=self.session.template, architecture=projects.architecture()
            ),
            encoding="utf-8",
        )
        self.open_in_editor(folder)
        game = self.session.folder / self.session.name("export") / "game"
        game.parent.mkdir()
        self.godot("--path", folder, "--export-release", "Game", game)
        libraries = [path.name for path in game.parent.glob("*.so")]
        self.assertEqual(len(libraries), 1, "the library lies beside the game")
        return game

    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_exported_game(self):
        game = self.export(projects.make(self.session, "game"))
        self.play([game, "--headless"], cwd=game.parent)

    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_tests_in_an_exported_game(self):
        """A release build of the engine checks less, and has no debugger: all tests in GDScript once more."""
        folder = projects.make(self.session, "game")
        without = ("*.py", "addons", "fixtures", "projects", ".godot", "project.godot")
        ignore = shutil.ignore_patterns(*without)
        shutil.copytree(PROJECT, folder, ignore=ignore, dirs_exist_ok=True)
        settings = folder / "project.godot"
        text = settings.read_text(encoding="utf-8")
        text = text.replace("res://game.tscn", "res://in_game.tscn")
        settings.write_text(text, encoding="utf-8")
        game = self.export(folder)
        passed = 0
        for file in gdscript.discover(PROJECT, ""):
            for result in file.run(self.session, game=game):
                with self.subTest(result.name):
                    told = "\n".join(result.log[-40:])
                    self.assertEqual(result.problems, [], told)
                passed += not result.problems and result.skipped is None
                for note in result.notes:
                    self.note(f"{result.name}: {note}")
        self.note(f"{passed} tests passed in it")

    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_scripts_for_an_older_addon(self):
        folder = projects.make(self.session, "classic")
        # Everything but the name stays: these tests may run twice at once.
        name = self.name()
        for script in folder.glob("*.gd"):
            text = script.read_text(encoding="utf-8")
            self.assertIn('"SharedMemoryExample"', text)
            text = text.replace("SharedMemoryExample", name)
            script.write_text(text, encoding="utf-8")
        path = self.file(name)
        self.open_in_editor(folder)
        command = [self.session.godot, "--headless", "--path", folder]
        writer = self.session.start(
            [*command, "res://writer.tscn"], stdout=subprocess.PIPE, text=True
        )
        until = time.monotonic() + TIME_LIMIT
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.02)
        lines = self.godot("--path", folder, "res://reader.tscn")
        self.assertIn("Read: Hello from Godot", lines)
        told, _errors = writer.communicate(timeout=TIME_LIMIT)
        self.assertEqual(writer.returncode, 0, told)
        self.assertIn("Status: true", told)
        self.assertEqual(projects.errors_in(told.splitlines()), [], told)
        self.assertFalse(path.exists(), "gone with its creator")

    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_reloaded_in_the_editor(self):
        folder = projects.make(self.session, "reload")
        name = self.name()
        self.open_in_editor(folder)
        lines = self.godot(
            "--editor",
            "--path",
            folder,
            env={**self.session.environment(), "RELOAD_NAME": name},
        )
        self.assertIn("the editor ends: all is well", lines)
        self.assertEqual([], [line for line in lines if line.startswith("problem: ")])

    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_zip_in_an_empty_project(self):
        if not BUILD.exists():
            self.skipTest("made from the repository only")
        code, lines = self.session.run([BUILD, "package"], 280, env=None)
        self.assertEqual(code, 0, "\n".join(lines))
        archive = lines[-1]
        folder = projects.make(self.session, "game", addon=None)
        with zipfile.ZipFile(archive) as zipped:
            names = zipped.namelist()
            zipped.extractall(folder)
        strangers = [n for n in names if not n.startswith("addons/shared_memory/")]
        self.assertEqual(strangers, [], "addons/ is all there is at its root")
        for needed in ("LICENSE", "README.md", "shared_memory.gdextension"):
            self.assertIn(f"addons/shared_memory/{needed}", names)
        self.check_addon(folder / "addons/shared_memory")
        self.open_in_editor(folder)
        self.play([self.session.godot, "--headless", "--path", folder])

    def test_addon_folder(self):
        self.check_addon(PROJECT / "addons/shared_memory")

    def check_addon(self, folder):
        """Every library is in the .gdextension file, and every file that it names and should be there is."""
        settings = configparser.ConfigParser(delimiters=("=",))
        settings.optionxform = str
        settings.read(folder / "shared_memory.gdextension", encoding="utf-8")

        def file(value):
            path = value.strip('"')
            # Relative to the file, or to the project.
            start = "res://addons/shared_memory/"
            self.assertFalse(path.startswith("res://") and not path.startswith(start))
            return path[len(start) :] if path.startswith(start) else path

        self.assertEqual(
            settings["configuration"]["entry_symbol"], '"godot_shared_memory_init"'
        )
        self.assertEqual(settings["configuration"]["compatibility_minimum"], '"4.3"')
        libraries = {key: file(value) for key, value in settings["libraries"].items()}
        systems = {tuple(key.split(".")[:1]) for key in libraries}
        self.assertEqual(systems, {("linux",), ("windows",), ("macos",)})
        built = {path.relative_to(folder).as_posix() for path in folder.glob("bin/*")}
        built = {path for path in built if not path.endswith(".new")}
        self.assertNotEqual(built, set(), "there is a library")
        self.assertEqual(
            built - set(libraries.values()), set(), "a library without a key"
        )
        for key, path in libraries.items():
            self.assertRegex(path, r"^bin/\w+\.(linux|windows|macos)\.\w+\.\w+$", key)
        icons = {key: file(value) for key, value in settings["icons"].items()}
        classes = {path.stem for path in HELP.glob("*.xml")}
        self.assertEqual(set(icons), classes, "one for each class")
        for key, path in icons.items():
            self.assertTrue((folder / path).is_file(), f"{key}: {path}")
