"""build.sh windows: the addon for Windows, built on Linux."""

import os

import addon
import debian
import needs
import rust
from common import ROOT, Failure, have, install_file, must, parse, say
from common import TARGET as TARGET_FOLDER

TARGET = "x86_64-pc-windows-gnu"
FOLDER = TARGET_FOLDER / "windows"
LIBRARY = FOLDER / "godot_shared_memory.windows.x86_64.dll"
GCC, DLLTOOL = "x86_64-w64-mingw32-gcc", "x86_64-w64-mingw32-dlltool"
TEST = ["cargo", "test", "--locked", "-p", "shm-segment", "--target", TARGET]

HELP = """\
Usage: ./build.sh windows

Builds the addon for Windows (x86_64), in release, into target/windows/, and the programs that test-windows
runs. Where mingw-w64 is not on the PATH, on Debian and its relatives, it is fetched once into target/windows/
(160 MB, with Wine); so is, where rustup has no library for the target x86_64-pc-windows-gnu, a Rust that
builds it from source, into target/toolchain/ (150 MB). Both come from the mirror that this system is set up
for. Nothing is installed, and no root is needed.
"""


def main(arguments):
    parse("windows", arguments)
    needs.check()
    env = environment()
    library = build_library(env)
    build_tests(env)
    print(library)


def environment():
    """Returns the variables with which cargo builds for Windows."""
    env = rust.environment(TARGET)
    # rustc calls DLLTOOL for the system's own libraries.
    if not (have(GCC) and have(DLLTOOL)):
        env["PATH"] = f"{fetched_tools()}{os.pathsep}{os.environ['PATH']}"
    return {**env, "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER": GCC}


def fetched_tools():
    """Returns the folder of Debian's mingw and Wine."""
    folder = debian.fetch("windows")
    if folder is None:
        raise Failure(
            "the library for Windows takes mingw-w64, which can be fetched on Debian on x86_64 only: "
            "install it, or build on Windows itself."
        )
    return folder / "bin"


def build_library(env):
    """Returns the path of the library."""
    say("building the addon for Windows (release)")
    built = addon.compile_library(["cargo", "build"], target=TARGET, env=env)
    install_file(built / "godot_shared_memory.dll", LIBRARY)
    say(f"{LIBRARY.relative_to(ROOT)} is ready")
    return LIBRARY


def build_tests(env):
    say("building the test programs for Windows")
    must([*TEST, "--no-run"], "the tests could not be built", env=env)
    for source in ("rust/segment/tests/partner/partner.c", "tools/load.c"):
        program = (FOLDER / source.rpartition("/")[2]).with_suffix(".exe")
        flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-s"]
        must([GCC, *flags, "-o", program, ROOT / source], env=env)
