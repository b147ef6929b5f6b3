"""Files of tests that run two at a time, with pytest-xdist."""

import os
import signal

# Begun first, so that no worker still has one of them when the other one has nothing left.
LONG = (
    "test_older_engine.py",
    "test_zip.py",
    "test_projects.py",
    "test_dock.py",
    "test_leaks.gd",
)
# Files that never run beside each other.
GROUPS = {
    # They use the names of the demos and of the README, which are fixed. The last two also build the
    # library, each in another way, in the same folder.
    "test_demo.py": "demos",
    "test_demo_telemetry.py": "demos",
    "test_demo_video.py": "demos",
    "test_demo_water.py": "demos",
    "test_readme.py": "demos",
    "test_older_engine.py": "demos",
    "test_zip.py": "demos",
}
# A file whose tests are long and share nothing: each of them may run in another worker.
SPLIT = ("test_projects.py",)


def rank(file):
    """Returns the place of a file in the order, before those of the same rank are shuffled."""
    return 0 if file in LONG else 1


def is_from_worker(report):
    return hasattr(report, "node")


def end_with(session):
    """Lets an interrupted worker end the processes of its session: it would end without that."""

    def end(number, _frame):
        session.close()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def scheduler(config, log):
    """Returns a scheduler of pytest-xdist that gives a worker the tests of one file at a time."""
    # Not everybody who runs one test has it.
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path, _, test = nodeid.partition("::")
            file = path.rpartition("/")[2]
            return f"{file}::{test}" if file in SPLIT else GROUPS.get(file, file)

    # In our own order.
    config.option.loadscopereorder = False
    return Files(config, log)
