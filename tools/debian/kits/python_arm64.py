"""Python 3.11 for Linux on arm64, with all that it needs. Its modules in Python work on every system.

Afterwards root/usr/bin has python3.11, and root/usr/lib/python3.11 the standard library.
"""

NUMBER = 1
WHAT = "a Python for arm64 (15 MB)"
# The release of that Python.
SUITES = ("bookworm", "bookworm-security")
PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib")
ARCHITECTURE = "arm64"
# Everything: nothing that the system has installed is for that processor.
FETCHED = ".*"


def set_up(kit):
    if not (kit.root / "usr/lib/python3.11/os.py").exists():
        raise OSError("the standard library is missing")
