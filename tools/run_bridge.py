"""The demo of the bridge: a Godot, a program in Python, and two bridges between them, all on this machine."""

import contextlib
import socket
import subprocess
import time

import run_demo
from common import ROOT, Failure, say

FOLDER = ROOT / "demo/bridge"
# Names of memory that the bridges leave for the next ones.
LEFT = ("bridge_clicks_far", "bridge_clicks_far.bridge")
TIME_LIMIT = 50
HELP = "a picture and clicks between two programs, through a bridge to another machine"


def bridges():
    """Returns the arguments of both bridges, on an address of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        endpoint = f"tcp/127.0.0.1:{listener.getsockname()[1]}"
    # The machine of the camera, and that of Godot.
    yield ["--listen", endpoint, "--send-stream", "bridge_camera", "--receive-queue", "bridge_clicks", "4096"]
    size = str(640 * 360 * 3)
    yield ["--connect", endpoint, "--receive-stream", "bridge_camera", size, "--send-queue", "bridge_clicks"]


def run(godot, python, window):
    """Runs all four programs until Godot ends, and fails if one of them does."""
    options = [] if window else ["--headless"]
    command = run_demo.godot_command(godot, "bridge", *options, "--audio-driver", "Dummy")
    command += [] if window else ["--", "--auto"]
    others = {f"bridge {number}": [FOLDER / "bridge.py", *words] for number, words in enumerate(bridges(), 1)}
    others["python"] = [FOLDER / "camera.py"]
    sides = []
    try:
        for name, (script, *words) in others.items():
            words += ["--suffix", "_far"] if "bridge" in name else []
            sides.append(run_demo.Side(name, [python, "-u", script, *words], stdin=subprocess.DEVNULL))
        side = run_demo.Side("godot", command, stdin=subprocess.DEVNULL)
        sides.append(side)
        code = side.wait(time.monotonic() + (86400 if window else TIME_LIMIT))
        ended = [other.name for other in sides[:-1] if other.process.poll() is not None]
    finally:
        for other in sides:
            other.end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                other.process.wait(10)
        remove = "import sys, godot_shared_memory as gsm\nfor name in sys.argv[1:]:\n  gsm.remove(name)"
        subprocess.run([python, "-c", remove, *LEFT], stderr=subprocess.DEVNULL, check=False)
    wanted = "" if window else "Godot sees its click"
    if code != 0 or ended or not any(wanted in line for line in [*side.lines, ""]):
        raise Failure(f"the demo bridge failed: Godot ended with {code}; too early: {ended or 'nobody'}")
    say("bridge: the picture came to Godot, and its click to Python")
