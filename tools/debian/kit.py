"""A kit while it is fetched, and the tools that its set_up() uses."""

import shutil
import subprocess
from shlex import quote

from . import packages


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
