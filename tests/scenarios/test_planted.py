"""What stands in the way: links, pipes, folders, other users, umasks."""

import os
import socket
import subprocess
import sys
import time
import unittest

from harness.scenario import (
    ACCESS_READ_ONLY,
    ERR_ALREADY_EXISTS,
    ERR_CANT_OPEN,
    ERR_UNAUTHORIZED,
    GLOBAL_SCOPE,
    LOCAL_SCOPE,
    OK,
    STATUS_ERROR,
    Scenario,
)
from harness.session import PROJECT, SHARED, remove

NOBODY = 65534
# A dead owner's, if it were one of ours.
LEFTOVER = 0o1600
# Far above what a call takes, far below what a blocked one would.
AT_ONCE = 2


# Python itself may lie where another user can't start it: it becomes another one later.
AS_ANOTHER = f"""
import mmap, os, sys

os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
"""
# What another program may try on a segment, with what it has itself in `spare`.
TRIES = """
path, spare, pid = sys.argv[1:]
open(spare, "wb").close()


def mapped():
    with open(path, "r+b") as file:
        mmap.mmap(file.fileno(), 0).close()


def write():
    with open(path, "r+b") as file:
        file.write(b"changed")


for label, act in {
    "read": lambda: open(path, "rb").close(),
    "write": write,
    "map": mapped,
    "truncate": lambda: os.truncate(path, 64),
    "touch": lambda: os.utime(path),
    "chmod": lambda: os.chmod(path, 0o666),
    "chown": lambda: os.chown(path, os.getuid(), os.getgid()),
    "rename": lambda: os.rename(path, path + "x"),
    "replace": lambda: os.replace(spare, path),
    "remove": lambda: os.unlink(path),
    "its files": lambda: os.listdir(f"/proc/{pid}/fd"),
    "its maps": lambda: os.listdir(f"/proc/{pid}/map_files"),
    "its memory": lambda: open(f"/proc/{pid}/mem", "rb").close(),
}.items():
    try:
        act()
    except OSError as error:
        print(f"{label}: {type(error).__name__}")
    else:
        print(f"{label}: done")
"""
# Puts something under the name, as another user.
PLANT = """
what, path = sys.argv[1:]
{
    "link": lambda: os.symlink("/etc/passwd", path),
    "folder": lambda: os.mkdir(path),
    "pipe": lambda: os.mkfifo(path),
}[what]()
"""


@unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
class Planted(Scenario):
    def check_left_alone(self, name, plant):
        path = self.file(name)
        plant(path)
        before = os.lstat(path)
        memory = self.agent().memory()
        began = time.monotonic()
        for access in (0, ACCESS_READ_ONLY):
            self.assertEqual(memory.open(name, 0, access), ERR_CANT_OPEN)
            self.assertEqual(memory.get_last_error(), ERR_CANT_OPEN)
            self.assertIn(name, memory.get_last_error_message())
            self.assertEqual(memory.get_status(), STATUS_ERROR)
        self.assertEqual(memory.create(name, 64), ERR_ALREADY_EXISTS)
        self.assertEqual(memory.open_or_create(name, 64), ERR_CANT_OPEN)
        self.assertFalse(memory.exists(name))
        self.assertNotIn(name, memory.list_names())
        self.assertEqual(memory.remove(name), ERR_CANT_OPEN)
        self.assertLess(time.monotonic() - began, AT_ONCE, "without blocking")
        after = os.lstat(path)
        self.assertEqual((after.st_ino, after.st_mode), (before.st_ino, before.st_mode))

    def victim(self):
        path = self.session.folder / "victim"
        path.write_bytes(b"precious")
        return path

    def test_link_to_a_file(self):
        name, victim = self.name(), self.victim()
        victim.chmod(LEFTOVER)
        self.addCleanup(self.file(name).unlink)
        self.check_left_alone(name, lambda path: path.symlink_to(victim))
        self.assertEqual(victim.read_bytes(), b"precious")

    def test_link_to_a_segment(self):
        name, target = self.name(), self.name()
        self.foreign(target, b"precious")
        self.addCleanup(self.file(name).unlink)
        self.check_left_alone(name, lambda path: path.symlink_to(target))
        self.assertEqual(self.file(target).read_bytes(), b"precious")

    def test_link_to_nothing(self):
        name = self.name()
        target = self.session.folder / "absent"
        self.addCleanup(self.file(name).unlink)
        self.check_left_alone(name, lambda path: path.symlink_to(target))
        self.assertFalse(target.exists(), "nothing is made through it")

    def test_link_to_itself(self):
        name = self.name()
        self.addCleanup(self.file(name).unlink)
        self.check_left_alone(name, lambda path: path.symlink_to(path))

    def test_pipe(self):
        name = self.name()
        self.addCleanup(self.file(name).unlink)
        self.check_left_alone(name, os.mkfifo)

    def test_folder(self):
        name = self.name()
        self.addCleanup(self.file(name).rmdir)
        self.check_left_alone(name, os.mkdir)

    def test_socket(self):
        name = self.name()
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        self.addCleanup(self.file(name).unlink)
        self.check_left_alone(name, lambda path: listener.bind(str(path)))

    def test_planted_by_another_user(self):
        if os.geteuid() != 0:
            self.skipTest("needs a second user: run as root")
        for what in ("link", "folder", "pipe"):
            with self.subTest(what):
                name = self.name()
                self.addCleanup(remove, self.file(name))
                self.check_left_alone(
                    name,
                    lambda path, what=what: subprocess.run(
                        [sys.executable, "-c", AS_ANOTHER + PLANT, what, path],
                        check=True,
                    ),
                )

    def test_pipe_put_where_a_segment_was(self):
        name = self.name()
        memory = self.agent().memory()
        memory.create(name, 64)
        self.file(name).unlink()
        os.mkfifo(self.file(name))
        self.addCleanup(self.file(name).unlink)
        self.assertFalse(memory.is_current())
        memory.close()
        memory.unlink()
        self.assertTrue(self.file(name).exists())

    def test_unlink_after_close_works_once(self):
        name, spare = self.name(), self.name()
        memory = self.agent().memory()
        memory.set_persistent(True)
        self.assertEqual(memory.create(name, 64), OK)
        os.link(self.file(name), self.file(spare))
        self.addCleanup(self.file(spare).unlink)
        memory.close()
        memory.unlink()
        self.assertFalse(self.file(name).exists())
        # The very segment that this object had, under its old name.
        os.link(self.file(spare), self.file(name))
        self.addCleanup(self.file(name).unlink, missing_ok=True)
        memory.unlink()
        self.assertTrue(self.file(name).exists(), "it had its one try")


@unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
class Modes(Scenario):
    def test_exact_whatever_the_umask(self):
        for umask in (0o000, 0o022, 0o077):
            with self.subTest(umask=oct(umask)):
                agent = self.agent(umask=umask)
                for scope, persistent, mode in (
                    (LOCAL_SCOPE, False, 0o1600),
                    (GLOBAL_SCOPE, False, 0o1666),
                    (LOCAL_SCOPE, True, 0o600),
                    (GLOBAL_SCOPE, True, 0o666),
                ):
                    for method in ("create", "open_or_create"):
                        memory, name = agent.memory(), self.name()
                        memory.set_persistent(persistent)
                        self.assertEqual(memory.call(method, name, 64, scope), OK)
                        found = self.file(name).stat().st_mode & 0o7777
                        self.assertEqual(oct(found), oct(mode), method)
                        memory.unlink()

    def test_scope_of_what_others_made(self):
        memory = self.agent().memory()
        for mode, scope in ((0o600, 0), (0o644, 0), (0o622, 1), (0o666, 1)):
            name = self.name()
            self.foreign(name, b"Python").chmod(mode)
            self.assertEqual(memory.open(name), OK)
            self.assertEqual(memory.get_scope(), scope, oct(mode))
            memory.close()


@unittest.skipUnless(SHARED.is_dir(), "segments are no files here")
class OtherUsers(Scenario):
    def stranger(self):
        """A Godot of another user."""
        if os.geteuid() != 0:
            self.skipTest("needs a second user: run as root")
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        environment = self.session.environment(NOBODY)
        code, _lines = self.session.run(
            ["test", "-r", PROJECT / "project.godot", "-a", "-x", self.session.godot],
            10,
            env=environment,
            **who,
        )
        if code != 0:
            self.skipTest("another user may not read this folder")
        return self.agent(env=environment, **who)

    def tries_of_a_stranger(self, path, pid):
        """What another user gets who does without the addon: a dictionary from the try to its outcome."""
        spare = self.file(self.name())
        self.addCleanup(spare.unlink, missing_ok=True)
        command = [sys.executable, "-c", AS_ANOTHER + TRIES, path, spare, str(pid)]
        code, lines = self.session.run(command, 20)
        self.assertEqual(code, 0, lines)
        return dict(line.split(": ") for line in lines)

    def test_local_is_closed_to_them_without_the_addon(self):
        if os.geteuid() != 0:
            self.skipTest("needs a second user: run as root")
        name = self.name()
        agent = self.agent()
        memory = agent.memory()
        self.assertEqual(memory.create(name, 64), OK)
        memory.write(b"secret")
        before = self.file(name).stat()
        outcomes = self.tries_of_a_stranger(self.file(name), agent.pid)
        self.assertEqual(outcomes, dict.fromkeys(outcomes, "PermissionError"))
        self.assertEqual(len(outcomes), 13)
        after = self.file(name).stat()
        self.assertEqual(
            (after.st_ino, after.st_mode, after.st_size, after.st_mtime_ns),
            (before.st_ino, before.st_mode, before.st_size, before.st_mtime_ns),
        )
        self.assertTrue(memory.is_current())
        self.assertEqual(memory.read(6), b"secret")

    def test_global_lets_them_have_the_bytes_only(self):
        if os.geteuid() != 0:
            self.skipTest("needs a second user: run as root")
        name = self.name()
        agent = self.agent()
        memory = agent.memory()
        self.assertEqual(memory.create(name, 64, GLOBAL_SCOPE), OK)
        outcomes = self.tries_of_a_stranger(self.file(name), agent.pid)
        done = [label for label, outcome in outcomes.items() if outcome == "done"]
        # Who may write may truncate: here to the size that it has. See test_hostile_peer.py for less.
        self.assertEqual(done, ["read", "write", "map", "truncate", "touch"])
        others = set(outcomes.values()) - {"done"}
        self.assertEqual(others, {"PermissionError"})
        self.assertTrue(memory.is_current())
        self.assertEqual(memory.get_scope(), GLOBAL_SCOPE)

    def test_local_is_closed_to_them(self):
        name = self.name()
        memory = self.agent().memory()
        self.assertEqual(memory.create(name, 64), OK)
        stranger = self.stranger().memory()
        for access in (0, ACCESS_READ_ONLY):
            self.assertEqual(stranger.open(name, 0, access), ERR_UNAUTHORIZED)
        self.assertEqual(stranger.get_last_error(), ERR_UNAUTHORIZED)
        self.assertIn("Permission denied", stranger.get_last_error_message())
        self.assertEqual(stranger.get_status(), STATUS_ERROR)
        self.assertTrue(stranger.exists(name))
        self.assertEqual(stranger.create(name, 64), ERR_ALREADY_EXISTS)
        self.assertEqual(stranger.open_or_create(name, 64), ERR_UNAUTHORIZED)
        self.assertEqual(stranger.remove(name), ERR_UNAUTHORIZED)
        self.assertTrue(memory.is_current())

    def test_without_permission(self):
        if os.geteuid() == 0:
            self.skipTest("root may do all")
        name = self.name()
        path = self.foreign(name, b"Python")
        memory = self.agent().memory()
        path.chmod(0o000)
        for access in (0, ACCESS_READ_ONLY):
            self.assertEqual(memory.open(name, 0, access), ERR_UNAUTHORIZED)
        path.chmod(0o400)
        self.assertEqual(memory.open(name), ERR_UNAUTHORIZED)
        self.assertEqual(memory.open_or_create(name, 6), ERR_UNAUTHORIZED)
        self.assertEqual(memory.open(name, 0, ACCESS_READ_ONLY), OK)

    def test_global_is_open_to_them(self):
        name = self.name()
        memory = self.agent(umask=0o077).memory()
        self.assertEqual(memory.create(name, 64, GLOBAL_SCOPE), OK)
        stranger = self.stranger().memory()
        self.assertEqual(stranger.open(name), OK)
        self.assertEqual(stranger.get_scope(), GLOBAL_SCOPE)
        self.assertEqual(stranger.write(b"hello"), OK)
        self.assertEqual(memory.read(5), b"hello")
        stranger.unlink()
        self.assertEqual(stranger.get_last_error(), ERR_UNAUTHORIZED)
        self.assertTrue(memory.is_current(), "they may not remove it")
        self.assertEqual(stranger.remove(name), ERR_UNAUTHORIZED)
        stranger.close()
        self.assertEqual(stranger.open_or_create(name, 64), OK)

    def test_for_reading_only(self):
        name = self.name()
        self.foreign(name, b"Python").chmod(0o644)
        stranger = self.stranger().memory()
        self.assertEqual(stranger.open(name), ERR_UNAUTHORIZED)
        self.assertEqual(stranger.open(name, 0, ACCESS_READ_ONLY), OK)
        self.assertEqual(stranger.read(), b"Python")

    def test_their_leftover_is_not_reclaimed(self):
        name = self.name()
        stranger = self.stranger()
        self.assertEqual(stranger.memory().create(name, 64, GLOBAL_SCOPE), OK)
        stranger.kill()
        memory = self.agent().memory()
        self.assertEqual(memory.create(name, 64), ERR_ALREADY_EXISTS)
        self.assertEqual(self.stranger().memory().create(name, 64), OK)
        # It is theirs again, and goes with them.
