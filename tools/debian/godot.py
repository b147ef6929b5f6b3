"""Godot 4 and its release export template. They bring every library that they need, the C library included.

Afterwards there are bin/godot and root/usr/bin/godot-template-release.
"""

import subprocess

NUMBER = 1
WHAT = "Godot (180 MB)"
# The release that packages Godot 4.
SUITES = ("forky",)
PACKAGES = (
    *("godot", "godot-template-release", "patchelf"),
    # For a window: OpenGL, in software where there is no graphics card.
    *("libgl1", "libegl1", "libgl1-mesa-dri", "libglx-mesa0", "libegl-mesa0"),
)
# Everything: the libraries of an older release won't do.
FETCHED = ".*"


def set_up(kit):
    # Programs of a newer release don't run on the libraries of an older one. Their own loader and library
    # folders are therefore written into them. Started through the loader, the editor would run as well; but
    # an exported game would take the loader for its executable, and would not find its files.
    libraries = kit.libraries()
    loader = next(libraries.glob("ld-linux*.so.*"))
    patchelf = [loader, "--library-path", libraries, kit.root / "usr/bin/patchelf"]
    path = ":".join(str(libraries / part) for part in ("", "pulseaudio", "blas", "lapack"))
    for name in ("godot", "godot-template-release"):
        options = ["--set-interpreter", loader, "--force-rpath", "--set-rpath", path]
        kit.run(*patchelf, *options, kit.root / "usr/bin" / name)
    # A library with a search path of its own ignores its program's.
    for library in libraries.rglob("*.so*"):
        if "gconv" in library.parts or library.is_symlink() or not library.is_file():
            continue
        command = [str(part) for part in (*patchelf, "--print-rpath", library)]
        if subprocess.run(command, capture_output=True).stdout.strip():
            kit.run(*patchelf, "--remove-rpath", library)
    # OpenGL drivers, keyboard tables and sound settings.
    share = kit.root / "usr/share"
    kit.wrap(
        "godot",
        kit.root / "usr/bin/godot",
        LIBGL_DRIVERS_PATH=libraries / "dri",
        __EGL_VENDOR_LIBRARY_DIRS=share / "glvnd/egl_vendor.d",
        XKB_CONFIG_ROOT=share / "X11/xkb",
        ALSA_CONFIG_PATH=share / "alsa/alsa.conf",
    )
    kit.run(kit.bin / "godot", "--headless", "--version")
