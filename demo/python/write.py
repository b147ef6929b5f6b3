#!/usr/bin/env python3
"""Writes a text to the start of shared memory that Godot has made. For Linux, with the standard library.

The partner in Godot:

    var shm = SharedMemory.new()
    shm.create("SharedMemoryExample", 1024)
    await get_tree().create_timer(10).timeout
    print(shm.read().get_string_from_utf8())
    shm.close()
"""

import mmap
import sys

NAME = sys.argv[1] if len(sys.argv) > 1 else "SharedMemoryExample"
# The zero byte ends the text.
TEXT = b"Hello world from Python Shared Memory!\0"

with open(f"/dev/shm/{NAME}", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
    memory[: len(TEXT)] = TEXT
print(f"written: {TEXT[:-1].decode()}")
