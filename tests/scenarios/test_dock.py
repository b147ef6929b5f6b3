"""The panel of the editor that shows shared memory."""

import pytest
from harness.constants import OK
from harness.editor import Editor
from harness.marks import linux_only

pytestmark = [linux_only, pytest.mark.timeout(180)]


@pytest.fixture
def editor(session, cleanup):
    editor = Editor(session)
    cleanup.callback(editor.end)
    return editor


SHOWN = """
func run(memory):
	await enable()
	await until(func(): return not row_of(memory).is_empty())
	return row_of(memory)
"""


def test_list_shows_segment(editor, memory, name):
    assert memory.create(name, 4096) == OK
    row = editor.run(SHOWN, name)
    assert row == {}
