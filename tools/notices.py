"""The notices of what is linked into the library: every crate, its licence, and the licences' texts.

Of a crate that leaves the choice, the MIT licence is taken. Texts come from the crates themselves; for one
that ships none, from tools/licenses/, by its SPDX name.
"""

import json
import pathlib
import re
from typing import NamedTuple

import debian
import rust
from common import ROOT, output

LICENSES = ROOT / "tools/licenses"

# Their dependencies are those of the libraries of all systems.
RELEASE_TARGETS = (
    *("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"),
    *("aarch64-apple-darwin", "x86_64-apple-darwin", "x86_64-pc-windows-gnu"),
)
ADDON = "godot_shared_memory"
PREFERRED = "MIT"

# Build dependencies are not linked in, but what this one writes is compiled into godot-core.
GENERATORS = {"godot-codegen"}


class Notice(NamedTuple):
    name: str
    licence: str
    # MPL-2.0 asks for this: where the source of what is linked in can be had.
    source: str
    texts: list
    note: str = ""


# The parts that the linkers of ./build.sh cross add to the libraries: name, licence, home, and a file in
# tools/licenses/. The file is for those that ask for their text even where only compiled code is passed on.
RUNTIMES = [
    ("compiler-rt of Zig (in the libraries for Linux and macOS)", "MIT", "https://ziglang.org", "zig"),
    (
        "libunwind of LLVM (in the libraries for Linux)",
        "Apache-2.0 WITH LLVM-exception",
        "https://llvm.org",
        None,
    ),
    (
        "the runtime of mingw-w64 (in the library for Windows)",
        "ZPL-2.1",
        "https://www.mingw-w64.org",
        "mingw-w64",
    ),
    (
        "libgcc of GCC (in the library for Windows)",
        "GPL-3.0-or-later WITH GCC-exception-3.1",
        "https://gcc.gnu.org",
        None,
    ),
]

# Files that hold a licence or what a licence asks to be kept.
LICENSE_FILE = re.compile(r"(?i)^(licen[cs]e|unlicense|copying|copyright|notice)([-_.].*)?$")


def linked(metadata, library):
    """Returns the packages whose code is in a library, without those of this repository."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting = [identity for identity, package in packages.items() if package["name"] == library]
    reached = set()
    while waiting:
        identity = waiting.pop()
        # A procedural macro runs in the compiler, and so does all that it needs.
        kinds = {kind for target in packages[identity]["targets"] for kind in target["kind"]}
        if identity in reached or "proc-macro" in kinds:
            continue
        reached.add(identity)
        for dependency in nodes[identity]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    found = [packages[identity] for identity in reached]
    if library == ADDON:
        found += [package for package in packages.values() if package["name"] in GENERATORS]
    return sorted(
        (package for package in found if package["source"]),
        key=lambda package: (package["name"], package["version"]),
    )


def not_allowed():
    """Returns the packages whose licence deny.toml does not allow, each with its licence."""
    text = (ROOT / "deny.toml").read_text(encoding="utf-8")
    allowed = re.findall('"(.+?)"', re.search(r"^allow = \[.*?\]", text, re.MULTILINE | re.DOTALL)[0])
    metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1"))
    found = []
    for package in metadata["packages"]:
        # Of an expression that is more than a list of choices, too much is asked, never too little.
        parts = re.split(r"\bAND\b", package["license"] or "none")
        if not all(set(alternatives(part)) & set(allowed) for part in parts):
            found.append(f"{package['name']} {package['version']}: {package['license']}")
    return found


def alternatives(expression):
    return [part.strip(" ()") for part in re.split(r"\bOR\b|/", expression)]


def of_crate(package):
    """Returns a crate's notice, with the texts of the licence chosen, if its files can be told apart."""
    licence = package["license"] or "see the texts below"
    folder = pathlib.Path(package["manifest_path"]).parent
    files = sorted(file for file in folder.iterdir() if file.is_file() and LICENSE_FILE.match(file.name))
    mit = [file for file in files if PREFERRED.lower() in file.name.lower()]
    if mit and PREFERRED in alternatives(licence):
        kept = ("notice", "copyright")
        files = mit + [file for file in files if file.name.lower().startswith(kept)]
    note = ""
    if not files:
        note = "The crate ships no licence file"
        files = [file for file in [LICENSES / f"{licence}.txt"] if file.is_file()]
        note += "; the text below is the licence it names." if files else "."
    texts = [file.read_text(encoding="utf-8", errors="replace").strip() for file in files]
    version = package["version"]
    source = f"{package['repository'] or 'the Rust package registry'}, version {version}"
    return Notice(f"{package['name']} {version}", licence, source, texts, note)


def collect_all(library=ADDON):
    """Returns the notices of what is linked into a library on any of the systems of a release."""
    # Some of them may contain the standard library of another Rust.
    fetched = debian.fetched("toolchain")
    compilers = ["rustc", *([fetched / "root/usr/bin/rustc"] if fetched else [])]
    return collect(RELEASE_TARGETS, compilers, library)


def collect(targets, compilers, library=ADDON):
    """Returns the notices of a library, or with targets, of theirs, and of what zig and mingw link in."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    for target in targets or [rust.compiler_info("host")]:
        command += ["--filter-platform", target]
    notices = [of_crate(package) for package in linked(json.loads(output(*command)), library)]

    def kept(name):
        return (LICENSES / f"{name}.txt").read_text(encoding="utf-8").strip()

    # Different ones, where some targets take Debian's Rust.
    release = " and ".join(sorted({rust.version(compiler) for compiler in compilers}))
    note = "Every Rust installation lists the crates it is made of in COPYRIGHT-library.html."
    source = f"https://github.com/rust-lang/rust, version {release}"
    # Its licence file is the plain text, as several crates ship it too.
    standard = f"the Rust standard library {release}", "MIT OR Apache-2.0", source, [kept("MIT")], note
    notices.append(Notice(*standard))
    for name, licence, source, file in RUNTIMES if targets else []:
        note = "" if file else "The exception asks for no notice in what it is linked into."
        notices.append(Notice(name, licence, source, [kept(file)] if file else [], note))

    out = [
        "Godot Shared Memory contains software of others. This file lists it, with the licences it",
        "comes under. Godot Shared Memory itself: see LICENSE.",
        "",
    ]
    texts = {}
    for notice in notices:
        out += [notice.name, f"    licence: {notice.licence}", f"    source: {notice.source}, unchanged"]
        out += [f"    {notice.note}"] if notice.note else []
        for text in notice.texts:
            texts.setdefault(text, []).append(notice.name)
    # Most useful first: the text that holds for the most.
    for text, users in sorted(texts.items(), key=lambda item: (-len(item[1]), item[1])):
        out += ["", "-" * 80, "The following holds for " + ", ".join(users) + ":", "", text]
    return "\n".join(out) + "\n"
