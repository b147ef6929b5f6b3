"""Programs and libraries of others that the tests exchange memory with, where they can be had."""

import pathlib
import shutil
import subprocess
import tarfile

import pypi
import python_package
from common import SYSTEM, TARGET, Failure, must, output, say

# The package's own build wants cmake-js, and a version of n-api-tools that is not there any more.
SHARED_MEMORY = ["@markusjx/shared_memory@1.0.1", "@markusjx/n-api-tools@1.2.0", "node-addon-api@5.1.0"]
TYPED_ARRAY = ["shm-typed-array@0.1.1", "nan@2.28.0"]


def prepare():
    """Makes what can be made, and returns the variables by which the tests find it."""
    found = {}
    if SYSTEM == "Windows":
        say("numpy and the Python package have not been tried on Windows: no tests with them")
    else:
        try:
            found["SHM_TEST_NUMPY"] = pypi.programs("peers") / "python"
        except Failure as error:
            say(f"numpy could not be installed from PyPI ({error}): no tests with it")
        try:
            found["SHM_TEST_PACKAGE"] = python_package.python()
        except Failure as error:
            say(f"the Python package could not be built and installed ({error}): no tests with it")
    for variable, make in (
        ("SHM_TEST_NODE_PACKAGE", shared_memory),
        ("SHM_TEST_NODE_TYPED_ARRAY", typed_array),
    ):
        try:
            found[variable] = make()
        except (Failure, OSError, subprocess.SubprocessError) as error:
            say(f"a Node package could not be built ({error}): no tests with it")
    return found


def shared_memory():
    """Returns the folder of @markusjx/shared_memory."""
    flags = ["-DNAPI_CPP_EXCEPTIONS", "-DNAPI_VERSION=6", "-Inode-addon-api", "-Imarkusjx-n-api-tools"]
    sources = [f"shared_memory/src/{name}.cpp" for name in ("module", "shared_memory")]
    return node_package(SHARED_MEMORY, "shared_memory", "shared_memory.node", flags, sources)


def typed_array():
    """Returns the folder of shm-typed-array."""
    flags = ["-DNODE_GYP_MODULE_NAME=shm", "-Inan"]
    sources = ["shm-typed-array/src/node_shm.cc"]
    return node_package(TYPED_ARRAY, "shm-typed-array", "shm.node", flags, sources)


def node_package(packages, name, library, flags, sources):
    """Returns the folder of a package from npm, built with Node's own headers."""
    folder = TARGET / "peers" / name
    package, stamp = folder / name, folder / "stamp"
    if stamp.exists() and stamp.read_text().split() == packages:
        return package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    where = 'require("path").resolve(process.execPath, "../../include/node")'
    headers = pathlib.Path(output("node", "-p", where))
    if not (headers / "node_api.h").exists():
        raise Failure(f"there is no node_api.h in {headers}")
    npm = shutil.which("npm") or "npm"
    must([npm, "pack", "--silent", *packages], cwd=folder, stdout=subprocess.DEVNULL)
    for archive in folder.glob("*.tgz"):
        with tarfile.open(archive) as files:
            files.extractall(folder / "unpacked")
        unpacked = name if name in archive.name else archive.name.rpartition("-")[0]
        (folder / "unpacked/package").rename(folder / unpacked)
    built = package / "build/Release" / library
    built.parent.mkdir(parents=True)
    options = ["-std=c++17", "-O1", "-w", "-fPIC", "-shared", f"-I{headers}", *flags]
    must(["g++", *options, *sources, "-o", built], cwd=folder)
    stamp.write_text("\n".join(packages))
    return package
