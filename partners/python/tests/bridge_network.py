#!/usr/bin/env python3
"""The bridge between two machines, which are two network namespaces. ./build.sh test-bridge runs this.

A program between the two passes their packets on, late, slowly, or not at all. It takes the place of netem,
which not every kernel has. Addresses of other networks don't exist there.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import pathlib
import random
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from bridge_rig import ROLES, Rig

CLONE_NEWNET = 0x4000_0000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x4004_54CA, 1, 0x1000
# Of documentation (RFC 5737), so that they are nobody's.
ADDRESSES = {"near": "192.0.2.1", "far": "192.0.2.2"}
PORT = 7447
# The longest queue before the slow link, in seconds. Later packets are dropped, as a router does.
BUFFER = 0.2


def enter(process: int) -> None:
    """Enters the network of a process."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{process}/ns/net", "rb") as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def tunnel(process: int) -> int:
    """Makes the device tun0 in the network of a process, and returns its descriptor."""
    enter(process)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH14x", b"tun0", IFF_TUN | IFF_NO_PI))
    return device


def relay(near: int, far: int, seed: int) -> None:
    """Passes packets on between the networks of two processes. Lines on stdin change how."""
    chance = random.Random(seed)
    ends = (tunnel(near), tunnel(far))
    # Seconds, a share of the packets, bits per second, and whether anything passes.
    how = {"delay": 0.0, "loss": 0.0, "rate": 1e10, "up": 1.0}
    free, count = [0.0, 0.0], itertools.count()
    late: list[tuple[float, int, int, bytes]] = []
    print("up", flush=True)
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) if late else None
        ready = select.select([*ends, 0], [], [], wait)[0]
        if 0 in ready:
            text = os.read(0, 4096).decode()
            if not text:
                return
            how.update((word.split("=")[0], float(word.split("=")[1])) for word in text.split())
        for end in ends:
            if end not in ready:
                continue
            for _ in range(64):
                try:
                    packet = os.read(end, 65536)
                except BlockingIOError:
                    break
                now, way = time.monotonic(), ends.index(end)
                start = max(now, free[way])
                if not how["up"] or chance.random() < how["loss"] or start - now > BUFFER:
                    continue
                free[way] = start + len(packet) * 8 / how["rate"]
                heapq.heappush(late, (free[way] + how["delay"], next(count), ends[1 - way], packet))
        now = time.monotonic()
        while late and late[0][0] <= now:
            _, _, end, packet = heapq.heappop(late)
            with contextlib.suppress(OSError):
                os.write(end, packet)


class Network:
    """Two networks, and the link between them."""

    def __init__(self, seed: int) -> None:
        self.processes: list[subprocess.Popen[str]] = []
        self.within: dict[str, list[str]] = {}
        for side in ADDRESSES:
            # It lives for as long as its stdin.
            command = ["unshare", "--net", "sh", "-c", "echo up; cat"]
            process = self.begin(command)
            self.within[side] = ["nsenter", f"--net=/proc/{process.pid}/ns/net"]
        pids = [str(process.pid) for process in self.processes]
        self.link = self.begin([sys.executable, __file__, "--relay", *pids, str(seed)])
        for side, address in ADDRESSES.items():
            for words in (f"addr add {address}/24 dev tun0", "link set tun0 up", "link set lo up"):
                subprocess.run([*self.within[side], "ip", *words.split()], check=True)

    def begin(self, command: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.processes.append(process)
        assert process.stdout is not None
        if process.stdout.readline() != "up\n":
            raise OSError(f"{command[0]} did not start")
        return process

    def set(self, **how: float) -> None:
        """Changes the link: delay in seconds, loss as a share, rate in bits per second, up as 0 or 1."""
        assert self.link.stdin is not None
        self.link.stdin.write(" ".join(f"{key}={value}" for key, value in how.items()) + "\n")

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()


@contextlib.contextmanager
def running(network: Network, **how: Any) -> Iterator[Rig]:
    """Runs all four, until something has passed."""
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(pathlib.Path(folder), PORT, ADDRESSES["near"], network.within, **how)
        try:
            for role in ROLES:
                rig.start(role)
            rig.await_passed(120)
            yield rig
        finally:
            rig.stop()


def staleness(rig: Rig, since: float) -> str:
    """Returns how old the stream's messages were when they were read, and how far off the told age was."""
    written = {(life, number): at for life, number, at in rig.records("game", "stream")}
    found = [
        (at - written[life, number], age)
        for life, number, age, at in rig.records("program", "stream")
        if at >= since and (life, number) in written
    ]
    true = sorted(delay for delay, _ in found)
    errors = sorted(abs(delay - age) for delay, age in found if age >= 0)
    per_second = len(found) / (time.monotonic() - since)
    figures = (
        statistics.median(true),
        true[int(len(true) * 0.99)],
        true[-1],
        errors[int(len(errors) * 0.99)],
    )
    median, most, worst, error = (f"{1000 * figure:.1f}" for figure in figures)
    return (
        f"{per_second:.0f} messages/s, age {median} ms (99 %: {most}, most: {worst}), told age off by {error}"
    )


def queue_rate(rig: Rig, since: float) -> str:
    count = sum(at >= since for *_, at in rig.records("program", "queue"))
    return f"queue {count / (time.monotonic() - since):.0f} messages/s"


def measured(rig: Rig, seconds: float) -> str:
    since = time.monotonic()
    time.sleep(seconds)
    told = f"{staleness(rig, since)}; {queue_rate(rig, since)}"
    rig.check()
    return told


LINKS = {
    "fast": ({"delay": 0.0005}, 64),
    "far": ({"delay": 0.05}, 64),
    "lossy": ({"delay": 0.01, "loss": 0.03}, 64),
    "slow, short messages": ({"delay": 0.01, "rate": 256e3}, 64),
    "slow, pictures of 100 KB": ({"delay": 0.01, "rate": 4e6}, 100_000),
    "slow and lossy": ({"delay": 0.02, "rate": 2e6, "loss": 0.01}, 10_000),
}


def test_links(network: Network, seconds: float, _: random.Random) -> Iterator[str]:
    """On each link, the newest message comes, and each one of the queue."""
    for name, (how, size) in LINKS.items():
        network.set(**{"delay": 0, "loss": 0, "rate": 1e10, "up": 1, **how})
        with running(network, size=size) as rig:
            yield f"{name}: {measured(rig, seconds)}"
    network.set(delay=0.002, loss=0, rate=1e10)


def test_cuts(network: Network, _: float, chance: random.Random) -> Iterator[str]:
    """A link that is cut for less and for more than the lease of a connection. The last message comes."""
    network.set(delay=0.005, loss=0, rate=1e10, up=1)
    with running(network) as rig:
        for length in (0.5, 2, 5, 8):
            network.set(up=0)
            time.sleep(length)
            network.set(up=1)
            start = time.monotonic()
            rig.await_passed()
            yield f"cut for {length} s: messages pass {time.monotonic() - start:.2f} s after its end"
        # The game falls silent during a cut.
        network.set(up=0)
        time.sleep(0.2)
        rig.kill("game")
        last = rig.records("game", "stream")[-1][:2]
        time.sleep(5)
        network.set(up=1)
        end = time.monotonic() + 30
        while rig.records("program", "stream")[-1][:2] < last:
            assert time.monotonic() < end, "the last message of the stream has not come"
            time.sleep(0.05)
        count = rig.check()
        yield f"{count} messages of the queue, each once and in order; the last one of the stream has come"


def test_stops(network: Network, _: float, __: random.Random) -> Iterator[str]:
    """Each of the four stands still for longer than a connection lasts."""
    network.set(delay=0.002, loss=0, rate=1e10, up=1)
    with running(network) as rig:
        for role in ROLES:
            rig.running[role].send_signal(signal.SIGSTOP)
            time.sleep(6)
            rig.running[role].send_signal(signal.SIGCONT)
            start = time.monotonic()
            rig.await_passed()
            yield f"{role} stopped for 6 s: messages pass {time.monotonic() - start:.2f} s after its end"
        yield f"{rig.check()} messages of the queue, each once and in order"


def test_kills(network: Network, rounds: float, chance: random.Random) -> Iterator[str]:
    """Each of the four is killed and started again, in every order, on a link that loses packets."""
    network.set(delay=0.002, loss=0.01, rate=1e10, up=1)
    orders = list(itertools.permutations(ROLES))
    with running(network, pause=0.002) as rig:
        program_kills = 0
        for order in orders:
            # All of them are dead for a moment, or each is back before the next one dies.
            pause, is_all = chance.random() * 0.2, chance.random() < 0.5
            for role in order:
                rig.kill(role)
                time.sleep(pause)
                if not is_all:
                    rig.start(role)
            for role in chance.sample(order, 4) if is_all else ():
                rig.start(role)
                time.sleep(pause)
            program_kills += 1
            rig.await_passed(120)
        count = rig.check(program_kills)
        yield f"{len(orders)} orders of 4 kills: {count} messages of the queue, each once and in order"


def test_chaos(network: Network, seconds: float, chance: random.Random) -> Iterator[str]:
    """Cuts, kills and bad links at random moments."""
    with running(network, pause=0.001) as rig:
        end, kills, cuts = time.monotonic() + 4 * seconds, dict.fromkeys(ROLES, 0), 0
        while time.monotonic() < end:
            time.sleep(chance.random() * 0.5)
            if chance.random() < 0.3:
                cuts += 1
                network.set(up=0)
                time.sleep(chance.choice((0.1, 0.5, 4)))
            network.set(up=1, delay=chance.choice((0, 0.005, 0.05)), loss=chance.choice((0, 0.02)), rate=1e9)
            for role in chance.sample(ROLES, chance.randrange(3)):
                rig.kill(role)
                kills[role] += 1
                if chance.random() < 0.5:
                    time.sleep(chance.random() * 0.3)
                rig.start(role)
        network.set(up=1, delay=0.005, loss=0)
        rig.await_passed(120)
        count = rig.check(kills["program"])
        killed = sum(kills.values())
        yield f"{killed} kills, {cuts} cuts: {count} messages of the queue, each once and in order"


def test_full_queue(network: Network, _: float, __: random.Random) -> Iterator[str]:
    """A full queue on the far side stops the near one, and nothing is lost."""
    network.set(delay=0.002, loss=0, rate=1e10, up=1)
    with running(network, pause=0.0001) as rig:
        rig.kill("program")
        time.sleep(3)
        stopped = len(rig.records("game", "queue"))
        time.sleep(1)
        assert len(rig.records("game", "queue")) == stopped, "a full queue has stopped nobody"
        rig.start("program")
        rig.await_passed()
        assert len(rig.records("game", "queue")) > stopped
        count = rig.check(1)
        yield f"the near side stops after {stopped} messages, goes on afterwards, and {count} have come"


TESTS: list[Callable[[Network, float, random.Random], Iterator[str]]] = [
    test_links,
    test_cuts,
    test_full_queue,
    test_stops,
    test_kills,
    test_chaos,
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--seconds", type=float, default=10, help="for each link")
    parser.add_argument("filter", nargs="?", default="")
    options = parser.parse_args()
    print(f"seed {options.seed} (--seed repeats it)", flush=True)
    try:
        network = Network(options.seed)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"skipped: this system makes no networks of its own: {error}")
        return 0
    passed = failed = 0
    try:
        for test in TESTS:
            if options.filter not in test.__name__:
                continue
            name = test.__name__
            try:
                for line in test(network, options.seconds, random.Random(options.seed)):
                    print(f"{name}: {line}", flush=True)
                passed += 1
            except AssertionError as error:
                failed += 1
                print(f"{name}: FAILED: {error}", flush=True)
    finally:
        network.close()
    print(f"{passed} tests passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--relay"]:
        relay(*map(int, sys.argv[2:5]))
    else:
        sys.exit(main())
