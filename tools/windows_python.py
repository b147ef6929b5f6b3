"""A CPython for Windows, put together from packages, which Wine runs."""

import shutil

import emulated
import pypi
from common import ROOT, TARGET, must, output, say

FOLDER = TARGET / "windows-python"
# Changes with every change of this file that makes another Python.
NUMBER = 1
# Panda3D, with the DLLs of CPython of this version.
REQUIREMENTS = ROOT / "tools/requirements-windows-python.txt"
DLL = "python311"

PROGRAM = """\
#include <wchar.h>
__declspec(dllimport) int Py_Main(int count, wchar_t **arguments);
int wmain(int count, wchar_t **arguments) { return Py_Main(count, arguments); }
"""
LIST_EXPORTS = """\
import pefile, sys
for symbol in pefile.PE(sys.argv[1]).DIRECTORY_ENTRY_EXPORT.symbols:
    print(symbol.name.decode())
"""


def prepare(gcc):
    """Returns the path of python.exe, in a folder with everything it needs. Makes it if it isn't there."""
    texts = [file.read_text(encoding="utf-8") for file in (REQUIREMENTS, emulated.REQUIREMENTS)]
    stamp, wanted = FOLDER / "stamp", "\n".join([str(NUMBER), *texts])
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        make(gcc)
        stamp.write_text(wanted, encoding="utf-8")
    return FOLDER / "python.exe"


def make(gcc):
    """Makes the Python. Its DLLs are those of python.org, which Panda3D's wheel for Windows contains.

    The modules in Python are Debian's. The program and python3.dll, to which the stable ABI is linked, are
    made here.
    """
    say(f"making a Python for Windows in target/{FOLDER.name}, of packages from PyPI and Debian")
    shutil.rmtree(FOLDER, ignore_errors=True)
    library = emulated.standard_library()
    shutil.copytree(library, FOLDER / "Lib", ignore=lambda *_: ["lib-dynload"], ignore_dangling_symlinks=True)
    packages = FOLDER / "packages"
    emulated.install(["win_amd64"], packages, REQUIREMENTS, emulated.REQUIREMENTS)
    for file in (packages / "deploy_libs").iterdir():
        # Wine has its own C library.
        if not file.name.startswith("api-ms-win") and file.suffix in (".dll", ".pyd"):
            shutil.move(file, FOLDER / file.name)
    for part in ("deploy_libs", "panda3d", "panda3d_tools", "direct", "pandac"):
        shutil.rmtree(packages / part, ignore_errors=True)
    # Where Python looks for modules, and nowhere else.
    (FOLDER / f"{DLL}._pth").write_text("Lib\n.\npackages\nwheel\n", encoding="utf-8")

    names = output(pypi.programs("cross") / "python", "-c", LIST_EXPORTS, FOLDER / f"{DLL}.dll").split()
    forwards = "".join(f"  {name} = {DLL}.{name}\n" for name in names)
    source, definition = FOLDER / "program.c", FOLDER / "python3.def"
    source.write_text(PROGRAM, encoding="utf-8")
    definition.write_text(f"LIBRARY python3.dll\nEXPORTS\n{forwards}", encoding="utf-8")
    must([gcc, "-municode", "-O2", "-s", "-o", FOLDER / "python.exe", source, FOLDER / f"{DLL}.dll"])
    empty = FOLDER / "empty.c"
    empty.write_text("int DllMainCRTStartup(void) { return 1; }\n", encoding="utf-8")
    must([gcc, "-shared", "-s", "-nostdlib", "-o", FOLDER / "python3.dll", empty, definition])
