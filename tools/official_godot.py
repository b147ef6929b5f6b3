"""Fetches an official build of Godot for this system, checked against the checksums of its release."""

import hashlib
import os
import pathlib
import shutil
import sys
import tempfile
import urllib.request
import zipfile

from common import MACHINE, SYSTEM

SOURCE = "https://github.com/godotengine/godot-builds/releases/download"

# The archive with the build for a system, and the program in it; {} is the release's name.
BUILDS = {
    ("Linux", "x86_64"): ("Godot_v{}_linux.x86_64.zip", "Godot_v{}_linux.x86_64"),
    ("Linux", "arm64"): ("Godot_v{}_linux.arm64.zip", "Godot_v{}_linux.arm64"),
    ("Darwin", "x86_64"): ("Godot_v{}_macos.universal.zip", "Godot.app/Contents/MacOS/Godot"),
    ("Darwin", "arm64"): ("Godot_v{}_macos.universal.zip", "Godot.app/Contents/MacOS/Godot"),
    # Of the two programs, the one whose output a console shows. It starts the other.
    ("Windows", "x86_64"): ("Godot_v{}_win64.exe.zip", "Godot_v{}_win64_console.exe"),
}


class NotFetched(Exception):
    """Tells why there is no such build."""


def build_for_this_system(release):
    build = BUILDS.get((SYSTEM, MACHINE))
    if build is None:
        raise NotFetched(f"no build for {SYSTEM} on {MACHINE} is known")
    return [name.format(release) for name in build]


def download(url, file):
    with urllib.request.urlopen(url, timeout=60) as answer:
        shutil.copyfileobj(answer, file)


def checksum(source, name):
    """Returns the SHA-512 that the release lists for a file."""
    with tempfile.TemporaryFile() as file:
        download(f"{source}/SHA512-SUMS.txt", file)
        file.seek(0)
        for line in file.read().decode().splitlines():
            digest, _, listed = line.partition(" ")
            if listed.strip().lstrip("*") == name:
                return digest
    raise NotFetched(f"the release lists no checksum of {name}")


def unpack(path, folder):
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            there = archive.extract(entry, folder)
            mode = entry.external_attr >> 16 & 0o777
            if mode and not entry.is_dir():
                os.chmod(there, mode)


def fetch(version, folder, source=SOURCE):
    """Returns the path of the executable, fetched into the folder if it isn't there.

    The version is as in the releases' names: 4.3, 4.4.1.
    """
    release = f"{version}-stable"
    source = f"{source}/{release}"
    name, program = build_for_this_system(release)
    if not (folder / program).exists():
        # Beside its place, and moved there when it is complete.
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as work:
            archive = pathlib.Path(work) / name
            print(f"fetching {source}/{name}", file=sys.stderr)
            with open(archive, "w+b") as file:
                download(f"{source}/{name}", file)
            found = hashlib.sha512(archive.read_bytes()).hexdigest()
            if found != checksum(source, name):
                raise NotFetched(f"{name} is not what its release lists: SHA-512 {found}")
            unpack(archive, pathlib.Path(work) / "unpacked")
            shutil.rmtree(folder, ignore_errors=True)
            (pathlib.Path(work) / "unpacked").rename(folder)
    return folder / program
