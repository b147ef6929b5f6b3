"""Godot 4 and its release export template. They bring every library that they need, the C library included.

Afterwards there are bin/godot and root/usr/bin/godot-template-release.
"""

NUMBER = 2
WHAT = "Godot (200 MB)"
# The release that packages Godot 4.
SUITES = ("forky",)
PACKAGES = (
    *("godot", "godot-template-release", "patchelf"),
    # For a window: OpenGL, in software where there is no graphics card.
    *("libgl1", "libegl1", "libgl1-mesa-dri", "libglx-mesa0", "libegl-mesa0"),
    # The same for Vulkan. Nothing uses it unless VK_DRIVER_FILES names it.
    "mesa-vulkan-drivers",
)
# Everything: the libraries of an older release won't do.
FETCHED = ".*"


def set_up(kit):
    # Programs of a newer release don't run on the libraries of an older one, so their own loader is written
    # into them, too. Started through the loader, the editor would run as well. An exported game would take
    # the loader for its executable, and would not find its files.
    libraries = kit.libraries()
    loader = next(libraries.glob("ld-linux*.so.*"))
    patchelf = [loader, "--library-path", libraries, kit.root / "usr/bin/patchelf"]
    programs = [kit.root / "usr/bin" / name for name in ("godot", "godot-template-release")]
    kit.tie(patchelf, programs, "--set-interpreter", loader, folders=("", "pulseaudio", "blas", "lapack"))
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
