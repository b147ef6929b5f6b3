"""An engine before 4.4, which has no way into the array that a Variant holds.

The library is built so that it doesn't ask for that way. The engine is the one of all tests.
"""

import shutil

import pytest
from harness import projects
from harness.gdscript import TestFile
from harness.marks import same_for_every_user
from harness.session import PROJECT, REPOSITORY

FEATURE = "without-internal-getter"
TIME_LIMIT = 300
pytestmark = pytest.mark.timeout(2 * TIME_LIMIT)


def build(session):
    """Builds the library, and returns where it is."""
    command = "cargo build --release --locked --package godot_shared_memory --features"
    code, lines = session.run(
        [*command.split(), FEATURE], TIME_LIMIT, cwd=REPOSITORY, env=None
    )
    assert code == 0, "\n".join(lines)
    return next((REPOSITORY / "target/release").glob("*godot_shared_memory.so"))


@same_for_every_user
@pytest.mark.skipif(not shutil.which("cargo"), reason="cargo is not on the PATH")
def test_gdscript_tests_pass_without_internal_getter(session):
    library = build(session)
    folder = session.folder / session.name("older")
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(".godot"))
    for installed in (folder / "addons/shared_memory/bin").glob("*.so"):
        shutil.copy(library, installed)
    projects.list_addon(folder)
    for name in ("test_read_into.gd", "test_untyped.gd", "test_hostile.gd"):
        judge = TestFile(PROJECT / name).run(session, project=folder)
        assert judge.results
        assert judge.failures() == {}
