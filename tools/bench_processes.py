"""Processes that ./build.sh bench measures, and the memory between them."""

import contextlib
import functools
import os
import pathlib
import subprocess


def cores():
    """Returns the numbers of the processors that this process may use."""
    return sorted(os.sched_getaffinity(0))


def on(core):
    """Returns the option of a process that has this core alone."""
    return {"preexec_fn": functools.partial(os.sched_setaffinity, 0, {core})}


@contextlib.contextmanager
def memories(names, size):
    """Makes memory of zeros for the time of the block."""
    paths = [pathlib.Path("/dev/shm") / name for name in names]
    for path in paths:
        path.write_bytes(bytes(size))
    try:
        yield
    finally:
        for path in paths:
            path.unlink()


@contextlib.contextmanager
def started(*command, **options):
    """Runs a program for the time of the block."""
    command = [str(part) for part in command]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield program
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
