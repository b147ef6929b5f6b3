"""Limits of a process that runs, as if it had been started with them."""

import pathlib

import pytest

try:
    import resource
except ImportError:
    resource = None

needs_limits = pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="needs Linux"
)


def limit(agent, what, value):
    """Sets a soft limit of an agent; returns the one before."""
    before, hard = resource.prlimit(agent.pid, what)
    resource.prlimit(agent.pid, what, (value, hard))
    return before


def leave_address_space(agent, size):
    """Lets an agent have this many bytes more than it has; returns the limit before."""
    status = pathlib.Path(f"/proc/{agent.pid}/status").read_text(encoding="utf-8")
    lines = [line.split() for line in status.splitlines()]
    used = next(int(line[1]) * 1024 for line in lines if line[0] == "VmSize:")
    return limit(agent, resource.RLIMIT_AS, used + size)
