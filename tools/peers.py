"""Programs and libraries of others that the tests exchange memory with, where they can be had."""

import pathlib
import shutil
import subprocess
import tarfile

import pypi
from common import SYSTEM, TARGET, Failure, must, output, say

# The package's own build wants cmake-js, and a version of n-api-tools that is not there any more.
NODE_PACKAGES = ["@markusjx/shared_memory@1.0.1", "@markusjx/n-api-tools@1.2.0", "node-addon-api@5.1.0"]


def prepare():
    """Makes what can be made, and returns the variables by which the tests find it."""
    found = {}
    if SYSTEM == "Windows":
        say("numpy has not been tried on Windows: no tests with it")
    else:
        try:
            found["SHM_TEST_NUMPY"] = pypi.programs("peers") / "python"
        except Failure as error:
            say(f"numpy could not be installed from PyPI ({error}): no tests with it")
    try:
        found["SHM_TEST_NODE_PACKAGE"] = node_package()
    except (Failure, OSError, subprocess.SubprocessError) as error:
        say(f"the Node package could not be built ({error}): no tests with it")
    return found


def node_package():
    """Returns the folder of @markusjx/shared_memory, from npm, built with Node's own headers."""
    folder = TARGET / "peers/node"
    package, stamp = folder / "shared_memory", folder / "stamp"
    if stamp.exists() and stamp.read_text().split() == NODE_PACKAGES:
        return package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    where = 'require("path").resolve(process.execPath, "../../include/node")'
    headers = pathlib.Path(output("node", "-p", where))
    if not (headers / "node_api.h").exists():
        raise Failure(f"there is no node_api.h in {headers}")
    npm = shutil.which("npm") or "npm"
    must([npm, "pack", "--silent", *NODE_PACKAGES], cwd=folder, stdout=subprocess.DEVNULL)
    for archive in folder.glob("*.tgz"):
        with tarfile.open(archive) as files:
            files.extractall(folder / "unpacked")
        name = "shared_memory" if "shared_memory" in archive.name else archive.name.rpartition("-")[0]
        (folder / "unpacked/package").rename(folder / name)
    library = package / "build/Release/shared_memory.node"
    library.parent.mkdir(parents=True)
    flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-DNAPI_CPP_EXCEPTIONS", "-DNAPI_VERSION=6"]
    includes = [f"-I{headers}", "-Inode-addon-api", "-Imarkusjx-n-api-tools"]
    sources = [f"shared_memory/src/{name}.cpp" for name in ("module", "shared_memory")]
    must(["g++", *flags, *includes, *sources, "-o", library], cwd=folder)
    stamp.write_text("\n".join(NODE_PACKAGES))
    return package
