"""build.sh wheel: the Python package, for this machine or for all systems."""

import re
import shutil
import sys
import zipfile

import needs
import notices
import pypi
import rust
from common import ROOT, TARGET, Failure, must, output, parse, say

from . import cross, windows

FOLDER = ROOT / "partners/python"
WHEELS = TARGET / "wheels"
# As cargo calls the package, and as pip does.
PACKAGE, NAME = "godot-shared-memory-python", "godot-shared-memory"
# The oldest that the package runs on, and that its tools run on.
MINIMUM = (3, 11)
PYTHON = ".".join(map(str, MINIMUM))
# The dates in a wheel, as in the addon's zip: the same files give the same wheel. 1980 is the first year that
# a zip can name.
DATE = {"SOURCE_DATE_EPOCH": "315532800"}
LINUX = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
MANYLINUX = f"manylinux_{cross.OLDEST_GLIBC.replace('.', '_')}"
MACOS = f"macosx_{cross.OLDEST_MACOS.replace('.', '_')}"
# The end of a wheel's name, and that of a library as tools/check_libraries.py takes it.
SYSTEMS = {
    f"{MANYLINUX}_x86_64": "linux.x86_64.so",
    f"{MANYLINUX}_aarch64": "linux.arm64.so",
    ".".join(f"{MACOS}_{processor}" for processor in ("arm64", "universal2", "x86_64")): "macos.so",
    "win_amd64": "windows.x86_64.dll",
}

HELP = f"""\
Usage: ./build.sh wheel [--all]

Builds the Python package of partners/python/ into target/wheels/, as one wheel for each CPython from {PYTHON}
on, with the notices of everything linked into it. The tools for that come from PyPI, pinned in
tools/requirements-python.txt, into target/python-venv.

  --all   build the wheels of all systems instead, into target/wheels/all, and check them: Linux with glibc
          {cross.OLDEST_GLIBC} and newer on x86_64 and arm64, macOS {cross.OLDEST_MACOS} and newer on both
          processors, Windows on x86_64. They are linked as ./build.sh cross links the addon's libraries.
          auditwheel and abi3audit, which check them, come from PyPI into target/wheels-venv.
"""


def main(arguments):
    _, options = parse("wheel", arguments, options=("--all",))
    check_python()
    needs.check(needs.VENV)
    for built in build_all() if options else [build()]:
        print(built.as_posix())


def check_python():
    """Fails if the Python that runs this is too old for the package."""
    if sys.version_info < MINIMUM:
        found = ".".join(map(str, sys.version_info[:3]))
        raise Failure(f"the Python package needs Python {PYTHON} or newer, and this is {found}.")


def build():
    """Builds the wheel for this machine, and returns its path."""
    write_texts(notices.collect((), ["rustc"], PACKAGE))
    say("building the wheel")
    for old in WHEELS.glob("*.whl"):
        old.unlink()
    maturin(WHEELS, "--interpreter", pypi.programs("python") / "python")
    return next(WHEELS.glob("*.whl"))


def build_all():
    """Builds the wheels of all systems, checks them, and returns their paths."""
    write_texts(notices.collect_all(PACKAGE))
    folder = WHEELS / "all"
    shutil.rmtree(folder, ignore_errors=True)
    for target in LINUX:
        build_for_linux(target, folder)
    say("building the wheel for macOS")
    _, env = cross.zigbuild(cross.macos_environment())
    # There, maturin gives cargo flags of its own, in the place of those in the options. It adds to these.
    env = {**env, "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(rust.remapped())}
    maturin(folder, *for_target(cross.MACOS), "--zig", *cross.UNSTRIPPED, env=env)
    build_for_windows(folder)
    wheels = sorted(folder.glob("*.whl"))
    check(wheels)
    return wheels


def build_for_linux(target, folder):
    """Builds the wheel for a target with Linux into a folder, and returns its path."""
    say(f"building the wheel for {target}")
    processor = target.partition("-")[0]
    for old in folder.glob(f"*_{processor}.whl"):
        old.unlink()
    _, env = cross.zigbuild(rust.environment(target))
    maturin(folder, *for_target(target), "--zig", "--compatibility", MANYLINUX, env=env)
    return next(folder.glob(f"*_{processor}.whl"))


def build_for_windows(folder=WHEELS / "windows"):
    """Builds the wheel for Windows into a folder, and returns its path."""
    say("building the wheel for Windows")
    for old in folder.glob("*-win_amd64.whl"):
        old.unlink()
    maturin(folder, *for_target(windows.TARGET), env=windows.environment())
    return next(folder.glob("*-win_amd64.whl"))


def for_target(target):
    """Returns options of maturin for another system, or for this one as one of several."""
    # Only a Python of this system can be asked. For others, maturin knows what there is to know.
    is_here = target == rust.compiler_info("host")
    python = pypi.programs("python") / "python" if is_here else f"python{PYTHON}"
    return ["--target", target, "--interpreter", python]


def write_texts(text):
    """Writes the notices, and the page for PyPI, where maturin finds them. Git ignores both files."""
    (FOLDER / "THIRD_PARTY_NOTICES.txt").write_text(text, encoding="utf-8")
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    (FOLDER / "PAGE.md").write_text(page(readme), encoding="utf-8")


def page(readme):
    """Returns a README whose links into the repository are the names of files there."""
    link = r"\[([^\[\]]*)\]\((?!https?://|#)(?:\.\./)*([^()#]*)[^()]*\)"
    return re.sub(link, r"\1 (`\2` of the repository)", readme)


def maturin(folder, *options, env=None):
    """Runs maturin, which puts a wheel into a folder."""
    command = [pypi.programs("python") / "maturin", "build", "--release", "--locked", "--out", folder]
    command += ["--manifest-path", FOLDER / "Cargo.toml", *rust.without_our_folders(), *options]
    # Shared with the addon, so that what both link is compiled once.
    env = {**DATE, "CARGO_TARGET_DIR": rust.target_folder(), **(env or {})}
    must(command, "the wheel could not be built", env=env)


def check(wheels):
    """Checks that there is a wheel for each system, and what each needs of its system and of Python."""
    say("checking the wheels")
    found = {system: wheel for system in SYSTEMS for wheel in wheels if wheel.stem.endswith(f"-{system}")}
    if set(found) != set(SYSTEMS) or len(wheels) != len(SYSTEMS):
        names = ", ".join(wheel.name for wheel in wheels)
        raise Failure(f"there must be a wheel for each of {', '.join(SYSTEMS)}, and there are {names}")
    for system, wheel in found.items():
        check_folders(wheel, cross.FOREIGN)
        library = extract(wheel, SYSTEMS[system])
        symbols = ["--entry", "PyInit__native", "--also", "python3.dll"]
        cross.check_libraries([library], *symbols)
    programs = pypi.programs("wheels")
    must([programs / "abi3audit", "--strict", "--summary", *wheels], "a wheel needs more than the stable ABI")
    for system, wheel in found.items():
        if system.startswith("manylinux"):
            told = output(programs / "auditwheel", "show", wheel)
            told = re.search(r'following\s+platform\s+tag:\s+"(\w+)"', told)
            if not told or told[1] != system:
                raise Failure(f"{wheel.name} has the tag {system}, but auditwheel says {told and told[1]}")


def check_folders(wheel, folders):
    """Checks that no file in a wheel names one of these folders of this machine."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            for folder in folders:
                if str(folder).encode() in content:
                    raise Failure(f"{wheel.name}: {name} contains {folder}")


def extract(wheel, name):
    """Returns the path of the library in a wheel, under a name that tells its system."""
    library = TARGET / "wheels/libraries" / f"_native.{name}"
    library.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        inside = [entry for entry in archive.namelist() if re.search(r"/_native\..*(so|pyd)$", entry)]
        library.write_bytes(archive.read(inside[0]))
    return library
