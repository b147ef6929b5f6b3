"""QEMU, which runs programs of another processor, and the C library for arm64.

Afterwards there are root/usr/bin/qemu-aarch64-static, which needs no library, and
root/usr/aarch64-linux-gnu/lib.
"""

NUMBER = 2
WHAT = "QEMU and arm64's C library (65 MB)"
# An old one, so that the C library is one that programs of all later ones could have been built for.
SUITES = ("bookworm", "bookworm-security")
PACKAGES = ("qemu-user-static", "libc6-arm64-cross")
FETCHED = "qemu-user-static|libc6-arm64-cross"


def set_up(kit):
    qemu = kit.root / "usr/bin/qemu-aarch64-static"
    for other in qemu.parent.glob("qemu-*"):
        if other != qemu:
            other.unlink()
    library = kit.root / "usr/aarch64-linux-gnu/lib"
    kit.run(qemu, library / "ld-linux-aarch64.so.1", "--verify", library / "libc.so.6")
