"""The Rust to build with: its targets, and what its test runs say."""

import functools
import json
import os
import pathlib
import re
import subprocess

import debian
from common import ROOT, Failure, have, output, say

# The names of all Rust tests begin like this. One of them tries a name in capital letters.
TEST_NAME = re.compile("(?:rust|dir|call)-test", re.IGNORECASE)


def minimum():
    """Returns the rust-version of Cargo.toml."""
    text = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    return re.search(r'^rust-version *= *"([\d.]+)"', text, re.MULTILINE).group(1)


def version(compiler="rustc"):
    return output(compiler, "--version").split()[1]


def is_new_enough(version, needed):
    """Compares the dotted numbers at the beginning of both."""
    parts = [re.match(r"[\d.]*\d", text).group().split(".") for text in (version, needed)]
    return [int(part) for part in parts[0]] >= [int(part) for part in parts[1]]


def compiler_info(key, *compiler):
    """Returns a value that the compiler gives for itself, such as that of `host`."""
    lines = output(*(compiler or ["rustc"]), "-vV")
    return re.search(rf"^{key}: (\S+)", lines, re.MULTILINE).group(1)


def toolchains():
    """Returns the names of rustup's toolchains. One that is called by name and isn't there may be fetched."""
    listed = output("rustup", "toolchain", "list") if have("rustup") else ""
    return [line.split()[0] for line in listed.splitlines()]


def has_nightly():
    return any(name.startswith("nightly") for name in toolchains())


@functools.cache
def target_folder():
    """Returns cargo's target folder, which its settings may have moved."""
    metadata = output("cargo", "metadata", "--no-deps", "--format-version", "1")
    return pathlib.Path(json.loads(metadata)["target_directory"])


def loom_env():
    """Returns the variables of a build with loom in the place of the standard library's atomics."""
    return {"RUSTFLAGS": "--cfg loom", "CARGO_TARGET_DIR": target_folder() / "loom"}


@functools.cache
def has_target(target):
    """Returns whether the machine's own rustc has the standard library of a target."""
    command = ["rustc", "--print", "target-libdir", "--target", target]
    done = subprocess.run(command, capture_output=True, text=True)
    folder = pathlib.Path(done.stdout.strip())
    return done.returncode == 0 and any(folder.glob("libstd-*.rlib"))


def environment(target):
    """Returns the variables with which cargo builds for a target.

    None are needed where `rustup target add` was run. Otherwise Debian's rustc builds the standard library
    from source (`-Zbuild-std`, which stable Rust has to be told that it may).
    """
    if has_target(target):
        return {}
    folder = debian.fetch("toolchain")
    if folder is None:
        raise Failure(f"this Rust has no library for {target}: run 'rustup target add {target}'.")
    programs = folder / "root/usr/bin"
    return {
        "RUSTC_BOOTSTRAP": "1",
        "RUSTC": str(programs / "rustc"),
        "RUSTDOC": str(programs / "rustdoc"),
        "CARGO_UNSTABLE_BUILD_STD": "std,panic_unwind",
    }


def clippy(variables):
    """Returns how to call the cargo-clippy that belongs to the rustc of environment()."""
    if "RUSTC" not in variables:
        return ["cargo", "clippy"]
    return [pathlib.Path(variables["RUSTC"]).with_name("cargo-clippy"), "clippy"]


def cargo_home():
    return pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")


def remapped():
    """Returns flags of rustc that keep the folders of this machine out of panic messages in a library."""
    library = debian.folder("toolchain") / "root/usr/lib/rustlib/src/rust"
    names = {ROOT: ".", cargo_home() / "registry/src": "crates", library: "rust"}
    return [f"--remap-path-prefix={path}={name}" for path, name in names.items()]


def without_our_folders():
    """Returns options of cargo that hand these flags to rustc."""
    # A string of JSON is one of TOML, too.
    listed = ", ".join(json.dumps(flag, ensure_ascii=False) for flag in remapped())
    return ["--config", f"target.'cfg(all())'.rustflags=[{listed}]"]


def passed_in(log):
    """Returns the sum of all 'N passed' in the lines with which test runners close."""
    if not log.exists():
        return 0
    text = log.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"^(?=test result: |=|\d).*?(\d+) passed\b", text, re.MULTILINE)
    return sum(map(int, found))


def failures_in(log):
    """Returns the lines that tell which tests failed, and which had not ended when the log ends."""
    if not log.exists():
        return []
    text = log.read_text(encoding="utf-8", errors="replace")
    line = r"^(?:test .* FAILED|FAILED .*|ERROR .*|thread '.*' .*panicked at .*\n.*)$"
    told = re.findall(line, text, re.MULTILINE)
    for name in re.findall(r"^test (.*) has been running for over 60 seconds$", text, re.MULTILINE):
        if not re.search(rf"^test {re.escape(name)} \.\.\. ", text, re.MULTILINE):
            told.append(f"test {name} did not end")
    return told


def nothing_left():
    """Returns whether the Rust tests have left no name in /dev/shm."""
    left = [path for path in pathlib.Path("/dev/shm").glob("*") if TEST_NAME.match(path.name)]
    for path in left:
        say(f"the tests left {path}")
    return not left
