#!/usr/bin/env python3
"""Looks into built libraries: what each needs of its system, and whether that is too much.

A library's name tells its system, as the .gdextension file has it. Prints a line for each. Fails where one is
for another processor, lacks the entry symbol, or contains a path of the machine that built it. Also fails
where one needs a newer system than it may, or a library that not every system has.
"""

import argparse
import pathlib
import re
import sys

import pefile
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from macholib import mach_o
from macholib.MachO import MachO

# The libraries that every such system has. On Windows: its own, and the C runtime that comes with it.
LINUX_LIBRARIES = re.compile(r"(libc|libm|libdl|libpthread|librt|ld-linux[\w-]*)\.so\.\d+")
MACOS_LIBRARIES = re.compile(r"/usr/lib/lib(System\.B|iconv\.2|charset\.1)\.dylib")
WINDOWS_LIBRARIES = re.compile(
    r"(kernel32|ntdll|advapi32|msvcrt|bcryptprimitives|bcrypt|userenv|ws2_32|user32|api-ms-win-[\w-]+)\.dll"
)


def version(text):
    return tuple(int(part) for part in text.split("."))


class Problems(list):
    def unless(self, holds, text):
        if not holds:
            self.append(text)


def check_linux(path, architecture, options, problems):
    with open(path, "rb") as file:
        elf = ELFFile(file)
        machine = {"x86_64": "EM_X86_64", "arm64": "EM_AARCH64"}[architecture]
        problems.unless(elf["e_machine"] == machine, f"is for {elf['e_machine']}")
        tags = list(elf.get_section_by_name(".dynamic").iter_tags())
        needed = [tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"]
        for tag in tags:
            problems.unless(tag.entry.d_tag not in ("DT_RPATH", "DT_RUNPATH"), "has a search path of its own")
        symbols = elf.get_section_by_name(".dynsym").iter_symbols()
        exported = {s.name for s in symbols if s["st_shndx"] != "SHN_UNDEF"}
        versions = {
            auxiliary.name[len("GLIBC_") :]
            for section in elf.iter_sections()
            if isinstance(section, GNUVerNeedSection)
            for _library, auxiliaries in section.iter_versions()
            for auxiliary in auxiliaries
            if re.fullmatch(r"GLIBC_[\d.]+", auxiliary.name)
        }
    problems.unless(options.entry in exported, f"does not export {options.entry}")
    for library in needed:
        problems.unless(LINUX_LIBRARIES.fullmatch(library), f"needs {library}")
    highest = max(versions, key=version)
    problems.unless(
        version(highest) <= version(options.glibc), f"needs glibc {highest}, newer than {options.glibc}"
    )
    return f"{architecture}, needs glibc {highest}"


def check_macos(path, _architecture, options, problems):
    found = {}
    for half in MachO(str(path)).headers:
        name = mach_o.CPU_TYPE_NAMES.get(half.header.cputype, "?").lower()
        commands = {command[0].cmd: command for command in half.commands}
        oldest = commands[mach_o.LC_BUILD_VERSION][1].minos
        oldest = f"{oldest >> 16}.{oldest >> 8 & 0xFF}"
        found[name] = oldest
        problems.unless(
            version(oldest) <= version(options.macos),
            f"{name}: needs macOS {oldest}, newer than {options.macos}",
        )
        for command, _fields, data in half.commands:
            text = data.rstrip(b"\0").decode() if isinstance(data, bytes) else ""
            if command.cmd == mach_o.LC_LOAD_DYLIB:
                problems.unless(MACOS_LIBRARIES.fullmatch(text), f"{name}: needs {text}")
            if command.cmd == mach_o.LC_ID_DYLIB:
                problems.unless(text.startswith("@rpath/"), f"{name}: calls itself {text}")
        # Apple's own processors run nothing unsigned; signed by nobody in particular is enough.
        problems.unless(name != "arm64" or mach_o.LC_CODE_SIGNATURE in commands, f"{name}: is not signed")
    # The symbols of both halves; macholib reads only a file of one.
    entries = path.read_bytes().count(b"\0_" + options.entry.encode() + b"\0")
    problems.unless(entries >= len(found), f"does not export {options.entry} in each half")
    problems.unless(set(found) == {"x86_64", "arm64"}, f"is for {', '.join(found)}")
    return ", ".join(f"{name} for macOS {oldest}" for name, oldest in sorted(found.items()))


def check_windows(path, architecture, options, problems):
    image = pefile.PE(str(path))
    machine = pefile.MACHINE_TYPE.get(image.FILE_HEADER.Machine)
    expected = {"x86_64": "IMAGE_FILE_MACHINE_AMD64"}[architecture]
    problems.unless(machine == expected, f"is for {machine}")
    exported = {symbol.name.decode() for symbol in image.DIRECTORY_ENTRY_EXPORT.symbols if symbol.name}
    problems.unless(options.entry in exported, f"does not export {options.entry}")
    needed = [entry.dll.decode().lower() for entry in image.DIRECTORY_ENTRY_IMPORT]
    for library in needed:
        is_there = WINDOWS_LIBRARIES.fullmatch(library) or library in options.also
        problems.unless(is_there, f"needs {library}")
    return f"{architecture}, needs {', '.join(sorted(needed))}"


CHECKS = {"linux": check_linux, "macos": check_macos, "windows": check_windows}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--glibc", required=True, help="the newest that may be needed")
    parser.add_argument("--macos", required=True, help="the newest that may be needed")
    parser.add_argument("--foreign", action="append", default=[], help="text that must not be in one")
    parser.add_argument("--entry", default="godot_shared_memory_init", help="the symbol that is looked up")
    parser.add_argument("--also", action="append", default=[], help="a library that may be needed on Windows")
    parser.add_argument("libraries", nargs="+", type=pathlib.Path)
    options = parser.parse_args()

    failed = False
    for path in options.libraries:
        system, architecture = path.name.split(".")[1:3]
        problems = Problems()
        facts = CHECKS[system](path, architecture, options, problems)
        content = path.read_bytes()
        for text in options.foreign:
            problems.unless(text.encode() not in content, f"contains {text}")
        print(f"    {path.name}: {facts}; {len(content):,} bytes", file=sys.stderr)
        for problem in problems:
            failed = True
            print(f"    {path.name} {problem}", file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main()
