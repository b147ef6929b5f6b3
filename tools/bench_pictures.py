"""Measures pictures in a window, for ./build.sh bench --pictures."""

import contextlib
import json
import os
import pathlib
import secrets
import statistics
import subprocess

from bench_processes import started
from common import ROOT, Failure, have, say

RENDERERS = {"opengl3": "Compatibility", "vulkan": "Forward+"}
# The numbers of Image.Format.
FORMATS = {"RGBA8": 5, "RGB8": 4, "L8": 0}
WIDTH, HEIGHT = 1920, 1080
# Of the window: a renderer in software draws larger ones too slowly for 60 frames a second.
WINDOW = "640x360"
SECONDS = 5
RUNS = 3
# Seconds, for a Godot that should have ended.
LIMIT = 120
MARK = "##pictures## "


def measure(godot):
    """Prints the times of each renderer."""
    if not have("Xvfb"):
        raise Failure("bench --pictures needs Xvfb, a screen without a monitor: apt install xvfb")
    with screen() as display:
        environment = {**os.environ, "DISPLAY": display}
        drivers = sorted(pathlib.Path(godot).parents[1].glob("root/usr/share/vulkan/icd.d/lvp_icd*.json"))
        if drivers:
            environment.setdefault("VK_DRIVER_FILES", str(drivers[0]))
        print(f"{WIDTH} x {HEIGHT}, 60 pictures a second; medians of {RUNS} runs, in microseconds")
        for renderer, called in RENDERERS.items():
            for format, number in FORMATS.items():
                with source(godot, number) as name:
                    shown = median([run(godot, renderer, "show", name, environment) for _ in range(RUNS)])
                upload = shown["turn"] - shown["copy"]
                print(
                    f"{called}, {format}: copy {shown['copy']:.0f}, upload {upload:.0f}"
                    f" (99 % of both below {shown['turn_99']:.0f}), {shown['turns'] / SECONDS:.0f} a second"
                )
            name = f"bench{secrets.token_hex(4)}"
            given = median([run(godot, renderer, "hand_out", name, environment) for _ in range(RUNS)])
            print(
                f"{called}, viewport handed out: the node takes {given['turn']:.0f} of a frame; frames of"
                f" {given['frame_with']:.0f}, without it {given['frame_without']:.0f}"
            )


@contextlib.contextmanager
def screen():
    """Starts Xvfb, and gives the name of its display."""
    options = ["-displayfd", "1", "-screen", "0", f"{WINDOW}x24", "-nolisten", "tcp"]
    with started("Xvfb", *options, stderr=subprocess.DEVNULL) as server:
        number = next((line for line in server.stdout if line.strip().isdigit()), None)
        if number is None:
            raise Failure("bench --pictures: Xvfb doesn't start")
        yield f":{number.strip()}"


@contextlib.contextmanager
def source(godot, format):
    """Runs a Godot that writes pictures, and gives their name."""
    name = f"bench{secrets.token_hex(4)}"
    words = ("write", name, WIDTH, HEIGHT, format)
    command = (godot, "--headless", "--path", ROOT / "bench", "-s", "res://pictures.gd", "--", *words)
    try:
        with started(*command) as writer:
            if not any(line.startswith("ready") for line in writer.stdout):
                raise Failure("bench --pictures: the source ended")
            yield name
    finally:
        # It was killed, and leaves its name.
        pathlib.Path("/dev/shm", name).unlink(missing_ok=True)


def run(godot, renderer, role, name, environment):
    window = ("--rendering-driver", renderer, "--audio-driver", "Dummy", "--max-fps", "60")
    words = ("-s", "res://pictures.gd", "--", role, name, SECONDS)
    command = (godot, "--path", ROOT / "bench", *window, "--resolution", WINDOW, *words)
    done = subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True, timeout=LIMIT
    )
    for line in done.stdout.splitlines():
        if line.startswith(MARK):
            return json.loads(line.removeprefix(MARK))
    say(done.stdout[-2000:] + done.stderr[-2000:])
    raise Failure(f"bench --pictures: Godot measured nothing with {renderer}")


def median(found):
    return {key: statistics.median(one[key] for one in found) for key in found[0]}
