"""Windows on a screen without a monitor (Xvfb), drawn in software where there is no graphics card."""

import pathlib

from .session import AGENT, PROJECT

# The renderers, by a text that Godot prints when it uses them. It may take another one than it was told.
PRINTED = {"opengl3": "OpenGL API", "vulkan": "Vulkan"}
# Xvfb has no V-Sync.
WARNINGS = ("Could not set V-Sync mode",)
TIME_LIMIT = 60


class Renderers:
    """The renderers of a run of tests, which share a home: compiled shaders are kept there."""

    def __init__(self, session):
        self._session = session
        self._problems = {}
        self._environment = session.environment()
        # Beside a Godot that build.sh has fetched.
        kit = pathlib.Path(session.godot).parents[1]
        drivers = sorted(kit.glob("root/usr/share/vulkan/icd.d/lvp_icd*.json"))
        if drivers:
            self._environment.setdefault("VK_DRIVER_FILES", str(drivers[0]))

    def command(self, renderer, project=PROJECT):
        """Returns the command that starts Godot with a window."""
        options = ["--rendering-driver", renderer, "--audio-driver", "Dummy"]
        return [self._session.godot, "--path", project, *options]

    def environment(self, display):
        return {**self._environment, "DISPLAY": display}

    def problem(self, renderer, display):
        """Returns the reason why Godot can't draw with that renderer, or None."""
        if renderer not in self._problems:
            # Without input, it ends at once.
            command = [*self.command(renderer), "-s", AGENT]
            environment = self.environment(display)
            code, lines = self._session.run(command, TIME_LIMIT, env=environment)
            found = any(line.startswith(PRINTED[renderer]) for line in lines)
            problem = f"no window with {renderer}: {lines[-3:]}"
            self._problems[renderer] = None if code == 0 and found else problem
        return self._problems[renderer]
