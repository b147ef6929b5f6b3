#!/usr/bin/env python3
"""Prints the text at the start of shared memory that Godot has made. For Linux, with the standard library.

The partner in Godot:

    var shm = SharedMemory.new()
    shm.create("SharedMemoryExample", 1024)
    shm.write("Hello world from Godot Shared Memory!".to_utf8_buffer())
    await get_tree().create_timer(10).timeout
    shm.close()
"""

import mmap
import sys

NAME = sys.argv[1] if len(sys.argv) > 1 else "SharedMemoryExample"

with open(f"/dev/shm/{NAME}", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
    print(memory[:].partition(b"\0")[0].decode())
