"""The tools that check packages and prose and fetch Godot refuse what is wrong."""

import hashlib
import importlib
import re
import subprocess
import sys
import zipfile

import pytest
from harness.session import REPOSITORY

TOOLS = REPOSITORY / "tools"
ROOT = "addons/shared_memory/"
MANIFEST = """[configuration]
entry_symbol = "godot_shared_memory_init"

[libraries]
linux.x86_64 = "res://addons/shared_memory/bin/one.so"
macos = "res://addons/shared_memory/bin/two.dylib"

[icons]
SharedMemory = "res://addons/shared_memory/icon.svg"
"""
LIBRARIES = {"bin/one.so", "bin/two.dylib"}
COMPLETE = {"shared_memory.gdextension", "icon.svg", *LIBRARIES}
PLUGIN = '[plugin]\n\nversion="1.2.3"\n'
PROJECT = {"project.godot", "README.md", "LICENSE", "icon.svg", "python/.gdignore"}


def run(tool, *arguments):
    command = [sys.executable, TOOLS / tool, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture
def check(tmp_path):
    """Checks a package of these files; returns the exit code and what the tool prints."""

    def run_check(files, *arguments, name="godot-shared-memory-1.2.3.zip", **changed):
        root = "godot-shared-memory-demo/" if "demo" in name else ""
        always = ("LICENSE", "README.md", "THIRD_PARTY_NOTICES.txt", "plugin.cfg")
        made = {f"{root}{ROOT}{file}": MANIFEST for file in {*files, *always}}
        made[f"{root}{ROOT}plugin.cfg"] = changed.get("plugin", PLUGIN)
        made.update(changed.get("also", {}))
        archive = tmp_path / name
        with zipfile.ZipFile(archive, "w") as zipped:
            for file, text in made.items():
                entry = zipfile.ZipInfo(file)
                entry.external_attr = changed.get("mode", 0o100644) << 16
                zipped.writestr(entry, text)
        done = run("check_package.py", *arguments, archive)
        return done.returncode, done.stderr

    return run_check


def test_check_package_accepts_complete_package(check):
    assert check(COMPLETE, "--complete") == (0, "")


def test_check_package_accepts_package_for_some_systems(check):
    assert check(COMPLETE - {"bin/two.dylib"}) == (0, "")


@pytest.mark.parametrize(
    ("files", "arguments", "problem"),
    [
        (
            COMPLETE - {"bin/two.dylib"},
            ["--complete"],
            "the key macos names addons/shared_memory/bin/two.dylib",
        ),
        (COMPLETE - LIBRARIES, [], "there is no library"),
        (COMPLETE | {"bin/three.dll"}, ["--complete"], "bin/three.dll has no key"),
        (COMPLETE - {"icon.svg"}, [], "the icon of SharedMemory"),
        (COMPLETE | {"../other/file"}, [], "is outside"),
        (COMPLETE | {".godot/cache"}, [], ".godot/cache was left by a program"),
    ],
    ids=["key", "library", "stray", "icon", "outside", "left"],
)
def test_check_package_refuses(check, files, arguments, problem):
    code, told = check(files, *arguments)
    assert code == 1
    assert problem in told


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"plugin": PLUGIN.replace("3", "4")}, "the plugin has version 1.2.4"),
        ({"mode": 0o100755}, "LICENSE has the mode 100755"),
        ({"also": {ROOT + "run.py": "#!/usr/bin/env python3"}}, "run.py has the mode"),
        ({"also": {"LICENSE": ""}}, "LICENSE is outside of addons/shared_memory/"),
        ({"name": "addon.zip"}, "addon.zip is not the name of a package"),
        (
            {"name": "godot-shared-memory-demo-1.2.3.zip"},
            "there is no godot-shared-memory-demo/python/.gdignore",
        ),
    ],
    ids=["version", "mode", "script", "root", "name", "demo"],
)
def test_check_package_refuses_change(check, changed, problem):
    code, told = check(COMPLETE, **changed)
    assert code == 1
    assert problem in told


def test_check_package_accepts_demos(check):
    name = "godot-shared-memory-demo-1.2.3.zip"
    files = {f"godot-shared-memory-demo/{file}": "" for file in PROJECT}
    assert check(COMPLETE, name=name, also=files) == (0, "")


class Release:
    """A release of Godot that the test makes, because the network may be absent."""

    CONTENT = b"the program"

    def __init__(self, tool, folder):
        self.tool = tool
        archive, program = tool.build_for_this_system("4.9-stable")
        self.source, self.folder = folder / "releases", folder / "godot"
        self.program = self.folder / program
        release = self.source / "4.9-stable"
        release.mkdir(parents=True)
        self.archive, self.sums = release / archive, release / "SHA512-SUMS.txt"
        with zipfile.ZipFile(self.archive, "w") as made:
            entry = zipfile.ZipInfo(program)
            entry.external_attr = 0o100755 << 16
            made.writestr(entry, self.CONTENT)
        digest = hashlib.sha512(self.archive.read_bytes()).hexdigest()
        self.sums.write_text(f"{digest}  {archive}\n", encoding="utf-8")

    def fetch(self):
        return self.tool.fetch("4.9", self.folder, self.source.as_uri())


@pytest.fixture
def release(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    return Release(importlib.import_module("official_godot"), tmp_path)


def test_page_of_the_wheel_has_no_links_into_the_repository(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    wheel = importlib.import_module("commands.wheel")
    links = "[Rust](https://rustup.rs), [Install](#install)"
    page = wheel.page(f"[the guide](../../docs/GYM.md#both), {links}")
    assert page == f"the guide (`docs/GYM.md` of the repository), {links}"


def test_tests_that_security_names_exist():
    text = (REPOSITORY / "docs/SECURITY.md").read_text(encoding="utf-8")
    # At least four words: no name of a method or a call has as many.
    named = set(re.findall(r"`((?:[a-z0-9]+_){3,}[a-z0-9]+)(?:\[\*\])?`", text))
    assert named
    files = [
        path
        for folder in ("rust", "tests", "partners")
        for kind in ("rs", "py", "gd", "c")
        for path in (REPOSITORY / folder).rglob(f"*.{kind}")
    ]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in files)
    defined = set(re.findall(r"\b(?:fn|def|func|void) (\w+)", sources))
    assert named - defined == set()


def test_official_godot_is_fetched_once(release):
    assert release.fetch() == release.program
    assert release.program.read_bytes() == release.CONTENT
    assert release.program.stat().st_mode & 0o100, "it can be started"
    release.archive.unlink()
    assert release.fetch() == release.program


def test_official_godot_with_wrong_checksum_is_refused(release):
    with open(release.archive, "ab") as file:
        file.write(b"!")
    with pytest.raises(release.tool.NotFetched, match="is not what its release lists"):
        release.fetch()
    assert not release.folder.exists()


def test_official_godot_without_checksum_is_refused(release):
    release.sums.write_text("", encoding="utf-8")
    with pytest.raises(release.tool.NotFetched, match="no checksum"):
        release.fetch()
    assert not release.folder.exists()


@pytest.fixture
def rules(monkeypatch):
    """Returns a function from the name and text of a file to the broken rules, by line."""
    monkeypatch.syspath_prepend(TOOLS)
    prose = importlib.import_module("prose")
    return lambda path, text: [
        (number, rule) for rule, number, _words in prose.findings(path, text)
    ]


WIDE = "a line wider than 110"
LONG = "a sentence of more than 25 words"
CLAUSE = "a sentence that begins with a clause"
WORD = "a word to avoid"
# Not as one text, which the rule would find here.
AVOIDED = "an" + "ew"
WORDS_25 = "A" + " b" * 24 + "."
WORDS_26 = "A" + " b" * 25 + "."


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("a.rs", "//! A noun. How it goes.", [(1, CLAUSE)]),
        (
            "a.rs",
            "fn a() {}\n/// A noun.\n/// That all are equal matters.",
            [(3, CLAUSE)],
        ),
        ("a.rs", "// " + "W" * 108, [(1, WIDE)]),
        ("a.gd", "\t## Whatever has it.", [(1, CLAUSE)]),
        ("a.py", f'"""A noun.\n\n{WORDS_26}\n"""', [(3, LONG)]),
        ("a.py", "x = 1\n# Whether it is.", [(2, CLAUSE)]),
        (".ci/run", "#!/bin/sh\n# What it takes is there.", [(2, CLAUSE)]),
        ("a.md", f"# Title\n\n{WORDS_26.replace(' ', chr(10), 9)}", [(3, LONG)]),
        ("a.md", "- One.\n- Who writes, waits.", [(2, CLAUSE)]),
        ("a.xml", f"<a>\n\tA noun. {WORDS_26}\n</a>", [(2, LONG)]),
        ("a.md", f"It is made {AVOIDED}.", [(1, WORD)]),
        (
            "a.md",
            f"| a | What it is |\n| b | made {AVOIDED} |",
            [(1, CLAUSE), (2, WORD)],
        ),
        ("a.gd", 'check(a, "who has it keeps it")', [(1, CLAUSE)]),
        ("a.rs", f'panic!("name is made {AVOIDED}");', [(1, WORD)]),
    ],
    ids=[
        "rs",
        "rs-that",
        "rs-wide",
        "gd",
        "docstring",
        "py",
        "sh",
        "md",
        "md-list",
        "xml",
        "word",
        "table",
        "text-in-code",
        "word-in-text",
    ],
)
def test_prose_that_breaks_a_rule_is_found(rules, path, text, found):
    assert rules(path, text) == found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.rs", f"// {WORDS_25}\n// {WORDS_25}\nlet what = 1; // How"),
        ("a.rs", "/// ```\n/// What a line\n/// ```\n/// That is one."),
        ("a.py", f'HELP = """\nWhat. {WORDS_26}\n"""'),
        ("a.md", f"| Way | {WORDS_26} |\n\n```sh\nHow {WORDS_26}\n```"),
        ("a.md", f"Not `{AVOIDED}`."),
        ("a.rs", f'{AVOIDED}("{WORDS_26}");'),
        ("a.md", f"- {WORDS_25}\n- `{WORDS_26}` is one word"),
        ("a.md", "![How " + "W" * 110 + "](image.png)"),
        ("a.xml", f"[codeblock]\nHow {WORDS_26}\n[/codeblock]\n{'Word. ' * 99}"),
    ],
    ids=[
        "rs",
        "rs-code",
        "py",
        "md-table",
        "md-code",
        "text-in-code",
        "md-list",
        "md-image",
        "xml",
    ],
)
def test_prose_that_keeps_the_rules_is_not_found(rules, path, text):
    assert rules(path, text) == []
