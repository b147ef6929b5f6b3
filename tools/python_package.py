"""A Python that has the package of partners/python/, numpy and gymnasium, for the demos and for tests."""

import os
import pathlib

import pypi
from commands import wheel
from common import Failure, must, say

# Names a wheel that is already built, such as one of a release, or a folder that has one for this machine.
VARIABLE = "SHARED_MEMORY_WHEEL"


def is_given():
    return bool(os.environ.get(VARIABLE))


def python(requirements="gym", folder="package-venv"):
    """Builds the wheel, or takes the given one, and returns a Python in target/ that has it installed.

    That Python also has what tools/requirements-NAME.txt lists, and is in this folder of target/.
    """
    wheel.check_python()
    found = given_wheel() if is_given() else [wheel.build()]
    program = pypi.programs(requirements, folder) / "python"
    install(program, found)
    return program


def install(python, found):
    """Installs a wheel, which pip finds by these arguments."""
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--force-reinstall", "--no-deps", "--no-index", *found]
    must(command, f"{found[-1]} could not be installed")


def given_wheel():
    """Returns the arguments by which pip finds the given wheel."""
    given = pathlib.Path(os.environ[VARIABLE]).resolve()
    if not given.exists():
        raise Failure(f"{VARIABLE} is set to '{given}', which is not a file.")
    say(f"not building the Python package: {VARIABLE} is {given}")
    return ["--find-links", given, wheel.NAME] if given.is_dir() else [given]
