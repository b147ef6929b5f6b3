"""Marks for tests that can't run everywhere."""

import os
import sys

import pytest

from .session import SHARED

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

segments_are_files = pytest.mark.skipif(
    not SHARED.is_dir(), reason="segments are not files here"
)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
root_only = pytest.mark.skipif(not IS_ROOT, reason="needs a second user: run as root")
# For long tests. `./build.sh test --godot --rights` leaves them out.
same_for_every_user = pytest.mark.same_for_every_user
