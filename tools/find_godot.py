"""The Godot to work with, its version, and its export template."""

import os
import pathlib
import re
import shutil
import subprocess

import debian
import official_godot
from common import MACHINE, SYSTEM, TARGET, Failure, say
from rust import is_new_enough

# The compatibility_minimum of the .gdextension file.
MINIMUM = "4.3"
# Fetched where there is no other, and no Debian.
OFFICIAL = "4.6.3"
ADVICE = f"set it to the executable of a Godot {MINIMUM} or newer, or unset it."


def version(program):
    """Returns the version that a program gives for itself, or None.

    Any program may stand under the name `godot`, so it gets a time limit, no input, and its answer must look
    like a version.
    """
    try:
        answer = subprocess.run(
            [str(program), "--headless", "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Godot 3 knows no --headless and prints a complaint before the version.
    match = re.search(r"^\d+\.\d+\S*", answer, re.MULTILINE)
    return match.group() if match else None


def find():
    """Returns the path of the Godot to use."""
    given = os.environ.get("GODOT")
    if given:
        # To take another one silently would hide a mistake.
        return absolute(check_given(given))
    for name in ("godot4", "godot"):
        program = shutil.which(name)
        if program is None:
            continue
        found = version(program)
        if found is None:
            say(f"{program} does not answer --version as Godot does: not used")
        elif not is_new_enough(found, MINIMUM):
            say(f"{program} is version {found}, older than {MINIMUM}: not used")
        else:
            return absolute(program)
    folder = debian.fetch("godot")
    if folder:
        return folder / "bin/godot"
    try:
        return official(OFFICIAL)
    except Failure as error:
        raise Failure(
            f"no Godot {MINIMUM} or newer was found ({error}): install one "
            "(https://godotengine.org/download) and set GODOT to the path of its executable."
        ) from error


def check_given(given):
    program = shutil.which(given)
    if program is None:
        raise Failure(f"GODOT is set to '{given}', which is not a program; {ADVICE}")
    found = version(program)
    if found is None:
        raise Failure(f"GODOT is set to '{given}', which does not answer --version as Godot does; {ADVICE}")
    if not is_new_enough(found, MINIMUM):
        raise Failure(f"GODOT is set to '{given}', which is version {found}; {ADVICE}")
    return program


def official(version):
    """Returns the path of the official build of that version, fetched if it is not there."""
    try:
        return official_godot.fetch(version, TARGET / f"godot-{version}")
    except (official_godot.NotFetched, OSError) as error:
        raise Failure(f"the official Godot {version} could not be fetched: {error}") from error


def find_template(program):
    """Returns the path of the release export template that belongs to a Godot."""
    given = os.environ.get("GODOT_TEMPLATE")
    if given:
        if not os.path.isfile(given):
            raise Failure(f"GODOT_TEMPLATE is set to '{given}', which is not a file.")
        return absolute(given)
    folder = debian.folder("godot")
    if program == folder / "bin/godot":
        return folder / "root/usr/bin/godot-template-release"
    # 4.6.3.stable.official.abcdef keeps its templates in a folder called 4.6.3.stable.
    name = re.match(r"[\d.]+\.[a-z0-9]+|", version(program) or "").group()
    home = pathlib.Path.home()
    if SYSTEM == "Darwin":
        templates = home / "Library/Application Support/Godot/export_templates"
        file = templates / name / "macos.zip"
    else:
        data = pathlib.Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
        file = data / "godot/export_templates" / name / f"linux_release.{MACHINE}"
    if not file.exists():
        raise Failure(
            f"no export template of Godot {name} was found: install it in the editor (Editor > Manage Export "
            "Templates) or set GODOT_TEMPLATE to the path of the release template."
        )
    return file


def template_or_none(program, otherwise):
    """Returns the template's path, or says what is not done without it."""
    try:
        return find_template(program)
    except Failure:
        say(f"no export template of {program} was found (GODOT_TEMPLATE names one): {otherwise}")
        return None


def absolute(path):
    path = pathlib.Path(path)
    return path.parent.resolve() / path.name
