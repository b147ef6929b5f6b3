"""The examples of the documentation run, and the stubs name what there is."""

from __future__ import annotations

import ast
import doctest
import inspect
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import godot_shared_memory as gsm
import numpy
import pytest
from conftest import Program
from godot_shared_memory import _native

CLASSES = ["SharedMemory", "Stream", "Frame", "Draft", "Queue", "Peer", "Mutex"]
README = pathlib.Path(__file__).parent.parent / "README.md"
PARTNERS = pathlib.Path(__file__).parents[3] / "docs/PARTNERS.md"


def examples() -> list[doctest.DocTest]:
    finder, found = doctest.DocTestFinder(), []
    for owner in (gsm, *(getattr(gsm, name) for name in CLASSES)):
        found += finder.find(owner, getattr(owner, "__name__", ""), globs={"gsm": gsm})
    parser = doctest.DocTestParser()
    for name in CLASSES:
        for member, value in vars(getattr(gsm, name)).items():
            text = inspect.getdoc(getattr(gsm, name).__dict__[member]) if callable(value) else None
            if text and ">>>" in text:
                found.append(parser.get_doctest(text, {"gsm": gsm}, f"{name}.{member}", None, 0))
    return list({test.docstring: test for test in found if test.examples}.values())


@pytest.mark.parametrize("test", examples(), ids=lambda test: test.name)
def test_the_examples_of_docstrings_run(test: doctest.DocTest) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    printed: list[str] = []
    runner.run(test, out=printed.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(printed)


def test_each_public_method_has_a_docstring() -> None:
    for name in CLASSES:
        owner = getattr(gsm, name)
        assert owner.__doc__, name
        for member in vars(owner):
            if not member.startswith("_"):
                assert inspect.getdoc(getattr(owner, member)), f"{name}.{member}"


def code_of(path: pathlib.Path, heading: str | None = None) -> list[str]:
    text = path.read_text(encoding="utf-8")
    if heading:
        text = text.split(heading, 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("number", range(len(code_of(README))))
def test_the_examples_of_the_readme_run(number: int) -> None:
    source = code_of(README)[number]
    done = subprocess.run([sys.executable, "-c", source], timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_example_of_the_page_for_partners_runs(name: str, start: Callable[..., Program]) -> None:
    source = code_of(PARTNERS, "\n## Python\n")[0].replace('"camera"', f'"{name}"')
    with gsm.Stream.create(name, 1024) as camera:
        camera.write(numpy.zeros((2, 3, 4), numpy.uint8))
        program = start(source)
        assert program.line().startswith("(2, 3, 4) ")


def stubs() -> dict[str, set[str]]:
    """Returns the methods of each class, by the stub that is installed."""
    assert _native.__file__
    path = pathlib.Path(inspect.getfile(gsm)).parent / "_native.pyi"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


@pytest.mark.parametrize("name", CLASSES)
def test_the_stub_has_each_method(name: str) -> None:
    public = {member for member in vars(getattr(gsm, name)) if not member.startswith("_")}
    stub = {member for member in stubs()[name] if not member.startswith("_")}
    assert stub == public


def test_the_stub_has_the_same_parameters() -> None:
    path = pathlib.Path(inspect.getfile(gsm)).parent / "_native.pyi"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or node.name not in CLASSES:
            continue
        for item in node.body:
            if not isinstance(item, ast.FunctionDef) or item.name.startswith("__"):
                continue
            arguments = item.args
            stub = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
            found = inspect.signature(getattr(getattr(gsm, node.name), item.name)).parameters
            real = [parameter for parameter in found if parameter not in ("self", "cls")]
            assert [name for name in stub if name not in ("self", "cls")] == real, f"{node.name}.{item.name}"


def test_the_package_says_that_it_is_typed() -> None:
    assert (pathlib.Path(inspect.getfile(gsm)).parent / "py.typed").exists()
