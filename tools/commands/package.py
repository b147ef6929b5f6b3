"""build.sh package: the zip that users install."""

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

Builds the addon and makes target/package/godot-shared-memory-<version>.zip, with addons/ at its root:
unpacked into a Godot project, it works there. Holds the libraries that are in addons/shared_memory/bin/, and
the notices of everything linked into them, and the header for C and C++. The same files give the same zip.

  --all   make the files of a release in target/package/all instead: godot-shared-memory-<version>.zip with
          the libraries of all systems (see ./build.sh cross --help), the Python package's wheels for all of
          them (see ./build.sh wheel --help), and a SHA-256 beside each
  --tag   make it only if TAG is v<version>
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
    archive = folder / f"godot-shared-memory-{version}.zip"
    make_zip(archive, contents(libraries, texts))
    problems = check_package.problems_of(archive, complete)
    if problems:
        raise Failure("\nbuild.sh: ".join(problems))
    print(archive.as_posix())
    if complete:
        release = [archive, *(shutil.copy(built, folder) for built in wheel.build_all())]
        for file in map(pathlib.Path, release):
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            # As `sha256sum --check` reads it.
            (folder / f"{file.name}.sha256").write_bytes(f"{digest}  {file.name}\n".encode())


def contents(libraries, texts):
    """Returns the files of the zip by their names in the addon's folder."""
    files = {texts.name: texts}
    for file in addon.FOLDER.rglob("*"):
        parts = file.relative_to(addon.FOLDER).parts
        if file.is_file() and parts[0] != "bin" and not any(part.startswith(".") for part in parts):
            files["/".join(parts)] = file
    files.update({name: ROOT / name for name in FOR_PARTNERS})
    return {**files, **{f"bin/{file.name}": file for file in libraries.iterdir()}}


def make_zip(archive, files):
    """Makes the same zip of the same files on every machine: order, dates and permissions are fixed."""
    unfinished = archive.with_suffix(".new")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as output:
        for name, file in sorted(files.items()):
            entry = zipfile.ZipInfo(f"addons/{addon.FOLDER.name}/{name}", DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            # As on a Unix system, where the file is a plain one that everybody may read.
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            output.writestr(entry, file.read_bytes())
            print(f"    {entry.filename}", file=sys.stderr)
    os.replace(unfinished, archive)
