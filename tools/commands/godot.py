"""build.sh godot: finds a Godot to work with."""

import find_godot
from common import parse

HELP = """\
Usage: ./build.sh godot [--template | --official VERSION]

Prints the path of a Godot 4.3 or newer, and nothing else, on stdout. Looked for, in this order:
  1. the program that the variable GODOT names (used or refused, never skipped);
  2. godot4, then godot, on the PATH;
  3. on Debian and its relatives: Debian's own packages, fetched once into target/godot/ from the mirror that
     this system is set up for. Nothing is installed, and no root is needed;
  4. elsewhere: the official build, fetched once into target/.

  --template   print the path of the release export template that belongs to that Godot instead. The variable
               GODOT_TEMPLATE names one; otherwise it comes with 3., or from where the editor keeps templates.
  --official   fetch the official build of that version (such as 4.3) for this system into
               target/godot-VERSION/ if it isn't there, and print the path of that:
               GODOT=$(./build.sh godot --official 4.3) ./build.sh test
"""


def main(arguments):
    _, options = parse("godot", arguments, options=("--template", "--official="))
    if "--official" in options:
        path = find_godot.official(options["--official"])
    elif "--template" in options:
        path = find_godot.find_template(find_godot.find())
    else:
        path = find_godot.find()
    print(path.as_posix())
