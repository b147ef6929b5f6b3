#!/usr/bin/env python3
"""Runs a command where Linux starts arm64 programs through QEMU: with_emulator.py QEMU SYSROOT COMMAND...

Tests that start themselves again need that from the kernel itself (binfmt_misc). Linux 6.7 and later have
it per user namespace: the command gets one of its own, so that nothing outside of it sees this. SYSROOT holds
the arm64 C library.
"""

import ctypes
import os
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000

# 64-bit little-endian ELF for AArch64 (EM_AARCH64, 183), a program or a position-independent one (ET_EXEC,
# ET_DYN).
MAGIC = b"\x7fELF\x02\x01\x01" + 9 * b"\0" + b"\x02\0\xb7\0"
MASK = b"\xff\xff\xff\xff\xff\xff\xff" + 9 * b"\0" + b"\xfe\xff\xff\xff"

BINFMT = "/proc/sys/fs/binfmt_misc"

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        sys.exit(f"with_emulator.py: {what}: {os.strerror(number)}")


def map_users(process):
    """Makes every user of the system the same user inside; or, without the right to that, this one alone."""
    for kind, mine in (("uid", os.getuid()), ("gid", os.getgid())):
        if os.getuid() == 0:
            # As many as there are in the namespace that this runs in.
            with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
                ranges = [line.split() for line in file]
            lines = [f"{inside} {inside} {count}" for inside, _outside, count in ranges]
        else:
            lines = [f"{mine} {mine} 1"]
            if kind == "gid":
                with open(f"/proc/{process}/setgroups", "w", encoding="ascii") as file:
                    file.write("deny")
        with open(f"/proc/{process}/{kind}_map", "w", encoding="ascii") as file:
            file.write("\n".join(lines))


def escaped(data):
    return "".join(f"\\x{byte:02x}" for byte in data)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    qemu, sysroot, *command = sys.argv[1:]

    # The maps can only be written from outside, once the namespace is there.
    made_read, made_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    this = os.getpid()
    if os.fork() == 0:
        # An error here is told on stderr; the other side then finds no map.
        if os.read(made_read, 1):
            map_users(this)
            os.write(mapped_write, b"x")
        os._exit(0)
    os.close(mapped_write)
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "no user namespace")
    os.write(made_write, b"x")
    if not os.read(mapped_read, 1):
        sys.exit("with_emulator.py: the users could not be mapped")
    os.wait()

    check(
        libc.mount(b"binfmt_misc", BINFMT.encode(), b"binfmt_misc", 0, None),
        "binfmt_misc can't be mounted in a user namespace (Linux 6.7 or later can)",
    )
    # F: the interpreter is opened now, and found whatever the command does to the file system.
    rule = f":qemu-aarch64:M::{escaped(MAGIC)}:{escaped(MASK)}:{qemu}:F"
    with open(f"{BINFMT}/register", "w", encoding="ascii") as file:
        file.write(rule)
    os.environ["QEMU_LD_PREFIX"] = sysroot
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
