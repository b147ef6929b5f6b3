#!/usr/bin/env python3
"""Checks a zip of ./build.sh package: check_package.py [--complete] ZIP

- Each file is in the folder that the kind of the zip has, and none would end outside of it.
- A script may be run, and no other file.
- The addon in it has the version of the zip's name, and a licence.
- The .gdextension file and the files say the same: each library has a key, and each icon that it names is
  there. With --complete, each library that it names is there, too. Otherwise, at least one is there, because
  the zip may be for some systems only.
- A zip of the demos has a project, in which Godot ignores the programs in Python.
"""

import configparser
import pathlib
import re
import sys
import zipfile

NAME = "godot-shared-memory"
DEMO = f"{NAME}-demo"
ADDON = "addons/shared_memory/"
MANIFEST = ADDON + "shared_memory.gdextension"
# Godot ignores a folder with this file.
IGNORE = ".gdignore"
FOR_A_PROJECT = ("project.godot", "README.md", "LICENSE", "icon.svg", f"python/{IGNORE}")
# Godot's asset library demands a licence, and the editor's list of plugins shows the rest.
FOR_AN_ADDON = ("LICENSE", "README.md", "THIRD_PARTY_NOTICES.txt", "plugin.cfg")
# Left by Godot and by Python.
STRAY = (".godot", "__pycache__")


def mode_of(data):
    """Returns the mode of a file with these bytes: everybody may run a script."""
    return 0o100755 if data.startswith(b"#!") else 0o100644


def problems(archive, complete, version, root=""):
    """Yields what is wrong with an archive, whose project, or part of one, is in the folder `root`."""
    names = {name.removeprefix(root) for name in archive.namelist()}
    for name in sorted(archive.namelist()):
        parts = name.split("/")
        if not name.startswith(root or ADDON) or ".." in parts:
            yield f"{name} is outside of {root or ADDON}"
        if not set(parts).isdisjoint(STRAY):
            yield f"{name} was left by a program"
        if archive.getinfo(name).external_attr >> 16 != mode_of(archive.read(name)):
            yield f"{name} has the mode {archive.getinfo(name).external_attr >> 16:o}"
    needed = [f"{ADDON}{name}" for name in FOR_AN_ADDON] + [*(FOR_A_PROJECT if root else ())]
    yield from (f"there is no {root}{name}" for name in needed if name not in names)
    if MANIFEST not in names:
        yield f"there is no {MANIFEST}"
        return
    found = settings(archive, f"{root}{ADDON}plugin.cfg")["plugin"]["version"].strip('"')
    if found != version:
        yield f"the plugin has version {found}"
    manifest = settings(archive, root + MANIFEST)

    def files(section):
        for key, value in manifest[section].items():
            yield key, value.strip('"').removeprefix("res://")

    libraries = dict(files("libraries"))
    there = {name for name in names if name.startswith(ADDON + "bin/")}
    if not there:
        yield "there is no library"
    yield from (f"{name} has no key" for name in sorted(there - set(libraries.values())))
    for key, name in libraries.items():
        if complete and name not in names:
            yield f"the key {key} names {name}, which is not there"
    for key, name in files("icons"):
        if name not in names:
            yield f"the icon of {key} is {name}, which is not there"


def settings(archive, name):
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str
    parser.read_string(archive.read(name).decode())
    return parser


def problems_of(path, complete):
    path = pathlib.Path(path)
    found = re.fullmatch(rf"({NAME}|{DEMO})-(\d.*)\.zip", path.name)
    if found is None:
        return [f"{path.name} is not the name of a package"]
    kind, version = found.groups()
    with zipfile.ZipFile(path) as archive:
        told = problems(archive, complete, version, f"{kind}/" if kind == DEMO else "")
        return [f"{path.name}: {problem}" for problem in told]


def main():
    complete = "--complete" in sys.argv[1:]
    paths = [argument for argument in sys.argv[1:] if argument != "--complete"]
    if len(paths) != 1:
        sys.exit(__doc__)
    found = problems_of(paths[0], complete)
    for problem in found:
        print(problem, file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
