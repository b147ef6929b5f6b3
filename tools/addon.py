"""The addon: its library for this machine, its folder, and the copies in the Godot projects."""

import os
import pathlib
import re
import zipfile

import rust
from common import MACHINE, ROOT, SYSTEM, TARGET, Failure, install_file, must, say

FOLDER = ROOT / "addons/shared_memory"
EXTENSION = "res://addons/shared_memory/shared_memory.gdextension"
PROJECTS = ("demo", "tests", "bench")

# The key of the .gdextension file, and the name under which cargo leaves the library. On macOS this is one
# processor's half only; a release joins both.
BUILT_HERE = {
    "Linux": (f"linux.{MACHINE}", "libgodot_shared_memory.so"),
    "Darwin": ("macos", "libgodot_shared_memory.dylib"),
    "Windows": (f"windows.{MACHINE}", "godot_shared_memory.dll"),
}


def libraries():
    """Returns the file names of all libraries by their keys in the .gdextension file."""
    text = (FOLDER / "shared_memory.gdextension").read_text(encoding="utf-8")
    entry = r'^([a-z0-9_.]+) = "res://addons/shared_memory/bin/(.*)"'
    return dict(re.findall(entry, text, re.MULTILINE))


def library_here():
    """Returns the path of this machine's library in the addon, and its name in cargo's target folder."""
    key, built = BUILT_HERE.get(SYSTEM, (SYSTEM, ""))
    if key not in libraries():
        raise Failure(f"the addon has no library for {SYSTEM} on {MACHINE}")
    return FOLDER / "bin" / libraries()[key], built


def build():
    """Builds the addon for this machine, or takes the given library, and fills the projects with it."""
    place, built = library_here()
    if is_given():
        library = given_library(os.environ["SHARED_MEMORY_LIBRARY"], place.name)
    else:
        say("building the addon (release)")
        library = compile_library(["cargo", "build"]) / built
    install_file(library, place)
    say(f"{place.relative_to(ROOT).as_posix()} is ready")
    for project in PROJECTS:
        fill_project(ROOT / project)
    say("demo/, tests/ and bench/ have this addon")


def is_given():
    return bool(os.environ.get("SHARED_MEMORY_LIBRARY"))


def given_library(given, name):
    if not os.path.isfile(given):
        raise Failure(f"SHARED_MEMORY_LIBRARY is set to '{given}', which is not a file.")
    say(f"not building the addon: SHARED_MEMORY_LIBRARY is {given}")
    if not given.endswith(".zip"):
        return pathlib.Path(given)
    with zipfile.ZipFile(given) as archive:
        inside = f"addons/shared_memory/bin/{name}"
        if inside not in archive.namelist():
            raise Failure(f"there is no {name} in {given}")
        TARGET.mkdir(exist_ok=True)
        library = TARGET / f"given.{name}"
        library.write_bytes(archive.read(inside))
    return library


def compile_library(cargo, *, target=None, env=None):
    """Runs a cargo command for the addon, in release. Returns the folder where the library is then."""
    command = [*cargo, "--release", "--locked", "-p", "godot_shared_memory"]
    if target:
        command += ["--target", target]
    must([*command, *rust.without_our_folders()], "the addon could not be built", env=env)
    # cargo-zigbuild takes a target with the version of glibc behind it.
    name = target.partition(".")[0] if target else ""
    return rust.target_folder() / name / "release"


def fill_project(project):
    """Makes the addon in a project the same as ours."""
    copy = project / "addons/shared_memory"
    for file in FOLDER.rglob("*"):
        if file.is_file():
            install_file(file, copy / file.relative_to(FOLDER))
    for file in copy.rglob("*"):
        # Files that the editor made stay.
        made = file.suffix in (".import", ".uid")
        if file.is_file() and not made and not (FOLDER / file.relative_to(copy)).exists():
            file.unlink()
    list_extension(project)


def list_extension(project):
    """Names the extension in the file that Godot looks into.

    The editor writes it when it first opens a project; the demo and the tests run without that.
    """
    file = project / ".godot/extension_list.cfg"
    file.parent.mkdir(exist_ok=True)
    listed = file.read_text(encoding="utf-8") if file.exists() else ""
    if EXTENSION not in listed.splitlines():
        file.write_bytes(f"{listed}{EXTENSION}\n".encode())
