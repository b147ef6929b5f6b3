"""The README's first example, as it stands there."""

import re
import subprocess
import sys
import time
import unittest

from harness import projects
from harness.scenario import Scenario
from harness.session import REPOSITORY, SHARED, kill

TIME_LIMIT = 30


def first_block(language):
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return re.search(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1]


class Readme(Scenario):
    @unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
    def test_first_example(self):
        folder = projects.make(self.session, "readme")
        (folder / "main.gd").write_text(first_block("gdscript"), encoding="utf-8")
        projects.list_addon(folder)
        memory = self.file(re.search(r'create\("(\w+)"', first_block("gdscript"))[1])
        self.assertFalse(memory.exists(), "another game of this example runs already")
        game = self.session.start(
            [self.session.godot, "--headless", "--path", folder],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.wait_until(memory.exists)
            partner = [sys.executable, "-c", first_block("python")]
            code, lines = self.session.run(partner, TIME_LIMIT)
            self.assertEqual((code, lines), (0, ["Hello from Godot!"]))
            # The game closes it when it has the answer.
            self.wait_until(lambda: not memory.exists())
        finally:
            kill(game)
            told = game.stdout.read()
            game.stdout.close()
            memory.unlink(missing_ok=True)
        self.assertIn("Hello from Python!", told)
        self.assertEqual(projects.errors_in(told.splitlines()), [], told)

    def wait_until(self, condition):
        until = time.monotonic() + TIME_LIMIT
        while not condition():
            self.assertLess(time.monotonic(), until, "nothing happens")
            time.sleep(0.02)
