"""The entry: python3 tools COMMAND ARGUMENTS, as build.sh starts it."""

import importlib
import os
import sys

from common import Failure, run_main

USAGE = """\
Usage: ./build.sh [COMMAND] [ARGUMENTS]

{commands}

./build.sh COMMAND --help tells more. Where system packages are missing, a question comes before they are
installed. There is none with --yes, nor under root in a container. Variables:
  GODOT           the Godot to use (4.3 or newer); otherwise godot4 or godot on the PATH, or a fetched one
  GODOT_TEMPLATE  the release export template of that Godot, for the test of an exported game
  SHARED_MEMORY_LIBRARY  a library of the addon, or a zip with it (a release, say), instead of building one"""

# The arguments of each command, and what it does. Each is a module in commands/.
COMMANDS = {
    "build": (
        "(none), build",
        "build the addon for this machine and put it into addons/ and the Godot projects here",
    ),
    "demo": ("demo [NAME]", "build, then run a demo: Godot and Python talk through shared memory"),
    "test": ("test [FILTER]", "build, then run all tests, or those whose name contains FILTER"),
    "test-c": ("test-c [FILTER]", "run the tests of the header for C and C++"),
    "wheel": ("wheel", "build the Python package for this machine"),
    "test-python": ("test-python [FILTER]", "build the Python package, and run its tests"),
    "test-bridge": ("test-bridge", "run the bridge of demo/bridge between two networks, and measure it"),
    "test-fresh": ("test-fresh", "run demo and test on a bare Debian, in a folder of its own"),
    "windows": ("windows", "build the addon for Windows, on Linux"),
    "test-windows": (
        "test-windows",
        "build it, then run the segment crate's tests in Wine, and load the library there",
    ),
    "miri": ("miri", "run in the interpreter Miri what it can run of the Rust crates"),
    "fuzz": ("fuzz", "run the fuzz targets: code that parses or trusts bytes from other processes"),
    "sanitize": ("sanitize", "run the tests of the segment crate under ThreadSanitizer or AddressSanitizer"),
    "soak": ("soak [MINUTES]", "run the randomised tests of the segment crate over and over"),
    "bench": ("bench", "build, then measure: calls, copies and round trips, beside other ways"),
    "pictures": ("pictures [NAME]", "record a demo for the documentation, as a moving picture"),
    "lint": ("lint", "check formatting, warnings, licences, spelling, prose and scripts"),
    "cross": ("cross", "build the libraries of all systems, and check them"),
    "test-arm64": ("test-arm64", "run the segment crate's tests as programs for arm64, through QEMU"),
    "check-targets": ("check-targets", "compile and lint for the systems that nothing is run on here"),
    "package": ("package", "build, then make the zip that users install"),
    "godot": ("godot", "print the path of a Godot to use; fetched if there is none"),
}


def main(arguments):
    if "--yes" in arguments:
        arguments = [argument for argument in arguments if argument != "--yes"]
        os.environ["BUILD_YES"] = "1"
    name, *arguments = arguments or ["build"]
    if name in ("-h", "--help", "help"):
        print(USAGE.format(commands="\n".join(f"  {words:<15} {text}" for words, text in COMMANDS.values())))
        return
    if name not in COMMANDS:
        raise Failure(f"unknown command '{name}' (see ./build.sh --help)")
    command = importlib.import_module("commands." + name.replace("-", "_"))
    if not {"-h", "--help"}.isdisjoint(arguments):
        print(command.HELP, end="")
    else:
        command.main(arguments)


if __name__ == "__main__":
    # On Windows, too: bash takes a carriage return for a part of a line.
    sys.stdout.reconfigure(encoding="utf-8", newline="\n", line_buffering=True)
    sys.stderr.reconfigure(encoding="utf-8")
    run_main(main, sys.argv[1:])
