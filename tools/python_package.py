"""A Python that has the package of partners/python/ and numpy, for the demos and for tests."""

import os
import pathlib

import pypi
from commands import wheel
from common import Failure, must, say

# Names a wheel that is already built, such as one of a release.
VARIABLE = "SHARED_MEMORY_WHEEL"


def is_given():
    return bool(os.environ.get(VARIABLE))


def python():
    """Builds the wheel, or takes the given one, and returns a Python in target/ that has it installed."""
    wheel.check_python()
    file = given_wheel() if is_given() else wheel.build()
    program = pypi.programs("peers", "package-venv") / "python"
    pip = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    must([*pip, "--force-reinstall", "--no-deps", "--no-index", file], f"{file} could not be installed")
    return program


def given_wheel():
    given = os.environ[VARIABLE]
    if not os.path.isfile(given):
        raise Failure(f"{VARIABLE} is set to '{given}', which is not a file.")
    say(f"not building the Python package: {VARIABLE} is {given}")
    return pathlib.Path(given).resolve()
