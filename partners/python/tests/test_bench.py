"""The programs of ./build.sh bench that measure this package, with a few rounds. No time is asserted."""

from __future__ import annotations

import importlib
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import linux

REPOSITORY = pathlib.Path(__file__).parents[3]
GODOT = os.environ.get("GODOT")
# The packages of others are not installed for the tests.
WAYS = [
    "bytes-peer",
    "bytes-socket",
    "bytes-seqlock",
    "values-peer",
    "values-pickle",
    "values-json",
    "picture-stream",
    "picture-seqlock",
]

pytestmark = linux


@pytest.fixture
def tools() -> Iterator[Any]:
    """Returns the module of the measurements. Fails if they leave a name."""
    sys.path.insert(0, str(REPOSITORY / "tools"))
    try:
        measure: Any = importlib.import_module("bench_measure")
    finally:
        sys.path.remove(str(REPOSITORY / "tools"))
    with measure.names_removed():
        yield measure
        left = list(pathlib.Path("/dev/shm").glob(measure.PREFIX + "*"))
    assert not left


@pytest.mark.parametrize("way", WAYS)
def test_way_between_two_programs_is_measured(tools: Any, way: str) -> None:
    bench = tools.bench_python
    assert bench.exchange(pathlib.Path(sys.executable), way, tools.PREFIX, bench.SMOKE) > 0


def test_writes_of_pictures_are_measured(tools: Any) -> None:
    bench = tools.bench_python
    found = bench.writes(pathlib.Path(sys.executable), tools.PREFIX, bench.SMOKE)
    assert found.keys() == {"write", "begin"}


@pytest.mark.skipif(not GODOT or not shutil.which("cc"), reason="needs Godot, and cc for the partner in C")
def test_table_has_each_row(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, report = tools.bench_python, tools.bench_report
    ours = {kind: dict([next(iter(ways.items()))]) for kind, ways in bench.WAYS.items()}
    monkeypatch.setattr(bench, "WAYS", ours)
    results = tools.python_package(GODOT, pathlib.Path(sys.executable), [], bench.SMOKE)
    text = report.table({"machine": tools.machine(GODOT), "python": results})
    for row in report.PYTHON_TARGETS:
        assert f"\n{row}" in text
    assert results["queue"]["ratio"] > 0


def test_table_has_only_the_packages_that_are_there(tools: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = tools.bench_python
    monkeypatch.setattr(bench, "exchange", lambda *_: 1000)
    monkeypatch.setattr(bench, "writes", lambda *_: {})
    asked: dict[str, str] = {}

    def in_godot(variables: dict[str, str]) -> dict[str, Any]:
        asked.update(variables)
        request = {"Python": [[8, 8]], "C": [[4, 4]]}
        queue = {"Python": [600], "GDScript": [300]}
        return {"both spin": request, "both sleep": request, "queue": queue}

    found = bench.measure(in_godot, pathlib.Path(sys.executable), ["pyzmq"], tools.PREFIX, bench.SMOKE)
    assert asked["BENCH_ROUNDS"] == "1 20 20"
    assert found["beside C"]["both spin"]["ratio"] == found["queue"]["ratio"] == 2
    assert "pyzmq over ipc" in found["bytes"]
    assert "iceoryx2" not in found["bytes"]
