"""Runs the tests in a real Godot: GDScript files (test_*.gd) and scenarios (scenarios/test_*.py).

Scenarios need several processes, kills, the editor or an export. The judge (harness/judge.py) reads the
output of each test: an error that is printed must be announced. Segments and processes that a file leaves
fail its last test. With pytest-xdist's option `-n 2`, files run two at a time (harness/workers.py).
"""

import contextlib
import functools
import os
import random
import shutil
import signal
import subprocess

import pytest
from harness import gdscript, screen, workers
from harness.agent import Agent
from harness.session import (
    LIVE_AGENT,
    NOBODY,
    PROJECT,
    SESSION,
    Session,
    file_of,
    kill,
)


def pytest_addoption(parser):
    group = parser.getgroup("godot", "the addon's tests")
    group.addoption(
        "--godot",
        default=os.environ.get("GODOT", "godot"),
        help="the Godot to run them in (default: $GODOT, or godot)",
    )
    group.addoption("--template", help="its release export template")
    group.addoption("--seed", type=int, help="repeats an earlier run's order and seed")
    group.addoption(
        "--filter",
        default="",
        help="runs only tests with this in FILE:TEST, as in test_open.gd:test_absent",
    )


def pytest_configure(config):
    if config.option.seed is None:
        # All workers have the order of the process that started them.
        given = getattr(config, "workerinput", {}).get("seed")
        config.option.seed = random.randrange(1_000_000) if given is None else given
    # Programs ignore SIGINT if the one that starts them does. A shell makes programs in the background do so.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header(config):
    return f"seed {config.option.seed} (--seed repeats it)"


def pytest_sessionstart(session):
    config = session.config
    if config.option.collectonly:
        return
    godot = shutil.which(config.option.godot)
    if godot is None:
        raise pytest.UsageError("no Godot: --godot names it (./build.sh godot has one)")
    godot = os.path.abspath(godot)
    config.stash[SESSION] = Session(godot, config.option.template, config.option.seed)
    config.add_cleanup(config.stash[SESSION].close)
    if hasattr(config, "workerinput"):
        workers.end_with(config.stash[SESSION])
    problem = config.stash[SESSION].problem()
    if problem:
        raise pytest.UsageError(problem)


def pytest_collect_file(file_path, parent):
    if file_path.match("test_*.gd"):
        return gdscript.Collector.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Selects by --filter, and shuffles: files, and tests within their file."""
    files = {}
    unwanted = []
    for item in items:
        is_wanted = config.option.filter in f"{item.path.name}:{item.name}"
        (files.setdefault(item.path, []) if is_wanted else unwanted).append(item)
    if unwanted:
        config.hook.pytest_deselected(items=unwanted)
    chance = random.Random(config.option.seed)
    groups = list(files.values())
    chance.shuffle(groups)
    groups.sort(key=lambda group: workers.rank(group[0].path.name))
    for group in groups:
        chance.shuffle(group)
    items[:] = [item for group in groups for item in group]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["seed"] = node.config.option.seed


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return workers.scheduler(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """Fails the last test of a file if the file left something, before the next file is blamed."""
    try:
        return (yield)
    finally:
        is_last = nextitem is None or nextitem.path != item.path
        left = item.config.stash[SESSION].leftovers() if is_last else []
        if left:
            told = [f"{item.path.name} (what it left)", *left]
            pytest.fail("\n".join(told), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if isinstance(item, gdscript.Item) and call.when == "call":
        # Its call only looks up the result: the tests ran when the first was set up.
        report.duration = item.result().seconds
    if report.failed and report.user_properties:
        report.sections.append(("notes", "\n".join(notes_of(report))))
    return report


def pytest_report_teststatus(report):
    """Shows the time and the notes of a test that passes."""
    if report.when != "call" or not report.passed:
        return None
    told = f"PASSED ({report.duration:.2f} s)"
    if not workers.is_from_worker(report):
        told = "\n    ".join([told, *notes_of(report)])
    return "passed", ".", told


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    """Shows the notes of a worker's test below its name, which pytest-xdist prints last."""
    if report.when == "call" and report.passed and workers.is_from_worker(report):
        for note in notes_of(report):
            print(f"\n    {note}", end="", flush=True)


def notes_of(report):
    return [str(value) for key, value in report.user_properties if key == "note"]


@pytest.fixture(scope="session")
def session(pytestconfig):
    """Returns the run: its Godot, its processes, its temporary folder, its names."""
    return pytestconfig.stash[SESSION]


@pytest.fixture
def unique_name(session):
    """Makes a name that no other test uses."""
    return session.name


@pytest.fixture
def name(session):
    return session.name()


@pytest.fixture
def note(record_property):
    """Shows a text beside the test's result, such as a seed."""
    return functools.partial(record_property, "note")


@pytest.fixture
def cleanup():
    """Yields a stack of calls for the end of the test, last in, first out."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def make_foreign(cleanup):
    """Makes a segment as any other program would, for the length of the test."""

    def make(name, content=b""):
        path = file_of(name)
        cleanup.callback(path.unlink, missing_ok=True)
        path.write_bytes(content)
        return path

    return make


@pytest.fixture
def start_agent(session, cleanup):
    """Starts a Godot that obeys the test. At the end of the test it must end well, unless it was killed."""

    def start(**options):
        agent = Agent(session, **options)
        cleanup.callback(agent.end_if_alive)
        return agent

    return start


@pytest.fixture
def agent(start_agent):
    return start_agent()


@pytest.fixture
def memory(agent):
    """Returns a SharedMemory in a Godot of its own."""
    return agent.memory()


@pytest.fixture
def start_display(session, cleanup):
    """Starts a screen without a monitor; returns its name."""

    def start(size):
        if not shutil.which("Xvfb"):
            pytest.skip("no Xvfb, so no window")
        options = ["-displayfd", "1", "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
        server = session.start(["Xvfb", *options], stdout=subprocess.PIPE, text=True)
        cleanup.callback(server.stdout.close)
        cleanup.callback(kill, server)
        # It also names the displays that others have.
        lines = (line.strip() for line in server.stdout)
        number = next((line for line in lines if line.isdigit()), None)
        assert number, "Xvfb doesn't start"
        return f":{number}"

    return start


@pytest.fixture
def display(start_display):
    return start_display("640x480")


@pytest.fixture(scope="session")
def renderers(session):
    return screen.Renderers(session)


@pytest.fixture
def start_window(start_agent, display, renderers):
    """Starts a Godot with a window, whose frames go on, in a renderer: opengl3 or vulkan."""

    def start(renderer, *options):
        problem = renderers.problem(renderer, display)
        if problem:
            pytest.skip(problem)
        return start_agent(
            command=[*renderers.command(renderer), *options],
            script=LIVE_AGENT,
            env=renderers.environment(display),
            allowed=screen.WARNINGS,
        )

    return start


@pytest.fixture
def start_stranger(session, start_agent):
    """Starts a Godot of another user."""

    def start():
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        environment = session.environment(NOBODY)
        needed = PROJECT / "project.godot", "-a", "-x", session.godot
        code, _ = session.run(["test", "-r", *needed], 10, env=environment, **user)
        if code != 0:
            pytest.skip("another user may not read this folder")
        return start_agent(env=environment, **user)

    return start


@pytest.fixture
def stranger(start_stranger):
    """Returns a SharedMemory in a Godot of another user."""
    return start_stranger().memory()
