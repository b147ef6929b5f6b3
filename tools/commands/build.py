"""build.sh (build): the library for this machine, the addon folder, and the projects' copies of it."""

import addon
import needs
from common import parse

HELP = """\
Usage: ./build.sh [build]

Builds the addon for this machine, in release, puts the library into addons/shared_memory/bin/, and copies
addons/shared_memory/ into the Godot projects demo/, tests/ and bench/, so that Godot can open them.
"""


def main(arguments):
    parse("build", arguments)
    needs.check()
    addon.build()
