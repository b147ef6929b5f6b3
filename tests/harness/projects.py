"""Copies of tests/projects, for an export, the editor, and an addon from its zip."""

import platform
import shutil

from .judge import is_error, plain
from .session import PROJECT

PROJECTS = PROJECT / "projects"
ADDON = PROJECT / "addons/shared_memory"


def make(session, kind, addon=ADDON):
    """Copies one of tests/projects, and puts the addon in, if one is given."""
    folder = session.folder / session.name(kind)
    shutil.copytree(PROJECTS / kind, folder)
    if addon:
        shutil.copytree(addon, folder / "addons/shared_memory")
    return folder


def list_addon(folder):
    """Makes Godot load the addon, as the editor does when it first finds it."""
    (folder / ".godot").mkdir()
    listed = "res://addons/shared_memory/shared_memory.gdextension\n"
    (folder / ".godot/extension_list.cfg").write_text(listed, encoding="utf-8")


def architecture():
    """Returns Godot's name of this machine's processor."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)


def errors_in(lines):
    return [line for line in map(plain, lines) if is_error(line)]
