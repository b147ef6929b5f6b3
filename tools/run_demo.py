#!/usr/bin/env python3
"""Runs a demo: Godot and its partner in Python, their words side by side.

Without --window both run unattended, twice, so that each side starts first once. Fails if a side fails, does
not end, or does not tell of the other's message. An exit code alone would not show a script error in Godot.
"""

import argparse
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

from common import ROOT, Failure, interrupt, run, run_main, say

# Or a copy of it, as from its zip.
PROJECT = pathlib.Path(os.environ.get("SHM_DEMO_PROJECT") or ROOT / "demo")

# Of each demo: the help, the partner, whether it needs the Python package, whether it ends by itself, and the
# last words of each side.
DEMOS = {
    "hello": {
        "help": "(if no NAME is given) Godot writes a text, Python answers; Linux only",
        "partner": "hello.py",
        "needs_package": False,
        "partner_ends": True,
        "godot": "Hello from Python!",
        "python": "Hello from Godot!",
    },
    "chat": {
        "help": "a conversation",
        "partner": "chat.py",
        "needs_package": True,
        "partner_ends": True,
        "godot": "Hello world from Python Shared Memory!",
        "python": "Hello world from Godot Shared Memory!",
    },
    "telemetry": {
        "help": "instruments that show what a simulator publishes 120 times a second",
        "partner": "simulator.py",
        "needs_package": True,
        "partner_ends": False,
        "godot": "Godot shows ",
        "python": "120 records per second",
    },
    "video": {
        "help": "pictures of 1280 x 720 by numpy, and one that Godot hands out",
        "partner": "video.py",
        "needs_package": True,
        "partner_ends": True,
        "godot": "pictures, and Python has left",
        "python": "Python saved 1280 x 720",
    },
    "water": {
        "help": "a ball on water, which numpy computes in each frame",
        "partner": "water.py",
        "needs_package": True,
        "partner_ends": False,
        "godot": "Godot shows step ",
        "python": "the ball is at",
    },
    "rl": {
        "help": "a game that a program learns to play; with --ray on a cluster of two nodes, on this machine",
        "partner": "../rl/train.py",
        "needs_package": True,
        # The partner starts the games itself.
        "starts_godot": True,
        "python": "Python played 16 new episodes",
    },
}

# Most sides give up by themselves, after 40 seconds at most. This is for a side that hangs, or waits forever.
TIME_LIMIT = 50
# For a demo whose partner learns.
LEARNING_TIME_LIMIT = 300
HEAD_START = 1.0


class Side:
    """One of the two programs. Its lines are shown with its name, and kept."""

    def __init__(self, name, command, **options):
        self.name = name
        self.lines = []
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            # Its own group, so that what it started can be ended with it.
            start_new_session=os.name == "posix",
            **options,
        )
        self.reader = threading.Thread(target=self._show, daemon=True)
        self.reader.start()

    def _show(self):
        for line in self.process.stdout:
            line = line.rstrip()
            self.lines.append(line)
            if line:
                # In one call: print() writes the line break in a second one, and the other side may write
                # in between.
                sys.stdout.write(f"[{self.name}] {line}\n")
                sys.stdout.flush()

    def wait(self, deadline):
        """Returns the exit code, or None if it had not ended by then."""
        try:
            code = self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None
        self.reader.join(5)
        return code

    def end(self):
        """Ends it, and what it started, as Ctrl+C does: Python removes its names then."""
        if self.process.poll() is None:
            interrupt(self.process)


def godot_command(godot, name, *options):
    return [godot, *options, "--path", str(PROJECT), f"res://{name}/{name}.tscn"]


def python_command(python, name, *options):
    # Unbuffered: its words are to appear when they are said.
    return [python, "-u", str(PROJECT / "python" / DEMOS[name]["partner"]), *options]


def problems(side, code, expected, limit=TIME_LIMIT):
    if code is None:
        yield f"{side.name} did not end within {limit} seconds"
    elif code != 0:
        yield f"{side.name} ended with exit code {code}"
    if not any(expected in line for line in side.lines):
        yield f"{side.name} did not tell of {expected!r}"
    for line in side.lines:
        if side.name == "godot" and line.startswith(("ERROR:", "SCRIPT ERROR:")):
            yield f"{side.name} printed {line!r}"


def run_unattended(godot, python, name, order):
    ends = DEMOS[name]["partner_ends"]
    commands = {
        "godot": [*godot_command(godot, name, "--headless"), "--", "--auto"],
        "python": python_command(python, name, *["--auto"] * ends),
    }
    say(f"{name}: {order[0]} starts first")
    sides = {}
    found = []
    try:
        for who in order:
            if sides:
                time.sleep(HEAD_START)
            sides[who] = Side(who, commands[who], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + TIME_LIMIT
        for who in ("godot", "python"):
            if who == "python" and not ends:
                sides[who].end()
            found += problems(sides[who], sides[who].wait(deadline), DEMOS[name][who])
    finally:
        for side in sides.values():
            side.end()
    for problem in found:
        say(f"failed: {problem}")
    return not found


def run_window(godot, python, name):
    """Runs Godot in a window until it is closed, and Python for as long."""
    say(f"{name}: close the window to end both sides")
    # Silent: a machine without sound would fill the screen with complaints.
    command = godot_command(godot, name, "--audio-driver", "Dummy")
    window = Side("godot", command, stdin=subprocess.DEVNULL)
    partner = None
    try:
        # Where nobody can type, an open pipe keeps the partner listening.
        stdin = None if sys.stdin and sys.stdin.isatty() else subprocess.PIPE
        partner = Side("python", python_command(python, name), stdin=stdin)
        code = window.process.wait()
        window.reader.join(5)
    finally:
        for side in (window, partner):
            if side:
                side.end()
    if code != 0:
        say(f"failed: godot ended with exit code {code}")
    return code == 0


def run_partner(godot, python, name, options):
    """Runs a partner that starts Godot itself. Without a window, it ends by itself."""
    command = [*python_command(python, name), "--godot", godot]
    command += ["--ray", "local"] if options.ray else []
    # Straight into the terminal, if there is one: it draws over its lines.
    if options.window:
        return run([*command, "--window"]) == 0
    if options.picture:
        with screen():
            return run([*command, "--window", "--screenshot", os.path.abspath(options.picture)]) == 0
    partner = Side("python", command, stdin=subprocess.DEVNULL)
    try:
        code = partner.wait(time.monotonic() + LEARNING_TIME_LIMIT)
        found = list(problems(partner, code, DEMOS[name]["python"], LEARNING_TIME_LIMIT))
    finally:
        partner.end()
    for problem in found:
        say(f"failed: {problem}")
    return not found


def save_picture(godot, python, name, path):
    """Runs the demo once in a window, and saves a picture of it."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(screen())
        command = godot_command(godot, name, "--rendering-driver", "opengl3", "--audio-driver", "Dummy")
        command += ["--", "--auto", f"--screenshot={os.path.abspath(path)}"]
        window = Side("godot", command, stdin=subprocess.DEVNULL)
        stack.callback(window.end)
        partner = Side("python", python_command(python, name), stdin=subprocess.PIPE)
        stack.callback(partner.end)
        if name == "chat":
            type_texts(partner)
        found = list(problems(window, window.wait(time.monotonic() + TIME_LIMIT), ""))
    for problem in found:
        say(f"failed: {problem}")
    return not found


def type_texts(partner):
    """Answers Godot once it has greeted, as a person would."""
    deadline = time.monotonic() + TIME_LIMIT
    while not any("Godot: " in line for line in partner.lines):
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)
    for text in (DEMOS["chat"]["godot"], "It is 21.4 °C here, and the window is open."):
        partner.process.stdin.write(f"{text}\n")
    partner.process.stdin.flush()


@contextlib.contextmanager
def screen():
    """Makes sure of a screen, of Xvfb if there is no other."""
    if os.environ.get("DISPLAY"):
        yield
        return
    say("a picture of the window on an invisible screen")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    try:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except FileNotFoundError as error:
        raise Failure("a picture needs a screen: set DISPLAY, or install Xvfb") from error
    with server:
        try:
            os.environ["DISPLAY"] = f":{server.stdout.readline().strip()}"
            yield
        finally:
            os.environ.pop("DISPLAY", None)
            server.terminate()


def starts_godot(name):
    """Returns whether the partner of a demo starts the games itself."""
    return DEMOS[name].get("starts_godot", False)


def check_name(name):
    if name not in DEMOS:
        names = ", ".join(sorted(DEMOS))
        raise Failure(f"there is no demo '{name}'; there are: {names}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--godot", help="the Godot program")
    parser.add_argument("--python", default=sys.executable, help="the Python for the partner")
    parser.add_argument("--window", action="store_true")
    parser.add_argument("--picture", metavar="PATH")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("name")
    options = parser.parse_args()

    check_name(options.name)
    # A shell makes programs in the background ignore it, and theirs too. It is what ends the partner.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if starts_godot(options.name):
        return 0 if run_partner(options.godot, options.python, options.name, options) else 1
    if options.window:
        return 0 if run_window(options.godot, options.python, options.name) else 1
    if options.picture:
        return 0 if save_picture(options.godot, options.python, options.name, options.picture) else 1
    orders = (("godot", "python"), ("python", "godot"))
    results = [run_unattended(options.godot, options.python, options.name, order) for order in orders]
    if not all(results):
        return 1
    say(f"{options.name}: both sides have done their part, whichever started first")
    return 0


if __name__ == "__main__":
    run_main(main)
