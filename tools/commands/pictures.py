"""build.sh pictures: the moving pictures of the documentation."""

import addon
import find_godot
import needs
import pypi
import python_package
from common import ROOT, Failure, have, must, parse, require_linux, say

from . import wheel

FOLDER = ROOT / "docs/images"
RECORDER = ROOT / "tools/recorder/record.py"

HELP = """\
Usage: ./build.sh pictures [NAME]

Builds the addon and the Python package, and records a demo in a window under Xvfb, beside the code and the
output of its partner in Python: docs/images/NAME.webp, as README.md shows water.webp. NAME is water, if none
is given; tools/recorder/record.py lists them. Another one is one line there. Pillow comes from PyPI into
target/pictures-venv. Linux only.

If NAME is icon, makes docs/images/icon.png of demo/icon.svg instead, for Godot's asset library.
"""


def main(arguments):
    words, _ = parse("pictures", arguments, most=1)
    name = words[0] if words else "water"
    if name == "icon":
        make_icon(find_godot.find())
        return
    require_linux("pictures", "this records on Linux only")
    if not have("Xvfb"):
        raise Failure("pictures: Xvfb is needed, a screen without a monitor: apt install xvfb")
    wheel.check_python()
    needs.check(needs.VENV)
    godot = find_godot.find()
    addon.build()
    partner = python_package.python()
    python = pypi.programs("pictures") / "python"
    say(f"recording {name}")
    picture = FOLDER / f"{name}.webp"
    must([python, RECORDER, "--godot", godot, "--python", partner, name, picture])
    print(picture.as_posix())


def make_icon(godot):
    # The asset library wants a square PNG, and shows it on screens of any density.
    icon = FOLDER / "icon.png"
    words = [ROOT / "demo/icon.svg", icon, 4]
    must([godot, "--headless", "-s", ROOT / "tools/recorder/icon.gd", "--", *words])
    print(icon.as_posix())
