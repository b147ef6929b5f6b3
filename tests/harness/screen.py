"""Windows on a screen without a monitor (Xvfb), drawn in software where there is no graphics card."""

import pathlib

from .session import AGENT, PROJECT

# The renderers, by a text that Godot prints when it uses them. It may take another one than it was told.
PRINTED = {"opengl3": "OpenGL API", "vulkan": "Vulkan"}
# Xvfb has none.
WARNING = "Could not set V-Sync mode"
TIME_LIMIT = 60


def command(session, renderer, project=PROJECT):
    """Returns the command that starts Godot with a window."""
    options = ["--rendering-driver", renderer, "--audio-driver", "Dummy"]
    return [session.godot, "--path", project, *options]


def environment(session, display):
    variables = {**session.environment(), "DISPLAY": display}
    # Beside a Godot that build.sh has fetched.
    kit = pathlib.Path(session.godot).parents[1]
    drivers = sorted(kit.glob("root/usr/share/vulkan/icd.d/lvp_icd*.json"))
    if drivers and "VK_DRIVER_FILES" not in variables:
        variables["VK_DRIVER_FILES"] = str(drivers[0])
    return variables


def problem(session, display, renderer):
    """Returns the reason why Godot can't draw with that renderer, or None."""
    code, lines = session.run(
        # Without input, it ends at once.
        [*command(session, renderer), "-s", AGENT],
        TIME_LIMIT,
        env=environment(session, display),
    )
    if code == 0 and any(line.startswith(PRINTED[renderer]) for line in lines):
        return None
    return f"no window with {renderer}: {lines[-3:]}"
