"""build.sh cross: the libraries of other systems, and this one's so that it loads on old ones."""

import addon
import needs
import pypi
import rust
from common import ROOT, TARGET, Failure, install_file, must, say

from . import windows

FOLDER = TARGET / "cross"
# Of 2018: Debian 10, Ubuntu 18.10, RHEL 8.
OLDEST_GLIBC = "2.28"
# The oldest macOS that runs on Apple's own processors.
OLDEST_MACOS = "11.0"
MACOS_TARGETS = ("aarch64-apple-darwin", "x86_64-apple-darwin")
# Both, as zigbuild and maturin call them.
MACOS = "universal2-apple-darwin"
# For macOS, rustc would strip a library with a program that not every Rust comes with. Also, the library must
# not be changed after it is signed.
UNSTRIPPED = ["--config", "profile.release.strip=false"]
# The folders of this machine, which nothing that is handed out may name.
FOREIGN = (ROOT, rust.cargo_home())

HELP = f"""\
Usage: ./build.sh cross [SYSTEM...]

Builds the addon's libraries for the systems named, or for all that
addons/shared_memory/shared_memory.gdextension has keys for, puts them into target/cross/, and checks them.
The system itself is not changed:

  linux.x86_64, linux.arm64   linked by zig, for glibc {OLDEST_GLIBC} and newer
  macos                       linked by zig, for macOS {OLDEST_MACOS} and newer; both processors in one file
  windows.x86_64              as ./build.sh windows builds it

zig and cargo-zigbuild come from PyPI, into target/cross-venv. Where rustup has a system's standard library
(rustup target add), it is used; otherwise Debian's Rust is fetched into target/toolchain, and builds it from
source.
"""


def main(arguments):
    needs.check(needs.VENV)
    build_all(arguments or addon.libraries())


def build_all(keys):
    """Builds the libraries of these keys of the .gdextension file into target/cross, and checks them."""
    names = addon.libraries()
    for key in keys:
        if key not in names or key not in BUILDERS:
            raise Failure(f"cross: the .gdextension file has no key '{key}', but these: {' '.join(names)}")
    built = []
    for key in keys:
        say(f"building for {key}")
        library = BUILDERS[key]()
        install_file(library, FOLDER / names[key])
        built.append(FOLDER / names[key])
    check_libraries(built)


def build_linux(target):
    """Returns the path of the library."""
    cargo, env = zigbuild(rust.environment(target))
    folder = addon.compile_library([*cargo, "zigbuild"], target=f"{target}.{OLDEST_GLIBC}", env=env)
    return folder / "libgodot_shared_memory.so"


def build_macos():
    """Returns the path of a library with the halves of both processors."""
    cargo, env = zigbuild(macos_environment())
    folder = addon.compile_library([*cargo, "zigbuild", *UNSTRIPPED], target=MACOS, env=env)
    return folder / "libgodot_shared_memory.dylib"


def macos_environment():
    """Returns the variables with which cargo builds for both processors."""
    lacking = [target for target in MACOS_TARGETS if not rust.has_target(target)]
    return rust.environment((lacking or MACOS_TARGETS)[0])


BUILDERS = {
    "linux.x86_64": lambda: build_linux("x86_64-unknown-linux-gnu"),
    "linux.arm64": lambda: build_linux("aarch64-unknown-linux-gnu"),
    "macos": build_macos,
    "windows.x86_64": lambda: windows.build_library(windows.environment()),
}


def zigbuild(env):
    """Returns how to call cargo-zigbuild, and `env` with the variables that it takes."""
    programs = pypi.programs("cross")
    zig = next(programs.parent.glob("lib/python3*/site-packages/ziglang"))
    # zig brings what it needs of macOS. That is told to rustc, which would otherwise look for Xcode.
    zigs = {
        "CARGO_ZIGBUILD_ZIG_PATH": zig / "zig",
        "SDKROOT": zig / "lib/libc/darwin",
        "MACOSX_DEPLOYMENT_TARGET": OLDEST_MACOS,
    }
    return [programs / "cargo-zigbuild"], {**env, **zigs}


def check_libraries(libraries, *options):
    """Checks what each library needs of its system, and that none names a folder of this machine."""
    say("checking the libraries")
    program = [pypi.programs("cross") / "python", ROOT / "tools/check_libraries.py"]
    limits = ["--glibc", OLDEST_GLIBC, "--macos", OLDEST_MACOS]
    unwanted = [word for folder in FOREIGN for word in ("--foreign", folder)]
    must([*program, *limits, *unwanted, *options, *libraries], "problems found in the libraries")
