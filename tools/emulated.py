"""Pythons of other systems, which this one emulates, with the packages for the tests."""

import shutil
import zipfile

import debian
import pypi
from common import ROOT, Failure, must

# Their release.
VERSION = "3.11"
# The packages for the tests. Each is for every system, or has a wheel for it.
REQUIREMENTS = ROOT / "tools/requirements-emulated.txt"


def python_arm64():
    """Returns the root folder of Debian's Python for arm64."""
    folder = debian.fetch("python_arm64")
    if folder is None:
        raise Failure("a Python for arm64 could not be fetched; it comes from Debian's packages.")
    return folder / "root"


def standard_library():
    """Returns the folder with the modules of that Python."""
    return python_arm64() / f"usr/lib/python{VERSION}"


def install(platforms, folder, *requirements):
    """Installs packages for other systems in a folder, unless they are there.

    The list of them is written last: an interrupted installation, and one of other versions, is repeated.
    """
    wanted = "".join(file.read_text(encoding="utf-8") for file in requirements)
    installed = folder / "requirements.txt"
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    pip = [pypi.programs("python") / "python", "-m", "pip", "install", "--quiet", "--no-deps"]
    options = ["--disable-pip-version-check", "--only-binary", ":all:", "--python-version", VERSION]
    options += [word for platform in platforms for word in ("--platform", platform)]
    options += [word for file in requirements for word in ("--requirement", file)]
    must([*pip, *options, "--target", folder], f"the packages for {platforms[0]} could not be installed")
    installed.write_text(wanted, encoding="utf-8")


def unpack(wheel, folder):
    """Puts a wheel into a folder, in the place of an earlier one."""
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
