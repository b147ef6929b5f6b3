"""Programs of others: numpy, packages for Node.js, C with a struct of its own, and C#."""

import os
import re
import shutil
import subprocess

import pytest
from harness.constants import BACKEND_SYSV, OK
from harness.marks import segments_are_files
from harness.session import REPOSITORY, file_of

pytestmark = segments_are_files

NUMPY = os.environ.get("SHM_TEST_NUMPY")
NODE_PACKAGE = os.environ.get("SHM_TEST_NODE_PACKAGE")
needs_node_package = pytest.mark.skipif(
    not NODE_PACKAGE, reason="no Node package: ./build.sh test builds it"
)
NODE_TYPED_ARRAY = os.environ.get("SHM_TEST_NODE_TYPED_ARRAY")
needs_node_typed_array = pytest.mark.skipif(
    not NODE_TYPED_ARRAY, reason="no Node package: ./build.sh test builds it"
)
PARTNERS = (REPOSITORY / "docs/PARTNERS.md").read_text(encoding="utf-8")

# An array over the memory itself.
WITH_NUMPY = """
import sys
from multiprocessing import resource_tracker, shared_memory

import numpy

segment = shared_memory.SharedMemory(sys.argv[1])
resource_tracker.unregister(segment._name, "shared_memory")
numbers = numpy.ndarray((3, 4), dtype="<f4", buffer=segment.buf)
print(numbers.sum(), flush=True)
numbers *= 2
pixels = numpy.ndarray((4, 8, 4), dtype=numpy.uint8, buffer=segment.buf, offset=64)
pixels[...] = (10, 20, 30, 255)
pixels[1, 2] = (255, 0, 0, 255)
del numbers, pixels
segment.close()
"""

WITH_NODE = """
const shared_memory = require(process.argv[1]);
const [name, host] = process.argv.slice(2);
const memory = new shared_memory(name, 100, false, host === "host");
if (host === "host") memory.write("from Node");
console.log("ready");
require("readline").createInterface({input: process.stdin}).on("line", (line) => {
  if (line === "end") process.exit();
  if (line === "read") console.log(memory.read());
  else { memory.write(line); console.log("written"); }
});
"""

WITH_FILE = """
const fs = require("fs");
const file = fs.openSync(process.argv[1], "r+");
const bytes = Buffer.alloc(5);
fs.readSync(file, bytes, 0, 5, 0);
console.log(bytes.toString());
fs.writeSync(file, "odbye", 2);
"""

# Makes or opens an array of numbers; then sets one, or prints one, as it is told.
WITH_TYPED_ARRAY = """
const shm = require(process.argv[1]);
const [action, key] = process.argv.slice(2);
const name = key.startsWith("/") ? key : Number(key);
const array = action === "create" ? shm.create(16, "Int32Array", name) : shm.get(name, "Int32Array");
console.log(array === null ? "none" : array.length);
require("readline").createInterface({input: process.stdin}).on("line", (line) => {
  const [index, value] = line.split(" ").map(Number);
  if (value !== undefined) array[index] = value;
  console.log(array[index]);
}).on("close", () => { shm.destroy(name); process.exit(); });
"""

# Opens the memory as the documentation says, or shortly; adds 1 to the first number, and waits.
CSHARP = """
using System; using System.IO; using System.IO.MemoryMappedFiles;
class Partner {
  static MemoryMappedFile Long(string path) { LINE; return frames; }
  static MemoryMappedFile Short(string path) { return MemoryMappedFile.CreateFromFile(path); }
  static void Main(string[] given) {
    using (var frames = given[0] == "long" ? Long(given[1]) : Short(given[1]))
    using (var view = frames.CreateViewAccessor()) {
      view.Write(0, view.ReadInt32(0) + 1);
      Console.WriteLine(view.ReadInt32(0));
      Console.ReadLine();
    }
  }
}
"""
# .NET looks for the version of its framework in a file.
FRAMEWORK = """{"runtimeOptions": {
  "rollForward": "LatestMajor",
  "framework": {"name": "Microsoft.NETCore.App", "version": "3.1.0"},
  "configProperties": {"System.Globalization.Invariant": true}
}}"""

STRUCTS = """
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct car {
    bool running;
    int16_t gear;
    double speed;
    float tyres[4];
    char driver[9];
    uint64_t lap;
};

int main(int argc, char **argv) {
    int fd = shm_open(argv[1], argc > 2 ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0600);
    if (fd < 0 || (argc > 2 && ftruncate(fd, sizeof(struct car)) != 0)) return 1;
    struct car *car = mmap(NULL, sizeof *car, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (car == MAP_FAILED) return 1;
    if (argc > 2) {
        *car = (struct car){true, -1, 55.5, {1, 2, 3, 4}, "Sirka", UINT64_MAX};
    } else {
        printf("%d %d %g %g %s %llu\\n", car->running, car->gear, car->speed, car->tyres[3],
               car->driver, (unsigned long long)car->lap);
    }
    return 0;
}
"""
# The same struct. Its end is padded as C pads it.
FORMAT = "@?hd4f9sQ0Q"

PACKED_STRUCTS = """
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct wheel {
    uint8_t surface;
    double load;
};

#pragma pack(push, 4)
struct car {
    int16_t id;
    double speed;
    struct wheel wheels[4];
    char driver[9];
};
struct race {
    uint8_t count;
    struct car cars[128];
    uint64_t end;
};
#pragma pack(pop)

int main(int argc, char **argv) {
    int fd = shm_open(argv[1], argc > 2 ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0600);
    if (fd < 0 || (argc > 2 && ftruncate(fd, sizeof(struct race)) != 0)) return 1;
    struct race *race = mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (race == MAP_FAILED) return 1;
    if (argc > 2) {
        race->count = 128;
        race->end = 42;
        for (int i = 0; i < 128; i++) {
            struct car *car = &race->cars[i];
            *car = (struct car){.id = -i, .speed = i + 0.5, .driver = "Ana"};
            for (int j = 0; j < 4; j++) car->wheels[j] = (struct wheel){j, i * 10 + j};
        }
    } else {
        struct car *car = &race->cars[127];
        printf("%d %d %g %d %g %s %llu\\n", race->count, car->id, car->speed, car->wheels[3].surface,
               car->wheels[3].load, car->driver, (unsigned long long)race->end);
    }
    return 0;
}
"""
# The wheel is declared without a pragma.
PACKED_FORMAT = (
    "<pack(4) B:count: 128T{h:id: d:speed: 4T{pack(8) B:surface: d:load:}:wheels:"
    " 9s:driver:}:cars: Q:end:"
)


@pytest.mark.skipif(not NUMPY, reason="no numpy: ./build.sh test installs it")
def test_numpy_uses_memory_of_godot(name, memory):
    assert memory.create(name, 64 + 4 * 8 * 4) == OK
    for index in range(12):
        memory.encode_float(4 * index, index + 0.5)
    done = subprocess.run(
        [NUMPY, "-c", WITH_NUMPY, name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("72.0\n", "")
    assert memory.decode_float(44) == 23.0
    assert memory.read(4, 64) == bytes([10, 20, 30, 255])
    assert memory.read(4, 64 + 4 * 10) == bytes([255, 0, 0, 255])


@pytest.fixture
def start_node(name, session, cleanup):
    """Starts Node as the host or the client of a name; returns a function that gives it a line."""

    def start(role):
        program = session.start(
            ["node", "-e", WITH_NODE, NODE_PACKAGE, name, role],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert program.stdout.readline() == "ready\n"

        def ask(line):
            program.stdin.write(line + "\n")
            program.stdin.flush()
            return "" if line == "end" else program.stdout.readline().rstrip("\n")

        cleanup.callback(program.wait, 30)
        cleanup.callback(ask, "end")
        return ask

    return start


@needs_node_package
def test_godot_opens_memory_of_node(name, cleanup, start_node, memory):
    node = start_node("host")
    memory.set_backend(BACKEND_SYSV)
    assert memory.open(name) == OK
    assert memory.get_size() == 100
    # A host that ends removes nothing: the package leaves that to its garbage collector.
    key = memory.get_native_name()
    cleanup.callback(subprocess.run, ["ipcrm", "-M", key], check=True, timeout=10)
    assert memory.read_string() == "from Node"
    assert memory.write_string("Grüße") == OK
    assert node("read") == "Grüße"
    memory.close()


@needs_node_package
def test_node_opens_memory_of_godot(name, start_node, memory):
    memory.set_backend(BACKEND_SYSV)
    assert memory.create(name, 100) == OK
    assert memory.write_string("from Godot") == OK
    node = start_node("client")
    assert node("read") == "from Godot"
    assert node("Grüße zurück") == "written"
    assert memory.read_string() == "Grüße zurück"
    memory.close()


@pytest.mark.skipif(not shutil.which("node"), reason="no Node.js")
def test_node_without_package_uses_memory_of_godot(name, memory):
    assert memory.create(name, 64) == OK
    memory.write(b"Godot")
    done = subprocess.run(
        ["node", "-e", WITH_FILE, file_of(name)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "Godot\n"
    assert memory.read(7) == b"Goodbye"
    assert memory.get_mapped_size() == 64


@pytest.fixture
def start_typed_array(session, cleanup):
    """Starts Node with an array; returns its number of elements, and a function that gives it a line."""

    def start(action, key):
        program = session.start(
            ["node", "-e", WITH_TYPED_ARRAY, NODE_TYPED_ARRAY, action, key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        cleanup.callback(program.wait, 30)
        cleanup.callback(program.stdout.close)
        cleanup.callback(program.stdin.close)

        def ask(*numbers):
            program.stdin.write(" ".join(map(str, numbers)) + "\n")
            program.stdin.flush()
            return int(program.stdout.readline())

        return program.stdout.readline().strip(), ask

    return start


def typed_array_recipe(number, name):
    """Returns a function that runs the code of the documentation, and keeps its memory."""
    section = PARTNERS.partition("## Node.js: `shm-typed-array`")[2]
    code = re.findall(r"```gdscript\n(.*?)```", section, re.DOTALL)[number]
    code = code.replace('"frames"', f'"{name}"').replace("print(", "return (")
    lines = "".join(f"\t{line}\n" for line in code.splitlines())
    keep = 'Engine.set_meta("memory", memory)'
    return f"func run():\n\tvar memory := SharedMemory.new()\n\t{keep}\n{lines}"


RELEASE = 'func run():\n\tEngine.remove_meta("memory")'


@needs_node_typed_array
def test_godot_opens_typed_array_of_node(name, agent, cleanup, start_typed_array):
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    count, array = start_typed_array("create", "/" + name)
    assert count == "16"
    assert file_of(name).stat().st_size == 8 + 16 * 4
    assert array(0, -77) == -77
    assert agent.run(typed_array_recipe(0, name)) == -77
    memory = agent.memory()
    assert memory.open(name) == OK
    assert memory.decode_u64(0) == 16 * 4
    assert memory.encode_s32(8 + 15 * 4, 99) == OK
    assert array(15) == 99
    memory.close()
    agent.run(RELEASE)


@needs_node_typed_array
def test_node_opens_typed_array_of_godot(name, agent, cleanup, start_typed_array):
    agent.run(typed_array_recipe(1, name))
    cleanup.callback(agent.run, RELEASE)
    memory = agent.memory()
    assert memory.open(name) == OK
    assert memory.encode_s32(8 + 3 * 4, 33) == OK
    count, array = start_typed_array("get", "/" + name)
    assert count == "16"
    assert array(3) == 33
    array(4, 44)
    assert memory.decode_s32(8 + 4 * 4) == 44
    memory.close()


@needs_node_typed_array
def test_godot_opens_typed_array_by_key(name, memory, start_typed_array):
    key = f"0x{abs(hash(name)) % (1 << 31) | 1:08x}"
    count, array = start_typed_array("create", key)
    assert count == "16"
    array(0, 7)
    memory.set_backend(BACKEND_SYSV)
    assert memory.open(key) == OK
    assert memory.get_size() == 16 * 4
    assert memory.decode_s32(0) == 7
    memory.encode_s32(4, 8)
    assert array(1) == 8
    memory.close()


@pytest.fixture
def start_csharp(session, tmp_path, cleanup):
    """Compiles the line of the documentation; starts processes that open a segment with it."""
    if not shutil.which("mcs"):
        pytest.skip("no compiler for C# (mcs)")
    line = re.search(r"```csharp\n(.*?);\n```", PARTNERS, re.DOTALL)[1]
    code = CSHARP.replace("LINE", line.replace('"/dev/shm/frames"', "path"))
    (tmp_path / "partner.cs").write_text(code)
    program = tmp_path / "partner.dll"
    command = ["mcs", f"-out:{program}", "-target:exe", tmp_path / "partner.cs"]
    subprocess.run(command, check=True, timeout=60)
    (tmp_path / "partner.runtimeconfig.json").write_text(FRAMEWORK)

    def start(runtime, form, path):
        if not shutil.which(runtime):
            pytest.skip(f"no {runtime}")
        process = session.start(
            [runtime, program, form, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        cleanup.callback(process.wait, 30)
        cleanup.callback(process.stdout.close)
        cleanup.callback(process.stdin.close)
        return process.stdout.readline().strip()

    return start


@pytest.mark.parametrize("form", ["long", "short"])
@pytest.mark.parametrize("runtime", ["dotnet", "mono"])
def test_csharp_opens_memory_of_godot(name, memory, start_csharp, runtime, form):
    assert memory.create(name, 1024) == OK
    memory.encode_s32(0, 41)
    # Two at the same time, while the owner lives.
    assert start_csharp(runtime, form, file_of(name)) == "42"
    assert start_csharp(runtime, form, file_of(name)) == "43"
    assert memory.decode_s32(0) == 43
    assert file_of(name).stat().st_size == 1024


def compiled(source, folder):
    """Returns a program in C."""
    file, program = folder / "struct.c", folder / "struct"
    file.write_text("#define _DEFAULT_SOURCE\n#include <unistd.h>\n" + source)
    subprocess.run(["cc", "-o", program, file, "-lrt"], check=True, timeout=60)
    return program


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_struct_of_c_has_the_same_layout(name, cleanup, tmp_path, memory):
    program = compiled(STRUCTS, tmp_path)
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    subprocess.run([program, "/" + name, "create"], check=True, timeout=10)
    assert memory.open(name) == OK
    assert memory.calcsize(FORMAT) == memory.get_size()
    values = memory.unpack(FORMAT)
    # GDScript has no unsigned integer of 64 bits.
    driver = b"Sirka".ljust(9, b"\0")
    assert values == [True, -1, 55.5, 1.0, 2.0, 3.0, 4.0, driver, -1]

    values = [False, 3, 60.25, 5, 6, 7, 8.5, "Ana", 12]
    assert memory.pack(FORMAT, values) == OK
    done = subprocess.run(
        [program, "/" + name], capture_output=True, text=True, timeout=10, check=True
    )
    assert done.stdout == "0 3 60.25 8.5 Ana 12\n"


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_packed_structs_of_c_are_dictionaries(name, cleanup, tmp_path, memory):
    program = compiled(PACKED_STRUCTS, tmp_path)
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    subprocess.run([program, "/" + name, "create"], check=True, timeout=10)
    assert memory.open(name) == OK
    assert memory.calcsize(PACKED_FORMAT) == memory.get_size()
    race = memory.unpack_dictionary(PACKED_FORMAT)
    assert (race["count"], race["end"]) == (128, 42)
    assert race["cars"] == [
        {
            "id": -i,
            "speed": i + 0.5,
            "wheels": [{"surface": j, "load": i * 10 + j} for j in range(4)],
            # The harness writes bytes that are inside another value as text.
            "driver": str(list(b"Ana".ljust(9, b"\0"))),
        }
        for i in range(128)
    ]

    for car in race["cars"]:
        car["driver"] = "Ana"
    race["cars"][127].update(id=77, speed=60.25, driver="Sirka")
    race["cars"][127]["wheels"][3] = {"surface": 200, "load": 8.5}
    race.update(count=3, end=43)
    assert memory.pack(PACKED_FORMAT, race) == OK
    done = subprocess.run(
        [program, "/" + name], capture_output=True, text=True, timeout=10, check=True
    )
    assert done.stdout == "3 77 60.25 200 8.5 Sirka 43\n"
