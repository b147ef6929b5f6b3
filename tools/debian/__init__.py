"""Programs from Debian's packages, fetched into target/: the fallback where the machine has none of its own.

fetch() is the only door. Each kit is a module here with

    NUMBER      which goes up with every change that older downloads lack
    WHAT        the words for it, with the size of the download
    SUITES      names of releases; not every one must be there
    PACKAGES    the packages; what they need comes as well
    FETCHED     a regular expression: the packages to fetch even if the system has them installed
    set_up(kit) which makes the unpacked packages usable, and tries them
"""

import contextlib
import importlib
import shutil
import subprocess
from shlex import quote

from common import SYSTEM, TARGET, have, say

from . import packages


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
    return importlib.import_module(f".{name}", __package__)


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


class Kit:
    """A kit while it is fetched. Its stamp is written last: without one, all of it is thrown away."""

    def __init__(self, module, folder, log):
        self.module, self.folder, self.log = module, folder, log
        self.root, self.work = folder / "root", folder / "work"
        self.bin = folder / "bin"

    def fetch(self, stamp):
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name == "stamp":
                path.unlink()
        self.work.mkdir()
        archives = packages.download(self)
        self.say("unpacking")
        for archive in archives:
            self.run("dpkg-deb", "-x", archive, self.root)
        # Some packages hold programs that run as root for everybody: not in somebody's build folder.
        self.run(*("find", self.root, "-perm", "/6000", "-type", "f"), *("-exec", "chmod", "ug-s", "{}", "+"))
        for part in ("doc", "man"):
            shutil.rmtree(self.root / "usr/share" / part, ignore_errors=True)
        self.say("setting it up")
        self.bin.mkdir()
        self.module.set_up(self)
        shutil.rmtree(self.work)
        (self.folder / "stamp").write_text(f"{stamp}\n")

    def say(self, text):
        print(f"== {text}", file=self.log, flush=True)

    def run(self, *command, limit=None, check=True, **options):
        """Runs a command without input; its output goes to the log."""
        return subprocess.run(
            [str(part) for part in command],
            check=check,
            timeout=limit,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            **options,
        )

    def libraries(self):
        """Returns the folder of this processor's libraries."""
        return next(self.root.glob("usr/lib/*-linux-gnu*"))

    def tie(self, patchelf, programs, *options, folders=("",)):
        """Makes programs find their libraries by themselves, in these folders of libraries().

        LD_LIBRARY_PATH would reach the programs that they start, as well.
        """
        path = ":".join(str(self.libraries() / folder) for folder in folders)
        for program in programs:
            self.run(*patchelf, *options, "--force-rpath", "--set-rpath", path, program)
        # A library with a search path of its own ignores its program's.
        for library in self.libraries().rglob("*.so*"):
            if library.is_symlink() or not library.is_file() or "gconv" in library.parts:
                continue
            command = [str(part) for part in (*patchelf, "--print-rpath", library)]
            if subprocess.run(command, capture_output=True).stdout.strip():
                self.run(*patchelf, "--remove-rpath", library)

    def wrap(self, name, program, **variables):
        """Makes bin/NAME, which runs a program with these variables."""
        wrapper = self.bin / name
        lines = ["#!/bin/sh", "# Made by build.sh."]
        lines += [f"export {key}={quote(str(value))}" for key, value in variables.items()]
        lines += [f'exec {quote(str(program))} "$@"']
        wrapper.write_text("\n".join(lines) + "\n")
        wrapper.chmod(0o755)
