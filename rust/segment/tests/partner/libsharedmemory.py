"""A partner with the wire formats of libsharedmemory and shared-memory-zig. It shares no code with the crate.

It reads commands from its standard input, one per line, and answers each with a line. Data are in
hexadecimal. With the argument `golden` and a folder, it writes the golden files there.

Python has no atomic instructions, so no other process may use the memory concurrently. For that, see
libsharedmemory.c.
"""

import mmap
import os
import struct
import sys

FLAGS = {"bytes": 0, "string": 2, "floats": 4, "doubles": 8}
# The offsets of the size and the data in a V0 stream.
V0 = {"bytes": (1, 5), "string": (1, 5), "floats": (4, 20), "doubles": (8, 40)}
STREAM_V2 = struct.Struct("<B3xIIII")


def kind_of(flags):
    return {value: key for key, value in FLAGS.items()}[flags & ~1]


def stream_write(memory, version, kind, data):
    flags = FLAGS[kind] | (memory[0] & 1 ^ 1)
    if version == "v2":
        _, revision, ack, _, lock = STREAM_V2.unpack_from(memory)
        assert lock == 0
        STREAM_V2.pack_into(
            memory, 0, flags, (revision + 1) & 0xFFFFFFFF, ack, len(data), 0
        )
        memory[20 : 20 + len(data)] = data
        return
    size_at, data_at = V0[kind] if version == "v0" else (1, 5)
    memory[0] = flags
    struct.pack_into("<I", memory, size_at, len(data))
    memory[data_at : data_at + len(data)] = data


def stream_read(memory, version):
    kind = kind_of(memory[0])
    size_at, data_at = {"v0": V0[kind], "v1": (1, 5), "v2": (12, 20)}[version]
    (size,) = struct.unpack_from("<I", memory, size_at)
    return kind, bytes(memory[data_at : data_at + size])


def stream_mark(memory, version):
    if version == "v1":
        memory[0] &= ~1
    else:
        memory[8:12] = memory[4:8]


def stream_is_read(memory, version):
    return memory[0] & 1 == 0 if version == "v1" else memory[8:12] == memory[4:8]


QUEUE_HEADER = {"v1": 20, "v2": 28}


def queue_create(memory, version, capacity, longest):
    struct.pack_into("<IIIII", memory, 0, 0, 0, capacity, 0, longest)


def slot(version, index, longest):
    return QUEUE_HEADER[version] + index * (4 + longest)


def enqueue(memory, version, data):
    write, read, capacity, count, longest = struct.unpack_from("<IIIII", memory)
    assert count < capacity and len(data) <= longest
    at = slot(version, write, longest)
    struct.pack_into("<I", memory, at, len(data))
    memory[at + 4 : at + 4 + len(data)] = data
    struct.pack_into(
        "<IIIII", memory, 0, (write + 1) % capacity, read, capacity, count + 1, longest
    )


def dequeue(memory, version):
    write, read, capacity, count, longest = struct.unpack_from("<IIIII", memory)
    assert count > 0
    at = slot(version, read, longest)
    (size,) = struct.unpack_from("<I", memory, at)
    data = bytes(memory[at + 4 : at + 4 + size])
    struct.pack_into(
        "<IIIII", memory, 0, write, (read + 1) % capacity, capacity, count - 1, longest
    )
    return data


def array_create(memory, total, count):
    struct.pack_into("<QQ", memory, 0, total, count)


def array_element(index, stride):
    return slice(16 + index * stride, 16 + (index + 1) * stride)


def golden():
    """Returns the bytes of each golden file, by the name of the file."""
    text = "Grüße".encode()
    floats = struct.pack("<3f", 1.5, -2.25, 1e10)
    doubles = struct.pack("<2d", 0.1, -1e300)
    values = {
        "bytes": b"\0\xff\x01",
        "string": text,
        "floats": floats,
        "doubles": doubles,
    }
    files = {}
    for version in ("v0", "v1", "v2"):
        for kind, data in values.items():
            memory = bytearray(64)
            stream_write(memory, version, kind, data)
            files[f"stream_{version}_{kind}"] = memory
        # A second message, of another kind, over the first; acknowledged, where the format has that.
        memory = bytearray(64)
        stream_write(memory, version, "doubles", doubles)
        stream_write(memory, version, "string", b"2nd")
        if version != "v0":
            stream_mark(memory, version)
        files[f"stream_{version}_second"] = memory
    for version in ("v1", "v2"):
        # Room for three messages of up to nine bytes, and two bytes more.
        memory = bytearray(QUEUE_HEADER[version] + 3 * 13 + 2)
        queue_create(memory, version, 3, 9)
        files[f"queue_{version}_new"] = bytearray(memory)
        for message in (b"first", b"", b"nine byte"):
            enqueue(memory, version, message)
        files[f"queue_{version}_full"] = bytearray(memory)
        dequeue(memory, version)
        enqueue(memory, version, b"around")
        files[f"queue_{version}_around"] = memory
    # One element, as Zig makes it from a value: id i32, padding, f64.
    memory = bytearray(32)
    array_create(memory, 32, 1)
    memory[16:] = struct.pack("<i4xd", 42, 6.02)
    files["array_struct"] = memory
    # A slice of three i32, whose total counts 16 bytes each.
    memory = bytearray(64)
    array_create(memory, 64, 3)
    memory[16:28] = struct.pack("<3i", 1, -2, 3)
    files["array_slice"] = memory
    # An array of the crate: all elements that fit.
    memory = bytearray(30)
    array_create(memory, 28, 3)
    memory[16:28] = struct.pack("<3i", 0, 7, 0)
    files["array_fitting"] = memory
    return files


def write_golden(folder):
    for name, memory in golden().items():
        lines = (memory[at : at + 16].hex(" ") for at in range(0, len(memory), 16))
        with open(
            os.path.join(folder, name + ".hex"), "w", encoding="ascii", newline="\n"
        ) as file:
            file.write("".join(line + "\n" for line in lines))


def serve():
    memory = None
    for line in sys.stdin:
        command, *words = line.rstrip("\n").split(" ")
        answer = "done"
        if command in ("create", "open"):
            path = "/dev/shm/" + words[0]
            if command == "create":
                with open(path, "xb") as file:
                    file.truncate(int(words[1]))
            with open(path, "r+b") as file:
                memory = mmap.mmap(file.fileno(), 0)
        elif command == "write":
            stream_write(memory, words[0], words[1], bytes.fromhex(words[2]))
        elif command == "read":
            kind, data = stream_read(memory, words[0])
            answer = f"{kind} {data.hex()}"
        elif command == "mark":
            stream_mark(memory, words[0])
        elif command == "is_read":
            answer = str(stream_is_read(memory, words[0]))
        elif command == "queue":
            queue_create(memory, words[0], int(words[1]), int(words[2]))
        elif command == "enqueue":
            enqueue(memory, words[0], bytes.fromhex(words[1]))
        elif command == "dequeue":
            answer = dequeue(memory, words[0]).hex()
        elif command == "array":
            array_create(memory, int(words[0]), int(words[1]))
        elif command == "set":
            data = bytes.fromhex(words[1])
            memory[array_element(int(words[0]), len(data))] = data
        elif command == "get":
            answer = memory[array_element(int(words[0]), int(words[1]))].hex()
        else:
            answer = f"unknown command {command}"
        print(f"answer: {answer}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["golden"]:
        write_golden(sys.argv[2])
    else:
        serve()
