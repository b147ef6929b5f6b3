"""Four processes around the bridge of demo/bridge: a game, two bridges, and a program on the far side.

The game sends messages of all kinds, the far program checks and logs each. Any of the four may be killed.
"""

from __future__ import annotations

import contextlib
import importlib
import pathlib
import signal
import struct
import subprocess
import sys
import time
import types
from typing import Any

import godot_shared_memory as gsm
import numpy

BRIDGE = pathlib.Path(__file__).parents[3] / "demo/bridge/bridge.py"
FAR = "_far"
ROLES = ("game", "near", "far", "program")


def bridge_modules() -> Any:
    """Returns the names in the files of the bridge, which need eclipse-zenoh."""
    sys.path.insert(0, str(BRIDGE.parent))
    try:
        files = [importlib.import_module(name) for name in ("bridge", "packets", "streams", "queues")]
    finally:
        sys.path.pop(0)
    return types.SimpleNamespace(**{name: value for file in files for name, value in vars(file).items()})


def make(life: int, number: int, size: int = 64) -> Any:
    """Returns the message with a number of a game in its nth life, of one kind after the other."""
    mark = struct.pack("<II", life, number)
    match number % 5:
        case 0:
            return mark + bytes(size)
        case 1:
            return f"{life} {number} äöü {'x' * size}"
        case 2:
            numbers = numpy.full((2, max(1, size // 16)), number, numpy.int64)
            numbers[0, 0] = life
            return numbers
        case 3:
            pixels = numpy.zeros((max(1, size // 24), 8, 3), numpy.uint8)
            pixels.reshape(-1)[:8] = numpy.frombuffer(mark, numpy.uint8)
            return pixels
        case _:
            return {"life": life, "number": number, "at": gsm.Vector3(1, 2, 3), "more": bytes(size)}


def marks_of(value: Any) -> tuple[int, int]:
    """Returns the life and the number of a message."""
    if isinstance(value, bytes):
        life, number = struct.unpack("<II", value[:8])
    elif isinstance(value, str):
        life, number = map(int, value.split()[:2])
    elif isinstance(value, dict):
        life, number = value["life"], value["number"]
    elif value.dtype == numpy.uint8:
        life, number = struct.unpack("<II", value.reshape(-1)[:8].tobytes())
    else:
        life, number = value[0, 0], value[-1, -1]
    return int(life), int(number)


def check(value: Any, size: int) -> tuple[int, int]:
    """Returns the same, and fails if any part of the message isn't as it was sent."""
    life, number = marks_of(value)
    sent = make(life, number, size)
    assert type(value) is type(sent), (type(value), type(sent))
    if isinstance(sent, numpy.ndarray):
        assert (value.dtype, value.shape) == (sent.dtype, sent.shape)
        assert (value == sent).all()
    else:
        assert value == sent
    return life, number


def game(name: str, life: int, log: str, pause: float, size: int, most: int) -> None:
    """Writes to the stream and puts the same into the queue, until there are `most` messages in the queue."""
    with (
        open(log, "a", encoding="ascii", buffering=1) as out,
        gsm.Stream.create(name, 1 << 21) as stream,
        gsm.Queue.create(name + "_queue", 1 << 16) as queue,
    ):
        print("up", life, file=out)
        number = queued = 0
        while True:
            number += 1
            at = time.monotonic()
            stream.write(make(life, number, size))
            print("stream", life, number, at, file=out)
            with contextlib.suppress(gsm.BusyError):
                if queued < most:
                    queue.enqueue(make(life, queued + 1))
                    queued += 1
                    print("queue", life, queued, file=out)
            time.sleep(pause)


def program(name: str, log: str, size: int) -> None:
    """Logs what it reads. It logs a message of the queue before it takes it out."""
    with (
        open(log, "a", encoding="ascii", buffering=1) as out,
        gsm.Stream.open(name + FAR) as stream,
        gsm.Queue.open(name + "_queue" + FAR) as queue,
    ):
        print("up", file=out)
        while True:
            with contextlib.suppress(gsm.UnavailableError):
                if stream.has_new_data():
                    life, number = check(stream.read(), size)
                    age = stream.get_age()
                    print("stream", life, number, -1 if age is None else age, time.monotonic(), file=out)
            with contextlib.suppress(gsm.UnavailableError):
                for message in queue.peek_raw(1 << 12):
                    value = queue.peek()
                    life, number = check(value, 64)
                    print("queue", life, number, message.tag, time.monotonic(), file=out)
                    queue.take_out(message)
            time.sleep(0.0005)


class Rig:
    """Starts and kills the four."""

    def __init__(
        self, folder: pathlib.Path, port: int, address: str = "127.0.0.1", within: Any = None, **how: Any
    ) -> None:
        self.name, self.folder, self.within = gsm.generate_name("bridge"), folder, within or {}
        self.how = {"pause": 0.005, "size": 64, "most": 1 << 30, **how}
        self.endpoint = f"tcp/{address}:{port}"
        # A queue in the other direction, whose memory near the game has this at its end.
        self.back = self.how.pop("back", "")
        far_port = self.how.pop("far_port", None)
        self.far_endpoint = f"tcp/127.0.0.1:{far_port}" if far_port else None
        self.life = 0
        # Lives that ended while no bridge had taken the role of the consumer. Their last messages are lost
        # then, as docs/FORMAT.md says.
        self.lonely: set[int] = set()
        self.is_near_ready = False
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, role: str) -> list[str]:
        me, queue, how = [sys.executable, __file__, role, self.name], self.name + "_queue", self.how
        bridge = [sys.executable, "-u", str(BRIDGE)]
        match role:
            case "game":
                self.life += 1
                last = [how["pause"], how["size"], how["most"]]
                return [*me, str(self.life), str(self.log(role)), *map(str, last)]
            case "program":
                return [*me, str(self.log(role)), str(how["size"])]
            case "near":
                sent = ["--send-stream", self.name, "--send-queue", queue]
                back = ["--receive-queue", f"{self.name}_back", "65536", "--suffix", self.back]
                return [*bridge, "--listen", self.endpoint, *sent, *(back if self.back else [])]
        stream, received = ["--receive-stream", self.name, str(1 << 21)], ["--receive-queue", queue, "65536"]
        listen = ["--listen", self.far_endpoint] if self.far_endpoint else []
        listen += ["--send-queue", f"{self.name}_back"] if self.back else []
        return [*bridge, "--connect", self.endpoint, *listen, *stream, *received, "--suffix", FAR]

    def log(self, role: str) -> pathlib.Path:
        return self.folder / f"{role}.log"

    def start(self, role: str) -> None:
        if role == "near":
            self.is_near_ready = False
        with open(self.folder / f"{role}.out", "ab") as out:
            side = "near" if role in ("game", "near") else "far"
            command = [*self.within.get(side, []), *self.command(role)]
            self.running[role] = subprocess.Popen(command, stdout=out, stderr=out)

    def kill(self, role: str) -> None:
        process = self.running.pop(role)
        assert process.poll() is None, f"{role} has ended: {self.output(role)}"
        process.kill()
        process.wait(30)
        self.is_near_ready &= role != "near"
        last = int((self.records("game", "up") or [(0,)])[-1][0])
        is_game_up = "game" in self.running and last == self.life
        if role in ("game", "near") and not is_game_up and not self.is_near_ready:
            self.lonely.add(last)

    def output(self, role: str) -> str:
        path = self.folder / f"{role}.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        """Ends all, and removes the memory that outlives them."""
        for role in list(self.running):
            process = self.running.pop(role)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)
        for name in (self.name, self.name + "_queue", self.name + "_back"):
            for end in ("", FAR, f"{FAR}.bridge", self.back, f"{self.back}.bridge"):
                with contextlib.suppress(gsm.NotFoundError):
                    gsm.remove(name + end)

    def records(self, role: str, kind: str) -> list[tuple[float, ...]]:
        """Returns the numbers in the lines of a log that begin with a word."""
        path = self.log(role)
        lines = path.read_text(encoding="ascii").splitlines(keepends=True) if path.exists() else []
        whole = [line.split() for line in lines if line.endswith("\n")]
        return [tuple(map(float, words[1:])) for words in whole if words[:1] == [kind]]

    def await_passed(self, seconds: float = 60) -> None:
        """Waits until what the game sends now arrives, in the stream and in the queue."""
        end = time.monotonic() + seconds
        wanted = {
            kind: (self.records("game", kind) or [(self.life, 0)])[-1][:2] for kind in ("stream", "queue")
        }
        while True:
            for role, process in self.running.items():
                assert process.poll() is None, f"{role} has ended: {self.output(role)}"
            arrived = [
                (self.records("program", kind) or [(0.0, 0.0)])[-1][:2] > wanted[kind] for kind in wanted
            ]
            if all(arrived):
                self.is_near_ready = True
                return
            assert time.monotonic() < end, (wanted, arrived, *map(self.output, ROLES))
            time.sleep(0.05)

    def check(self, program_kills: int = 0) -> int:
        """Checks the logs against the promises, and returns the number of messages of the queue."""
        assert "Traceback" not in "".join(map(self.output, ROLES)), [*map(self.output, ROLES)]
        got = [(int(life), int(number)) for life, number, *_ in self.records("program", "queue")]
        twice = 0
        last = (0, 0)
        for life, number in got:
            if (life, number) == last:
                twice += 1
            else:
                expected = last[1] + 1 if life == last[0] else 1
                assert (life, number) == (life, expected), f"{(life, number)} came after {last}"
                assert life >= last[0]
            last = life, number
        # The program itself, if it is killed between its two steps.
        assert twice <= program_kills, f"{twice} messages came twice"
        sent = {(int(life), int(number)) for life, number, *_ in self.records("game", "queue")}
        # The last ones are on their way.
        lost = sorted(mark for mark in sent - set(got) if mark <= last and mark[0] not in self.lonely)
        assert not lost, f"{lost[:10]} are lost, {last} has come, and {self.lonely} may be cut short"
        stream = [(life, number) for life, number, *_ in self.records("program", "stream")]
        assert stream == sorted(stream), "an older message came after a newer one"
        return len(set(got))


if __name__ == "__main__":
    if sys.argv[1] == "game":
        pause, size, most = sys.argv[5:]
        game(sys.argv[2], int(sys.argv[3]), sys.argv[4], float(pause), int(size), int(most))
    else:
        program(sys.argv[2], sys.argv[3], int(sys.argv[4]))
