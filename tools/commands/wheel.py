"""build.sh wheel: the Python package, for this machine."""

import shutil
import sys

import needs
import notices
import pypi
import rust
from common import ROOT, TARGET, Failure, must, parse, say

FOLDER = ROOT / "partners/python"
WHEELS = TARGET / "wheels"
PACKAGE = "godot-shared-memory-python"
# The oldest that the package runs on, and that its tools run on.
MINIMUM = (3, 11)

HELP = """\
Usage: ./build.sh wheel

Builds the Python package of partners/python/ into target/wheels/, as one wheel for each CPython from 3.11 on,
with the notices of everything linked into it. The tools for that come from PyPI, pinned in
tools/requirements-python.txt, into target/python-venv.
"""


def main(arguments):
    parse("wheel", arguments)
    check_python()
    needs.check(needs.VENV)
    print(build().as_posix())


def check_python():
    """Fails if the Python that runs this is too old for the package."""
    if sys.version_info < MINIMUM:
        found = ".".join(map(str, sys.version_info[:3]))
        raise Failure(
            f"the Python package needs Python {MINIMUM[0]}.{MINIMUM[1]} or newer, and this is {found}."
        )


def build():
    """Builds the wheel, and returns its path."""
    programs = pypi.programs("python")
    say("collecting the notices of what is linked in")
    # Ignored by git, and found by maturin.
    text = notices.collect((), ["rustc"], PACKAGE)
    (FOLDER / "THIRD_PARTY_NOTICES.txt").write_text(text, encoding="utf-8")
    say("building the wheel")
    shutil.rmtree(WHEELS, ignore_errors=True)
    manifest = ["--manifest-path", FOLDER / "Cargo.toml"]
    command = [programs / "maturin", "build", "--release", "--locked", *manifest, "--out", WHEELS]
    must([*command, "--interpreter", programs / "python"], env={"CARGO_TARGET_DIR": rust.target_folder()})
    return next(WHEELS.glob("*.whl"))


def install():
    """Builds the wheel, installs it in target/wheel-venv, and returns the Python there."""
    built = build()
    python = pypi.programs("python", "wheel-venv") / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    must([*pip, "--force-reinstall", "--no-deps", "--no-index", built])
    return python
