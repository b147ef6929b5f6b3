"""Programs from Debian's packages, fetched into target/: the fallback where the machine has none of its own.

fetch() is the only door. Each kit is a module in kits/.
"""

import contextlib
import importlib
import subprocess

from common import SYSTEM, TARGET, have, say

from .kit import Kit


def folder(name):
    return (TARGET / name).resolve()


def fetched(name):
    """Returns the folder of a kit if it has been fetched, or None."""
    with contextlib.suppress(OSError):
        if (folder(name) / "stamp").read_text().rstrip("\n") == stamp(name):
            return folder(name)
    return None


def stamp(name):
    # The folder is part of it because the programs hold its path.
    return f"{module(name).NUMBER} {folder(name)}"


def module(name):
    return importlib.import_module(f".kits.{name}", __package__)


def fetch(name):
    """Returns the folder of a kit, fetched if it isn't there. Returns None where it can't be fetched."""
    needed = ("apt-get", "dpkg", "dpkg-deb")
    if fetched(name) or SYSTEM != "Linux" or not all(map(have, needed)):
        return fetched(name)
    import fcntl  # Unix has it, Windows hasn't.

    folder(name).mkdir(parents=True, exist_ok=True)
    # The kernel drops the lock with its holder.
    with open(folder(name) / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another build.sh that is fetching into target/{name}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not fetched(name):
            what = module(name).WHAT
            say(f"fetching {what} from Debian's packages into target/{name}, once")
            with open(folder(name) / "fetch.log", "w") as log:
                try:
                    Kit(module(name), folder(name), log).fetch(stamp(name))
                except (OSError, subprocess.SubprocessError) as error:
                    print(error, file=log)
                    say(f"it could not be fetched; target/{name}/fetch.log tells why")
    return fetched(name)
