"""Tools from PyPI, each set in a virtual environment of its own."""

import os
import shutil
import sys

from common import ROOT, TARGET, Failure, run, say


def programs(name, folder=None, options=()):
    """Returns the folder with the programs of tools/requirements-NAME.txt, in target/NAME-venv.

    With `folder`, they are in that folder of target/ instead. pip gets the `options`.

    The copy of that file inside is written last: an interrupted installation, and one of other versions, is
    repeated.
    """
    venv, wanted = TARGET / (folder or f"{name}-venv"), ROOT / f"tools/requirements-{name}.txt"
    installed = venv / "requirements.txt"
    folder = venv / ("Scripts" if os.name == "nt" else "bin")
    if installed.exists() and installed.read_bytes() == wanted.read_bytes():
        return folder
    say(f"installing the tools of tools/{wanted.name} from PyPI into target/{venv.name}")
    shutil.rmtree(venv, ignore_errors=True)
    if run([sys.executable, "-m", "venv", venv], stdout=sys.stderr) != 0:
        raise Failure(
            "python3 cannot make a virtual environment: install its venv module "
            "(Debian, Ubuntu: apt install python3-venv)."
        )
    pip = [folder / "python", "-m", "pip", "install", "--quiet"]
    options = [*options, "--disable-pip-version-check", "--requirement", wanted]
    if run([*pip, *options], stdout=sys.stderr) != 0:
        raise Failure(
            f"the tools could not be installed; they come from PyPI, as tools/{wanted.name} lists them."
        )
    shutil.copy(wanted, installed)
    return folder
