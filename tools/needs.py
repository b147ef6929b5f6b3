"""The needs of each command: programs and packages that the machine must have, and how they get there."""

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Callable, NamedTuple

import debian
import rust
from common import ROOT, SYSTEM, Failure, have

INSTALLER = ROOT / "tools/debian/install.sh"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


class Need(NamedTuple):
    name: str
    packages: str
    is_there: Callable[[], bool]
    advice: str = "install it."


def program_need(name, packages, advice="install it."):
    return Need(name, packages, lambda: have(name), advice)


# rustc links with it. On Windows it finds Visual Studio's linker by itself.
LINKER = program_need(
    "cc", "gcc libc6-dev", "run 'xcode-select --install'." if SYSTEM == "Darwin" else "install gcc."
)
# cargo downloads crates with them. Other systems keep them elsewhere, and always have them.
CERTIFICATES = Need("/etc/ssl/certs", "ca-certificates", lambda: not is_debian() or os.path.exists(BUNDLE))
VENV = Need("python3's venv", "python3-venv", lambda: find_spec("venv") and find_spec("ensurepip"))
CXX = program_need("c++", "g++", "install g++.")
DEBOOTSTRAP = program_need("debootstrap", "debootstrap")
ADDR2LINE = program_need("addr2line", "binutils", "install binutils.")
ALWAYS = (CERTIFICATES,) if SYSTEM == "Windows" else (LINKER, CERTIFICATES)


def is_debian():
    return have("dpkg") and have("apt-get")


def check(*also, builds=True):
    """Makes sure of what a command that builds needs, and of `also`. Fails with all that is missing."""
    missing = [need for need in (*ALWAYS * builds, *also) if not need.is_there()]
    if missing and is_debian():
        packages = [package for need in missing for package in need.packages.split()]
        if subprocess.run([INSTALLER, *packages]).returncode != 0:
            # It has told why.
            sys.exit(1)
    elif missing:
        raise Failure("\nbuild.sh: ".join(f"{need.name} is needed: {need.advice}" for need in missing))
    if builds:
        check_rust()


def check_rust():
    """Makes sure of a Rust: rustup's, another one that is new enough, or Debian's, fetched into target/."""
    needed = rust.minimum()
    if not have("rustup") and (rust.cargo_home() / "bin").is_dir():
        # Installed, but the shell was not started again since.
        use(rust.cargo_home() / "bin")
    found = rust.version() if have("cargo") and have("rustc") else None
    if found and rust.is_new_enough(found, needed):
        return
    if have("rustup"):
        raise Failure(
            f"rustc is {found or 'missing'}, but {needed} or newer is needed: run 'rustup update stable' or "
            "'rustup default stable'."
        )
    folder = debian.fetch("toolchain")
    if folder is None:
        raise Failure(
            f"cargo and rustc {needed} or newer are needed: install Rust with rustup (https://rustup.rs)."
        )
    use(folder / "root/usr/bin")


def use(folder):
    """Puts a folder in front of the PATH, for this process and all that it starts."""
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
