"""A partner for the backends other than the native one, which shares no code with the crate.

It reads commands from its standard input, one per line, and answers each with a line. System V memory has the
key that the Node package `@markusjx/shared_memory` computes, a memfd the meta file of shared-memory-zig.
"""

import ctypes
import mmap
import os
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmdt.argtypes = [ctypes.c_void_p]
IPC_CREAT, IPC_EXCL, IPC_RMID = 0o1000, 0o2000, 0
MASK = (1 << 64) - 1


def key_of(name):
    data, factor, shift = name.encode(), 0xC6A4A7935BD1E995, 47
    value = 0xC70F6907 ^ (len(data) * factor & MASK)
    for at in range(0, len(data) - 7, 8):
        word = int.from_bytes(data[at : at + 8], "little") * factor & MASK
        word = (word ^ word >> shift) * factor & MASK
        value = (value ^ word) * factor & MASK
    rest = data[len(data) // 8 * 8 :]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * factor & MASK
    value = (value ^ value >> shift) * factor & MASK
    return (value ^ value >> shift) & 0xFFFFFFFF


class SystemV:
    def __init__(self, name, size=0):
        flags = IPC_CREAT | IPC_EXCL | 0o600 if size else 0
        self.is_owner = size > 0
        self.id = libc.shmget(ctypes.c_int(key_of(name)), size, flags)
        assert self.id >= 0, os.strerror(ctypes.get_errno())
        self.address = libc.shmat(self.id, None, 0)
        assert self.address != ctypes.c_void_p(-1).value

    def read(self, count):
        return ctypes.string_at(self.address, count)

    def write(self, data):
        ctypes.memmove(self.address, data, len(data))

    def close(self):
        libc.shmdt(self.address)
        if self.is_owner:
            libc.shmctl(self.id, IPC_RMID, None)


class Mapped:
    def __init__(self, fd):
        self.fd = fd
        self.memory = mmap.mmap(fd, 0)

    def read(self, count):
        return self.memory[:count]

    def write(self, data):
        self.memory[: len(data)] = data

    def close(self):
        self.memory.close()
        os.close(self.fd)


def file(path, size=0):
    fd = os.open(path, os.O_RDWR | (os.O_CREAT | os.O_EXCL if size else 0), 0o600)
    if size:
        os.ftruncate(fd, size)
    return Mapped(fd)


def memfd(name, size=0):
    meta = f"{os.environ['XDG_RUNTIME_DIR']}/.memfd_{name}.meta"
    if size:
        fd = os.memfd_create(name)
        os.ftruncate(fd, size)
        with open(meta, "xb") as out:
            out.write(struct.pack("=Qqii", size, int(time.time()), os.getpid(), fd))
        return Mapped(fd)
    with open(meta, "rb") as found:
        _size, _time, pid, number = struct.unpack("=Qqii", found.read(24))
    return Mapped(os.open(f"/proc/{pid}/fd/{number}", os.O_RDWR))


KINDS = {"file": file, "sysv": SystemV, "memfd": memfd}


def serve():
    memory = None
    for line in sys.stdin:
        command, _, rest = line.rstrip("\n").partition(" ")
        answer = "done"
        if command in ("create", "open"):
            kind, name, *size = rest.split(" ")
            memory = KINDS[kind](name, *map(int, size))
        elif command == "read":
            answer = memory.read(int(rest)).decode()
        elif command == "write":
            memory.write(rest.encode())
        elif command == "close":
            memory.close()
        else:
            answer = f"unknown command {command}"
        print(f"answer: {answer}", flush=True)


if __name__ == "__main__":
    serve()
