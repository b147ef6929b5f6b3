"""An engine before 4.4, which has no way into the array that a Variant holds.

The library is built so that it doesn't ask for that way; everything else is as it is.
"""

import shutil

from harness import projects
from harness.gdscript import TestFile
from harness.scenario import Scenario
from harness.session import PROJECT, REPOSITORY

FEATURE = "without-internal-getter"
TIME_LIMIT = 300


class OlderEngine(Scenario):
    time_limit = 2 * TIME_LIMIT

    def build(self):
        """Build the library, and return where it is."""
        command = (
            "cargo build --release --locked --package godot_shared_memory --features"
        )
        code, lines = self.session.run(
            [*command.split(), FEATURE],
            TIME_LIMIT,
            cwd=REPOSITORY,
            env=None,
        )
        self.assertEqual(code, 0, "\n".join(lines))
        return next((REPOSITORY / "target/release").glob("*godot_shared_memory.so"))

    def test_read_into(self):
        if shutil.which("cargo") is None:
            self.skipTest("cargo is not on the PATH")
        library = self.build()
        folder = self.session.folder / self.session.name("older")
        shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(".godot"))
        for installed in (folder / "addons/shared_memory/bin").glob("*.so"):
            shutil.copy(library, installed)
        projects.list_addon(folder)
        for name in ("test_read_into.gd", "test_untyped.gd", "test_hostile.gd"):
            tests = TestFile(PROJECT / name, "")
            results = list(tests.run(self.session, folder))
            self.assertTrue(results)
            self.assertEqual([(r.name, r.problems) for r in results if r.problems], [])
