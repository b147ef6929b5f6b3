"""build.sh lint: everything that can be judged without running it."""

import filecmp
import subprocess
import sys

import addon
import debian
import needs
import notices
import prose
import pypi
import rust
from common import ROOT, TARGET, Failure, output, parse, run, say, tracked

from . import check_targets, wheel, windows

HELP = """\
Usage: ./build.sh lint

Checks Rust (rustfmt, clippy, rustdoc), GDScript (gdformat, gdlint), Python (ruff, mypy), shell (shellcheck),
the workflows and other files for GitHub (check-jsonschema, zizmor), licences, spelling (typos), and the rules
for prose that a program can check. All of them run, even if the first ones find something. The tools that are
not part of Rust come from PyPI, pinned in tools/requirements-lint.txt, into target/lint-venv. Only mypy is in
target/python-venv, with the packages that it reads. Code that is compiled for Windows only is checked if
rustup has that target, or if ./build.sh windows has been run; the oldest Rust that is promised, if rustup has
it.
"""

DENY_WARNINGS = ["--", "-D", "warnings"]
# GitHub's files, by the schema that check-jsonschema has for them.
SCHEMAS = {
    "github-workflows": ".github/workflows/*.yml",
    "dependabot": ".github/dependabot.yml",
    "github-issue-forms": ".github/ISSUE_TEMPLATE/[!c]*.yml",
    "github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
}


def main(arguments):
    parse("lint", arguments)
    needs.check(needs.VENV)
    if any(
        subprocess.run(["cargo", tool, "--version"], capture_output=True).returncode
        for tool in ("fmt", "clippy")
    ):
        raise Failure("rustfmt and clippy are needed: run 'rustup component add rustfmt clippy'.")
    failed = []
    for label, check in checks(pypi.programs("lint")):
        say(label)
        passed = check() if callable(check) else run(check) == 0
        if not passed:
            failed.append(label)
    if failed:
        raise Failure(f"lint: problems found by {', '.join(failed)}")
    say("lint: nothing found")


def checks(bin):
    """Yields a label with a command or a function that returns whether all is well."""
    yield "rustfmt", ["cargo", "fmt", "--all", "--check"]
    yield "rustfmt of rust/fuzz", ["cargo", "fmt", "--manifest-path", "rust/fuzz/Cargo.toml", "--check"]
    workspace = ["--locked", "--workspace", "--all-targets"]
    yield "clippy", ["cargo", "clippy", *workspace, *DENY_WARNINGS]
    yield "clippy of rust/fuzz", clippy_of_fuzz
    if rust.has_target(windows.TARGET) or (debian.fetched("toolchain") and debian.fetched("windows")):
        yield "clippy for Windows", lambda: check_targets.lint(windows.TARGET) == 0
    else:
        say("clippy for Windows: skipped, it takes the tools that ./build.sh windows fetches")
    yield "rustdoc", rustdoc
    yield f"Rust {rust.minimum()}", oldest_rust
    gdscript, python = tracked("*.gd"), tracked("*.py")
    yield "gdformat", [bin / "gdformat", "--check", *gdscript]
    yield "gdlint", [bin / "gdlint", *gdscript]
    yield "ruff", [bin / "ruff", "check", "--quiet", *python]
    yield "ruff format", [bin / "ruff", "format", "--quiet", "--check", *python]
    yield "mypy", mypy
    yield "shellcheck", [bin / "shellcheck", ".ci/run", *tracked("*.sh")]
    for schema, pattern in SCHEMAS.items():
        files = list(ROOT.glob(pattern))
        yield schema, [bin / "check-jsonschema", "--quiet", "--builtin-schema", f"vendor.{schema}", *files]
    yield "zizmor", [bin / "zizmor", "--offline", "--quiet", ".github"]
    yield "licences", licences
    yield "bans", no_duplicates
    yield "typos", [bin / "typos"]
    yield "prose", prose.check
    # Users get a copy of the licence with the addon's folder, and with the wheel.
    for folder in (addon.FOLDER, wheel.FOLDER):
        copies = ROOT / "LICENSE", folder / "LICENSE"
        yield (
            f"LICENSE in {folder.relative_to(ROOT)}",
            lambda copies=copies: filecmp.cmp(*copies, shallow=False),
        )


def clippy_of_fuzz():
    # Without libFuzzer, which would take a C++ compiler; a folder of its own, because of the other flags.
    manifest = [
        "--manifest-path",
        "rust/fuzz/Cargo.toml",
        "--no-default-features",
        "--target-dir",
        "target/fuzz/lint",
    ]
    command = ["cargo", "clippy", "--locked", *manifest, *DENY_WARNINGS]
    return run(command, env={"RUSTFLAGS": "--cfg fuzzing"}) == 0


def mypy():
    """Checks the types of the Python package and of its tests."""
    if sys.version_info < wheel.MINIMUM:
        say("mypy: skipped, the Python package needs a newer Python")
        return True
    command = [pypi.programs("python") / "mypy", "--strict", "--cache-dir", TARGET / "mypy"]
    return (
        run([*command, "godot_shared_memory", *wheel.FOLDER.glob("tests/*.py")], cwd=wheel.FOLDER / "python")
        == 0
    )


def licences():
    """Holds the packages to deny.toml, as cargo-deny does: to compile that takes three minutes."""
    found = notices.not_allowed()
    print("".join(f"{package} is not allowed by deny.toml\n" for package in found), end="")
    return not found


def no_duplicates():
    """Returns whether the library has only one version of each crate."""
    command = ["cargo", "tree", "--locked", "--duplicates", "--edges", "normal", "--depth", "0"]
    found = output(*command, "-p", "godot_shared_memory", stderr=subprocess.DEVNULL)
    print(found, end="")
    return not found


def rustdoc():
    command = ["cargo", "doc", "--locked", "--workspace", "--no-deps", "--quiet"]
    return run(command, env={"RUSTDOCFLAGS": "-D warnings"}) == 0


def oldest_rust():
    """Compiles with the rust-version of Cargo.toml, where rustup has it."""
    version = rust.minimum()
    name = next((name for name in rust.toolchains() if name.startswith(f"{version}.")), None)
    if name is None:
        say(f"Rust {version}: skipped, rustup has no such toolchain")
        return True
    command = ["cargo", f"+{name}", "check", "--locked", "--workspace", "--target-dir", "target/oldest-rust"]
    return run(command) == 0
