#!/usr/bin/env python3
"""Checks that a zip's manifest and its files say the same: check_package.py [--complete] ZIP

Every library has a key in the .gdextension file, and every icon that it names is there. With --complete,
every library that it names is there, too. Otherwise, at least one is there, because the zip may be for some
systems only.
"""

import configparser
import pathlib
import sys
import zipfile

ROOT = "addons/shared_memory/"
MANIFEST = ROOT + "shared_memory.gdextension"


def problems(archive, complete):
    names = set(archive.namelist())
    for name in sorted(names):
        if not name.startswith(ROOT) or ".." in name.split("/"):
            yield f"{name} is outside of {ROOT}"
    if MANIFEST not in names:
        yield f"there is no {MANIFEST}"
        return
    settings = configparser.ConfigParser(delimiters=("=",))
    settings.optionxform = str
    settings.read_string(archive.read(MANIFEST).decode())

    def files(section):
        for key, value in settings[section].items():
            yield key, value.strip('"').removeprefix("res://")

    libraries = dict(files("libraries"))
    there = {name for name in names if name.startswith(ROOT + "bin/")}
    if not there:
        yield "there is no library"
    yield from (f"{name} has no key" for name in sorted(there - set(libraries.values())))
    for key, name in libraries.items():
        if complete and name not in names:
            yield f"the key {key} names {name}, which is not there"
    for key, name in files("icons"):
        if name not in names:
            yield f"the icon of {key} is {name}, which is not there"


def problems_of(path, complete):
    with zipfile.ZipFile(path) as archive:
        return [f"{pathlib.Path(path).name}: {problem}" for problem in problems(archive, complete)]


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
