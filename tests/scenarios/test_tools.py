"""The tools that check and fetch: that they notice what is wrong."""

import hashlib
import importlib.util
import subprocess
import sys
import unittest
import zipfile

from harness.scenario import Scenario
from harness.session import REPOSITORY

TOOLS = REPOSITORY / "tools"
ROOT = "addons/shared_memory/"
MANIFEST = """[configuration]
entry_symbol = "godot_shared_memory_init"

[libraries]
linux.x86_64 = "res://addons/shared_memory/bin/one.so"
macos = "res://addons/shared_memory/bin/two.dylib"

[icons]
SharedMemory = "res://addons/shared_memory/icon.svg"
"""
COMPLETE = {"shared_memory.gdextension", "icon.svg", "bin/one.so", "bin/two.dylib"}


def run(tool, *arguments):
    command = [sys.executable, TOOLS / tool, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@unittest.skipUnless(TOOLS.is_dir(), "part of the repository only")
class CheckPackage(Scenario):
    def check(self, files, *arguments):
        archive = self.session.folder / self.session.name("package")
        with zipfile.ZipFile(archive, "w") as made:
            for name in files:
                made.writestr(ROOT + name, MANIFEST)
        done = run("check_package.py", *arguments, archive)
        return done.returncode, done.stderr

    def test_keys_and_files_agree(self):
        self.assertEqual(self.check(COMPLETE, "--complete"), (0, ""))

    def test_a_key_without_a_library(self):
        code, told = self.check(COMPLETE - {"bin/two.dylib"}, "--complete")
        self.assertEqual(code, 1)
        self.assertIn("the key macos names addons/shared_memory/bin/two.dylib", told)
        # In a zip that is for some systems only, there may be one; but not only such.
        self.assertEqual(self.check(COMPLETE - {"bin/two.dylib"})[0], 0)
        code, told = self.check({"shared_memory.gdextension", "icon.svg"})
        self.assertEqual(code, 1)
        self.assertIn("there is no library", told)

    def test_a_library_without_a_key(self):
        code, told = self.check(COMPLETE | {"bin/three.dll"}, "--complete")
        self.assertEqual(code, 1)
        self.assertIn("bin/three.dll has no key", told)

    def test_an_icon_that_is_not_there(self):
        code, told = self.check(COMPLETE - {"icon.svg"})
        self.assertEqual(code, 1)
        self.assertIn("the icon of SharedMemory", told)

    def test_files_elsewhere(self):
        code, told = self.check(COMPLETE | {"../other/file"})
        self.assertEqual(code, 1)
        self.assertIn("is outside", told)


@unittest.skipUnless(TOOLS.is_dir(), "part of the repository only")
class OfficialGodot(Scenario):
    """With a release of our own making, as the network's isn't always there."""

    CONTENT = b"the program"

    def setUp(self):
        super().setUp()
        specification = importlib.util.spec_from_file_location(
            "official_godot", TOOLS / "official_godot.py"
        )
        tool = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(tool)
        self.archive, self.program = tool.build_for_this_system("4.9-stable")
        self.source = self.session.folder / self.session.name("releases")
        self.folder = self.session.folder / self.session.name("godot")
        release = self.source / "4.9-stable"
        release.mkdir(parents=True)
        with zipfile.ZipFile(release / self.archive, "w") as made:
            entry = zipfile.ZipInfo(self.program)
            entry.external_attr = 0o100755 << 16
            made.writestr(entry, self.CONTENT)
        digest = hashlib.sha512((release / self.archive).read_bytes()).hexdigest()
        self.sums = release / "SHA512-SUMS.txt"
        self.sums.write_text(f"{digest}  {self.archive}\n", encoding="utf-8")

    def fetch(self):
        return run("official_godot.py", "4.9", self.folder, self.source.as_uri())

    def test_fetched_once(self):
        program = self.folder / self.program
        done = self.fetch()
        self.assertEqual(
            (done.returncode, done.stdout), (0, f"{program.as_posix()}\n"), done.stderr
        )
        self.assertEqual(program.read_bytes(), self.CONTENT)
        self.assertTrue(program.stat().st_mode & 0o100, "it can be started")
        (self.source / "4.9-stable" / self.archive).unlink()
        self.assertEqual(self.fetch().stdout, f"{program.as_posix()}\n")

    def test_something_else_is_refused(self):
        with open(self.source / "4.9-stable" / self.archive, "ab") as file:
            file.write(b"!")
        done = self.fetch()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("is not what its release lists", done.stderr)
        self.assertFalse(self.folder.exists())

    def test_what_no_release_lists_is_refused(self):
        self.sums.write_text("", encoding="utf-8")
        done = self.fetch()
        self.assertEqual(done.returncode, 1)
        self.assertIn("no checksum", done.stderr)
        self.assertFalse(self.folder.exists())
