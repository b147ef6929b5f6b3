"""The bridge of demo/bridge between two names of this machine, over loopback. docs/BRIDGE.md has the promises."""

from __future__ import annotations

import itertools
import pathlib
import random
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from bridge_rig import ROLES, Rig
from conftest import linux

pytest.importorskip("zenoh", reason="needs eclipse-zenoh (tools/requirements-bridge.txt)")
pytestmark = linux


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def make_rig(tmp_path: pathlib.Path) -> Iterator[Callable[..., Rig]]:
    made: list[Rig] = []

    def begin(**how: object) -> Rig:
        made.append(Rig(tmp_path, free_port(), **how))
        return made[-1]

    yield begin
    for rig in made:
        rig.stop()


def test_all_kinds_pass_whoever_is_killed(make_rig: Callable[..., Rig], chance: random.Random) -> None:
    rig = make_rig()
    order = chance.sample(ROLES, 4)
    for role in order:
        rig.start(role)
    rig.await_passed()
    kills = 0
    for role in order:
        rig.kill(role)
        kills += role == "program"
        rig.start(role)
        rig.await_passed()
    assert rig.check(kills) > 10
