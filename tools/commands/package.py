"""build.sh package: the zip that users install, and that of the demos."""

import hashlib
import os
import re
import shutil
import sys
import zipfile

import addon
import check_package
import debian
import needs
import notices
from common import ROOT, TARGET, Failure, parse, say

from . import cross

# Their dependencies are those of the libraries of all systems.
TARGETS = (
    *("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"),
    *("aarch64-apple-darwin", "x86_64-apple-darwin", "x86_64-pc-windows-gnu"),
)
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

  --all   make both in target/package/all/ instead, with the libraries of all systems (see ./build.sh cross
          --help), and the SHA-256 of each beside it: the files of a release
  --tag   make them only if TAG is v<version>
"""


def main(arguments):
    _, options = parse("package", arguments, options=("--all", "--tag="))
    complete, tag = "--all" in options, options.get("--tag")
    if tag and not complete:
        raise Failure("package: --tag goes with --all (see ./build.sh package --help)")
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

    say("collecting the notices of what is linked in")
    # Some of the libraries may contain the standard library of another Rust.
    fetched = complete and debian.fetched("toolchain")
    compilers = ["rustc", *([fetched / "root/usr/bin/rustc"] if fetched else [])]
    texts = folder / "THIRD_PARTY_NOTICES.txt"
    texts.write_text(notices.collect(TARGETS if complete else (), compilers), encoding="utf-8")
    say("zipping")
    installed = addon_files(libraries, texts)
    archives = {
        folder / f"{check_package.NAME}-{version}.zip": installed,
        folder / f"{check_package.DEMO}-{version}.zip": demo_files(installed),
    }
    for archive, files in archives.items():
        make_zip(archive, files)
        if complete:
            digest = hashlib.sha256(archive.read_bytes()).hexdigest()
            # As `sha256sum --check` reads it.
            (folder / f"{archive.name}.sha256").write_bytes(f"{digest}  {archive.name}\n".encode())
    problems = [problem for path in archives for problem in check_package.problems_of(path, complete)]
    if problems:
        raise Failure("\nbuild.sh: ".join(problems))
    for archive in archives:
        print(archive.as_posix())


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
