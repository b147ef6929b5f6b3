"""The demo telemetry: the instruments show what the simulator published, whatever happens to it."""

import re
import signal
import subprocess

from harness import projects
from harness.demos import Demo, after
from harness.judge import plain

NUMBER = re.compile(r"\d+(?:\.\d+)?")
WAITING = "Waiting for the simulator: python3 demo/python/simulator.py"
HERE = "The simulator is here."
SILENT = "The simulator is silent: it hangs, or was killed."


class Telemetry(Demo):
    names = ("SharedMemoryTelemetry",)

    def test_demo_telemetry(self):
        said = self.run_demo("telemetry")
        shown = after(said, "Godot shows ")
        published = after(said, "Python was read up to ")
        self.assertEqual(len(shown), 2, "once in each order")
        self.assertEqual(len(published), 2, "once in each order")
        for one, other in zip(shown, published):
            self.assert_same_record(one, other)

    def test_demo_simulator_ends_and_another_comes(self):
        self.replace_simulator(signal.SIGTERM, WAITING)

    def test_demo_simulator_is_killed_and_another_comes(self):
        self.replace_simulator(signal.SIGKILL, SILENT)

    def replace_simulator(self, number, told):
        scene = self.start(self.scene("telemetry"))
        first = self.start(self.partner("simulator.py"))
        with scene.stdout as words, first.stdout:
            lines = []
            self.read_until(words, lines, HERE)
            first.send_signal(number)
            first.wait(20)
            self.read_until(words, lines, told)
            second = self.start(self.partner("simulator.py", "--auto"))
            with second.stdout:
                lines += [plain(line.rstrip()) for line in words]
                self.assertEqual(scene.wait(20), 0, lines)
                published = after(
                    second.stdout.read().splitlines(), "Python was read up to "
                )
                self.assertEqual(second.wait(20), 0)
        self.assertEqual(after(lines, "Godot says: "), [HERE, told, HERE])
        self.assertEqual(projects.errors_in(lines), [])
        self.assertEqual(len(published), 1)
        self.assert_same_record(after(lines, "Godot shows ")[0], published[0])

    def start(self, command):
        return self.session.start(command, stdout=subprocess.PIPE, text=True)

    def read_until(self, words, lines, end):
        for line in words:
            lines.append(plain(line.rstrip()))
            if lines[-1] == f"Godot says: {end}":
                return
        self.fail(f"Godot did not say {end!r}:\n" + "\n".join(lines))

    def assert_same_record(self, shown, published):
        """Compare two descriptions: words, number of the record, and the values but for their rounding."""
        self.assertEqual(NUMBER.sub("#", shown), NUMBER.sub("#", published))
        pairs = list(zip(NUMBER.findall(shown), NUMBER.findall(published)))
        self.assertEqual(pairs[0][0], pairs[0][1])
        for one, other in pairs[1:]:
            step = 10.0 ** -len(one.partition(".")[2])
            self.assertAlmostEqual(
                float(one), float(other), delta=1.01 * step, msg=(shown, published)
            )
