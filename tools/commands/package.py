"""build.sh package: the zip that users install, and that of the demos."""

import hashlib
import os
import pathlib
import re
import shutil
import sys
import zipfile

import addon
import check_package
import needs
import notices
from common import ROOT, TARGET, Failure, parse, say

from . import cross, wheel

# For programs in C and C++, with the page that the README there names.
FOR_PARTNERS = [f"partners/c/{name}" for name in ("README.md", "godot_shared_memory.h", "simulator.c")]
FOR_PARTNERS += ["docs/FORMAT.md"]
# The first that a zip can name.
DATE = (1980, 1, 1, 0, 0, 0)

HELP = """\
Usage: ./build.sh package [--all [--tag TAG]]

Builds the addon and makes two zips in target/package/:

  godot-shared-memory-<version>.zip       addons/, which works in a Godot project where it is unpacked. It
                                          holds the libraries that are in addons/shared_memory/bin/, the
                                          notices of everything linked into them, and the header for C
  godot-shared-memory-demo-<version>.zip  a Godot project: the demos, their programs in Python, and the addon

Prints the path of each. The same files give the same zips.

  --all   make the files of a release in target/package/all instead: both zips with the libraries of all
          systems (see ./build.sh cross --help), the Python package's wheels for all of them (see
          ./build.sh wheel --help), and a SHA-256 beside each
  --tag   make them only if TAG is v<version>
"""


def main(arguments):
    _, options = parse("package", arguments, options=("--all", "--tag="))
    complete, tag = "--all" in options, options.get("--tag")
    if tag and not complete:
        raise Failure("package: --tag goes with --all (see ./build.sh package --help)")
    if complete:
        wheel.check_python()
    needs.check(*[needs.VENV] * complete)
    text = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    version = re.search(r'^version *= *"(.*)"', text, re.MULTILINE).group(1)
    if tag and tag != f"v{version}":
        raise Failure(f"package: the tag is '{tag}', but Cargo.toml has version {version}")
    folder = TARGET / "package"
    libraries = addon.FOLDER / "bin"
    if complete:
        folder, libraries = folder / "all", cross.FOLDER
        shutil.rmtree(libraries, ignore_errors=True)
        cross.build_all(list(addon.libraries()))
    else:
        addon.build()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl*"):
        old.unlink()

    say("collecting the notices of what is linked in")
    texts = folder / "THIRD_PARTY_NOTICES.txt"
    text = notices.collect_all() if complete else notices.collect((), ["rustc"])
    texts.write_text(text, encoding="utf-8")
    say("zipping")
    installed = addon_files(libraries, texts)
    archives = {
        folder / f"{check_package.NAME}-{version}.zip": installed,
        folder / f"{check_package.DEMO}-{version}.zip": demo_files(installed),
    }
    for archive, files in archives.items():
        make_zip(archive, files)
    problems = [problem for path in archives for problem in check_package.problems_of(path, complete)]
    if problems:
        raise Failure("\nbuild.sh: ".join(problems))
    for archive in archives:
        print(archive.as_posix())
    if complete:
        release = [*archives, *(shutil.copy(built, folder) for built in wheel.build_all())]
        for file in map(pathlib.Path, release):
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            # As `sha256sum --check` reads it.
            (folder / f"{file.name}.sha256").write_bytes(f"{digest}  {file.name}\n".encode())


def addon_files(libraries, texts):
    """Returns the files of the addon by their names in a project."""
    files = {**files_in(addon.FOLDER, "bin"), texts.name: texts}
    files.update({name: ROOT / name for name in FOR_PARTNERS})
    files.update({f"bin/{file.name}": file for file in libraries.iterdir()})
    return {f"{check_package.ADDON}{name}": file for name, file in files.items()}


def demo_files(installed):
    """Returns the files of the project with the demos, which is a folder at the root of its zip."""
    files = {**installed, **files_in(ROOT / "demo", "addons"), "LICENSE": ROOT / "LICENSE"}
    return {f"{check_package.DEMO}/{name}": file for name, file in files.items()}


def files_in(folder, without):
    """Returns the files in a folder by their names there, except those in its subfolder `without`."""
    files = {}
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        # Godot and Python leave folders with such names, and editors leave files.
        named = parts[:-1] if file.name == check_package.IGNORE else parts
        is_left = any(part.startswith((".", "__")) for part in named)
        if file.is_file() and parts[0] != without and not is_left:
            files["/".join(parts)] = file
    return files


def make_zip(archive, files):
    """Makes the same zip of the same files on every machine: order, dates and permissions are fixed."""
    unfinished = archive.with_suffix(".new")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as output:
        for name, file in sorted(files.items()):
            data = file.read_bytes()
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # As on a Unix system: a plain file that everybody may read, and run if it is a script.
            entry.create_system = 3
            entry.external_attr = check_package.mode_of(data) << 16
            output.writestr(entry, data)
            print(f"    {entry.filename}", file=sys.stderr)
    os.replace(unfinished, archive)
