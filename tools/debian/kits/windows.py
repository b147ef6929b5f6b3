"""A C compiler for Windows (mingw-w64) and Wine. Libraries that the system has installed are used from there.

Afterwards bin has x86_64-w64-mingw32-gcc and -dlltool, wine and wineserver.
"""

import shutil

NUMBER = 1
WHAT = "a C compiler for Windows and Wine (160 MB)"
# An old one, so that its programs run on all later ones.
SUITES = ("bookworm",)
PACKAGES = ("gcc-mingw-w64-x86-64-win32", "wine64")
FETCHED = ".*mingw.*|.*wine.*"

# A library that Rust's own needs, and that this Wine hasn't got.
BCRYPTPRIMITIVES = """\
#include <windows.h>
#include <ntsecapi.h>
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) {
  while (size > 0) {
    ULONG part = size > 0x10000000 ? 0x10000000 : (ULONG)size;
    if (!RtlGenRandom(data, part)) return FALSE;
    data += part;
    size -= part;
  }
  return TRUE;
}
"""


def set_up(kit):
    usr = kit.root / "usr"
    wine = next(usr.glob("lib/*-linux-gnu*/wine"))
    shutil.rmtree(wine / "i386-windows", ignore_errors=True)
    shutil.rmtree(usr / "i686-w64-mingw32", ignore_errors=True)
    # As Debian does when it installs Wine: mingw's zlib becomes one of Wine's own libraries, by these words
    # in its header.
    zlib = bytearray((usr / "x86_64-w64-mingw32/lib/zlib1.dll").read_bytes())
    zlib[64:96] = b"Wine builtin DLL".ljust(32, b"\0")
    (wine / "x86_64-windows/zlib1.dll").write_bytes(zlib)
    # Instead of a script that looks for it in /usr/lib/wine.
    server = usr / "lib/wine/wineserver"
    server.unlink(missing_ok=True)
    server.symlink_to("wineserver64")

    paths = {"LD_LIBRARY_PATH": wine.parent}
    for tool in ("gcc", "dlltool"):
        program = usr / f"bin/x86_64-w64-mingw32-{tool}"
        if not program.exists():
            program = program.with_name(f"{program.name}-win32")
        kit.wrap(f"x86_64-w64-mingw32-{tool}", program, **paths)
    # Wine talks of what it misses, asks for .NET and a browser at its first start, and adds menus to the
    # desktop.
    paths.update(
        WINEPREFIX=kit.folder / "prefix",
        WINEDEBUG="-all",
        WINEDLLOVERRIDES="mscoree,mshtml,winemenubuilder.exe=",
    )
    kit.wrap("wine", usr / "lib/wine/wine64", **paths)
    kit.wrap("wineserver", usr / "lib/wine/wineserver64", **paths)

    source, library = kit.work / "bcryptprimitives.c", kit.work / "bcryptprimitives.dll"
    source.write_text(BCRYPTPRIMITIVES)
    gcc = [kit.bin / "x86_64-w64-mingw32-gcc", "-O2", "-s", "-shared"]
    kit.run(*gcc, "-o", library, source, "-ladvapi32")
    try:
        kit.run(kit.bin / "wine", "wineboot", "--init", limit=180)
        shutil.copy(library, kit.folder / "prefix/drive_c/windows/system32")
        kit.run(kit.bin / "wine", "cmd", "/c", "ver", limit=60)
    finally:
        kit.run(kit.bin / "wineserver", "--kill", limit=20, check=False)
