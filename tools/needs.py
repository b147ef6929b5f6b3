"""The needs of each command: programs and packages that the machine must have, and how they get there."""

import os
import pathlib
import subprocess
import sys

import debian
import rust
from common import ROOT, SYSTEM, Failure, have

INSTALLER = ROOT / "tools/debian/install.sh"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

# Name, whether it is there, Debian's packages, and the advice elsewhere. rustc links with cc. On Windows it
# finds Visual Studio's linker by itself.
COMPILER = (
    "a C linker (cc)",
    lambda: SYSTEM == "Windows" or have("cc"),
    "gcc libc6-dev",
    "run 'xcode-select --install'." if SYSTEM == "Darwin" else "install gcc.",
)
VENV = (
    "the venv module of python3",
    lambda: (
        subprocess.run([sys.executable, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL).returncode
        == 0
    ),
    "python3-venv",
    "install it.",
)
# cargo needs them to download crates. Other systems keep them elsewhere, and always have them.
CERTIFIED = (
    "certificates for HTTPS",
    lambda: not is_debian() or os.path.exists(CERTIFICATES),
    "ca-certificates",
    "install them.",
)
CXX = ("a C++ compiler (c++)", lambda: have("c++"), "g++", "install g++.")
DEBOOTSTRAP = ("debootstrap", lambda: have("debootstrap"), "debootstrap", "install debootstrap.")
ADDR2LINE = ("addr2line", lambda: have("addr2line"), "binutils", "install binutils.")


def is_debian():
    return have("dpkg") and have("apt-get")


def check(*also):
    """Makes sure of what every command that builds needs, and of `also`. Fails with all that is missing."""
    missing = [need for need in (COMPILER, CERTIFIED, *also) if not need[1]()]
    if missing and is_debian():
        packages = " ".join(need[2] for need in missing).split()
        if subprocess.run([INSTALLER, *packages]).returncode != 0:
            # It has told why.
            sys.exit(1)
    elif missing:
        raise Failure("\nbuild.sh: ".join(f"{name} is needed: {advice}" for name, _, _, advice in missing))
    check_rust()


def check_rust():
    """Makes sure of a Rust: rustup's, another one that is new enough, or Debian's, fetched into target/."""
    needed = rust.minimum()
    cargo_home = pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")
    if not have("rustup") and (cargo_home / "bin").is_dir():
        # Installed, but the shell was not started again since.
        use(cargo_home / "bin")
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
