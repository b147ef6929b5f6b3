"""build.sh test-c: the tests of the header for C and C++, with every compiler that is there."""

import os
import shutil
import sys

import debian
import rust
from common import LOGS, ROOT, SYSTEM, TARGET, Failure, have, parse, run, say

FOLDER = ROOT / "partners/c"
BUILT = TARGET / "test-c"
# The header of the format's first version, which remains a partner.
OLDER = ROOT / "tests/golden/godot_shared_memory-1.0.h"
LOG = LOGS / "c.log"
# For each program.
SECONDS = 120

HELP = """\
Usage: ./build.sh test-c [FILTER]

Compiles partners/c/ without a warning: as C11 with gcc and clang, as C++17 with g++ and clang++, as far as
they are there. Zig's clang takes the place of clang if ./build.sh cross has fetched it. Runs the tests: as
C11 under AddressSanitizer and UndefinedBehaviorSanitizer, as C++17 optimised. Zig lacks AddressSanitizer. The
partner also exchanges messages with one that has the header of version 1.0, and both are held to the recorded
memory in tests/golden. Tests with kills and single steps run on Linux only. Then compiles for Windows, macOS
and FreeBSD with the compilers that ./build.sh windows and ./build.sh cross have fetched. ./build.sh
test-windows runs the tests for Windows in Wine. With FILTER: only the tests of partners/c/tests whose name
contains it. Names the compilers, and those that were missing.
"""

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
C, CXX = ["-x", "c", "-std=c11"], ["-x", "c++", "-std=c++17"]
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
UNDEFINED = ["-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
OPTIMISED = ["-O2"]
EVERYWHERE = ["partner.c", "simulator.c", "tests/test_format.c", "tests/test_peers.c"]
# Single steps of instrumented programs take long, and show the same.
ON_LINUX = ["tests/test_mutexes.c", "tests/test_processes.c", "tests/test_steps.c"]
DRIVERS = ("test_partner.py", "test_golden.py", "test_golden_pairs.py")
MINGW = "x86_64-w64-mingw32-gcc"
ZIG_TARGETS = ("aarch64-macos", "x86_64-freebsd", "aarch64-linux-gnu")


def main(arguments):
    words, _ = parse("test-c", arguments, most=1)
    LOG.unlink(missing_ok=True)
    passed = run_all(words[0] if words else "")
    say(f"the header for C: {'passed' if passed else 'FAILED'}; {rust.passed_in(LOG)} tests passed")
    sys.exit(not passed)


def run_all(name_filter):
    """Compiles and runs everything, and returns whether all passed."""
    found, missing = compilers()
    if not found:
        raise Failure("test-c: gcc or clang is needed")
    others, lacking = compilers_for_elsewhere()
    names = ", ".join([*found, *others])
    told = f"; missing: {', '.join(missing + lacking)}" if missing + lacking else ""
    say(f"compilers: {names}{told}")
    passed = [test(name, *compiler, name_filter) for name, compiler in found.items()]
    passed += [compile_elsewhere(command) for command in others.values()]
    return all(passed)


def compilers():
    """Returns the command, the language and the flags of each compiler by its name, and the missing names."""
    found, missing = {}, []
    for c, cxx in (("gcc", "g++"), ("clang", "clang++")):
        for name, language, flags in ((c, C, SANITIZERS), (cxx, CXX, OPTIMISED)):
            if have(name):
                found[name] = [name], language, flags
            else:
                missing.append(name)
    if "clang" in missing and zig():
        found["zig-cc"] = [zig(), "cc"], C, UNDEFINED
        found["zig-c++"] = [zig(), "c++"], CXX, OPTIMISED
    return found, missing


def zig():
    """Returns the path of Zig, which is a clang, if ./build.sh cross has fetched it."""
    return next(TARGET.glob("cross-venv/lib/python3*/site-packages/ziglang/zig"), None)


def compilers_for_elsewhere():
    """Returns the commands that compile for other systems by their names, and the missing names."""
    windows = debian.fetched("windows")
    commands = {MINGW: [shutil.which(MINGW) or (windows and windows / "bin" / MINGW)]}
    commands.update({f"zig-cc for {target}": [zig(), "cc", "-target", target] for target in ZIG_TARGETS})
    missing = [name for name, command in commands.items() if not command[0]]
    return {name: command for name, command in commands.items() if command[0]}, missing


def test(name, command, language, flags, name_filter):
    """Returns whether the tests compile with a compiler, and pass."""
    sources = EVERYWHERE + (ON_LINUX if SYSTEM == "Linux" else [])
    programs = {source: build(name, command, source, language + flags) for source in sources}
    if not all(programs.values()):
        return False
    passed = True
    for source in sources[2:]:
        if flags == OPTIMISED or source != "tests/test_steps.c":
            passed &= run([programs[source], name_filter], limit=SECONDS, log=LOG) == 0
    if name_filter:
        return passed
    # Each version's partner makes the memory once.
    older = build(name, command, "partner.c", [*language, *flags, f'-DGSM_HEADER="{OLDER}"'], "-older")
    newer = programs["partner.c"]
    for one, other in ((newer, newer), (newer, older), (older, newer)):
        passed = older is not None and drive([one], other) and passed
    return passed


def build(name, compiler, source, flags, suffix=""):
    """Returns the path of a program, or None."""
    BUILT.mkdir(parents=True, exist_ok=True)
    end = f"{suffix}.exe" if SYSTEM == "Windows" else suffix
    program = BUILT / f"{os.path.basename(source)[:-2]}-{name}{end}"
    libraries = [] if SYSTEM == "Windows" else ["-lm"]
    command = [*compiler, *WARNINGS, *flags, "-o", program, FOLDER / source, *libraries]
    return program if run(command, log=LOG) == 0 else None


def drive(command, other):
    """Returns whether two partners pass the tests that drive them by lines of text."""
    passed = True
    for driver in DRIVERS:
        program = [sys.executable, FOLDER / "tests" / driver, *command]
        passed &= run(program, env={"GSM_OTHER_PARTNER": other}, limit=SECONDS, log=LOG) == 0
    return passed


def compile_elsewhere(compiler):
    """Returns whether the header compiles for another system."""
    passed = True
    for source in EVERYWHERE:
        command = [*compiler, *C, *WARNINGS, "-O2", "-c", "-o", BUILT / "elsewhere.o", FOLDER / source]
        passed &= run(command, log=LOG, limit=SECONDS) == 0
    return passed


def in_wine(gcc, wine):
    """Builds the programs for Windows, and returns whether the tests pass in Wine."""
    flags = [*C, *OPTIMISED]
    sources = ("partner.c", "tests/test_format.c", "tests/test_peers.c")
    partner, *tests = [build(MINGW, [gcc], source, flags, ".exe") for source in sources]
    if not partner or not all(tests):
        return False
    passed = [run([wine, test], limit=SECONDS, log=LOG) == 0 for test in tests]
    return drive([wine, partner], partner) and all(passed)
