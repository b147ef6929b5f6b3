"""The panel of the editor that shows shared memory, in a real editor."""

import os
import random
import re
import shutil
import subprocess
import sys

import pytest
from harness import projects
from harness.constants import OK
from harness.demos import PACKAGE, needs_package
from harness.editor import Editor
from harness.marks import linux_only, root_only, same_for_every_user
from harness.session import (
    LIVE_AGENT,
    NOBODY,
    PROJECT,
    REPOSITORY,
    file_of,
    kill,
    wait_until,
)

pytestmark = [linux_only, same_for_every_user, pytest.mark.timeout(300)]

EXTENSION = "res://addons/shared_memory/shared_memory.gdextension"
GOLDEN = sorted((PROJECT / "golden").glob("*.hex"))


@pytest.fixture(scope="module")
def runtime_folder(session):
    """Returns the folder in which programs find memory without a name."""
    folder = session.folder / session.name("runtime")
    folder.mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(folder)}


@pytest.fixture(scope="module")
def shared_editor(session, runtime_folder):
    """Returns an editor with the panel open. To start one takes as long as a test."""
    editor = Editor(session, environment=runtime_folder)
    if not editor.run("func run():\n\tawait enable()\n\treturn panel() != null"):
        pytest.fail(editor.printed())
    yield editor
    editor.end()


@pytest.fixture
def editor(shared_editor):
    yield shared_editor
    assert shared_editor.new_errors() == [], shared_editor.printed()


# --- The list ------------------------------------------------------------------------------------------

ROW = """
func run(memory, column, value):
	await show_panel()
	await until(func(): return row_of(memory).get(column) == value)
	return row_of(memory)
"""
GONE = """
func run(memory):
	return await until(func(): return row_of(memory).is_empty())
"""
WIDEN = """
func run():
	panel()._list.custom_minimum_size.x = 800
	await frames(3)
"""


def test_list_shows_segments_and_their_end(editor, start_agent, memory, name, cleanup):
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    editor.run(WIDEN)
    assert memory.create(name, 4096) == OK
    row = editor.run(ROW, name, "Owner", "process, alive")
    expected = {"Name": name, "Size": "4.0 KiB", "Owner": "process, alive"}
    expected |= {"Layout": "", "Msg/s": "", "Newest": "", "Scope": "user"}
    assert row == expected
    memory.close()
    assert editor.run(GONE, name)
    owner = start_agent()
    assert owner.memory().create(name, 64, 1) == OK
    row = editor.run(ROW, name, "Owner", "process, alive")
    assert row["Scope"] == "all users"
    owner.kill()
    assert editor.run(ROW, name, "Owner", "dead")["Size"] == "64 B"


def test_list_shows_segments_of_other_programs(editor, make_foreign, name):
    make_foreign(name, b"x" * 10)
    assert editor.run(ROW, name, "Owner", "unknown")["Size"] == "10 B"


@root_only
def test_list_shows_segments_of_other_users(editor, make_foreign, name):
    path = make_foreign(name, b"x" * 10)
    os.chown(path, NOBODY, NOBODY)
    assert editor.run(ROW, name, "Owner", "other user")["Size"] == "10 B"


WRITE = """
static var stream
func run(name, count):
	if stream == null:
		stream = SharedMemoryStream.new()
		stream.create(name, 1000)
	var code = OK
	for n in count:
		code = stream.write({"n": n, "text": "ten \u202e words"})
	return code
"""
MESSAGES = """
func run(memory):
	await show_panel()
	await until(func(): return int(row_of(memory).get("Msg/s", "")) > 0)
	return row_of(memory)
"""


def test_list_shows_messages_of_a_stream(editor, memory, agent, name, cleanup):
    editor.run(WIDEN)
    cleanup.callback(file_of(name).unlink, missing_ok=True)
    source = FOREVER.replace("NAME", name)
    stop = editor.orders / f"{name}.stop"
    cleanup.callback(stop.touch)
    agent.send("run", source, [str(stop)])
    row = editor.run(MESSAGES, name)
    stop.touch()
    assert agent.receive() == OK
    assert row["Layout"] == "stream"
    assert row["Newest"].endswith(" ms")
    assert int(row["Msg/s"]) > 10


BACKENDS = """
func run(sysv, memfd):
	await show_panel()
	var table = panel()._list._table
	await until(func(): return table.item_of(sysv) != null and table.item_of(memfd) != null)
	var facts = []
	for key in [sysv, memfd]:
		table.select_key(key)
		await frames(2)
		var view = await tab("Bytes")
		await until(func(): return not view._hex.bytes_at_cursor().is_empty())
		facts.append([view._hex.bytes_at_cursor()[0], panel()._view._facts.text])
	return facts
"""


def test_list_shows_memory_of_other_backends(
    editor, session, start_agent, name, runtime_folder
):
    agent = start_agent(env={**session.environment(), **runtime_folder})
    sysv, memfd = agent.memory(), agent.memory()
    sysv.set_backend(2)
    memfd.set_backend(3)
    assert sysv.create(name, 64) == OK
    assert memfd.create(name, 64) == OK
    sysv.fill(7)
    memfd.fill(8)
    keys = f"2 {sysv.get_native_name()}", f"3 {name}"
    facts = editor.run(BACKENDS, *keys)
    assert [byte for byte, _facts in facts] == [7, 8]
    assert f"owner: unknown; open in process {agent.pid}" in facts[0][1]
    assert f"owner: process {agent.pid}, alive" in facts[1][1]
    sysv.close()
    memfd.close()


HIDDEN = """
func run():
	await show_panel()
	var visible = panel().is_processing()
	plugin.hide_bottom_panel()
	await frames(3)
	var hidden = panel().is_processing()
	await show_panel()
	return [visible, hidden]
"""


def test_hidden_panel_asks_nothing(editor):
    assert editor.run(HIDDEN) == [True, False]


FOREVER = """
func run(stop):
	var stream := SharedMemoryStream.new()
	var code = stream.create("NAME", 1000)
	while not FileAccess.file_exists(stop):
		code = stream.write({"text": "hello"})
		OS.delay_msec(5)
	stream.close()
	return code
"""

SORT = """
func run(prefix, column, times):
	await show_panel()
	var list = panel()._list
	list._filter.text = prefix
	list.refresh()
	for click in times:
		list._table.column_title_clicked.emit(column, 1)
	await frames(2)
	var names = rows(list._table).map(func(row): return row[0])
	list._sort_column = 0
	list._is_descending = false
	list._filter.text = ""
	return names
"""


def test_list_is_sorted_by_a_column(editor, make_foreign, name):
    for suffix, size in ("n10", 5), ("n9", 50), ("N1", 500):
        make_foreign(name + suffix, b"x" * size)
    assert editor.run(WATCH, name + "n2") == -1
    absent = name + "n2"
    first, ninth, tenth = name + "N1", name + "n9", name + "n10"
    assert editor.run(SORT, name, 1, 1) == [absent, tenth, ninth, first]
    assert editor.run(SORT, name, 1, 2) == [first, ninth, tenth, absent]
    for column in range(2, 7):
        assert sorted(editor.run(SORT, name, column, 1)) == sorted(
            [first, absent, ninth, tenth]
        )
    assert editor.run(SORT, name, 0, 0) == [first, absent, ninth, tenth]
    assert editor.run(STOP_WATCHING, absent)


POINT = """
func run(prefix, column):
	await show_panel()
	var list = panel()._list
	list._filter.text = prefix
	list._filter.text_changed.emit(prefix)
	if column >= 0:
		list._table.column_title_clicked.emit(column, 1)
	await frames(2)
	list._table.mouse_entered.emit()
	return rows(list._table).map(func(row): return row[0])
"""
ORDER = """
func run(name, is_there):
	var table = panel()._list._table
	await until(func(): return is_there == not panel()._list.segment_of("0 " + name).is_empty())
	panel()._list.refresh()
	return rows(table).map(func(row): return [row[0], row[1]])
"""
LEAVE = """
func run():
	var list = panel()._list
	list._table.mouse_exited.emit()
	list.refresh()
	var names = rows(list._table).map(func(row): return row[0])
	list._sort_column = 0
	list._is_descending = false
	list._filter.text = ""
	list._filter.text_changed.emit("")
	return names
"""


def test_rows_stay_in_place_under_the_mouse(editor, make_foreign, name):
    for suffix in "b", "d", "f":
        make_foreign(name + suffix, b"x")
    b, d, f = (name + suffix for suffix in "bdf")
    wait_until(lambda: editor.run(POINT, name, -1) == [b, d, f])
    path = make_foreign(name + "c", b"x")
    shown = editor.run(ORDER, name + "c", True)
    assert shown == [[b, "1 B"], [d, "1 B"], [f, "1 B"], [name + "c", "1 B"]]
    file_of(d).unlink()
    shown = editor.run(ORDER, d, False)
    assert shown == [[b, "1 B"], [d, "gone"], [f, "1 B"], [name + "c", "1 B"]]
    make_foreign(d, b"xx")
    assert editor.run(ORDER, d, True)[1] == [d, "2 B"]
    path.unlink()
    assert editor.run(ORDER, name + "c", False)[3] == [name + "c", "gone"]
    # A word in the filter is obeyed at once.
    assert editor.run(POINT, name, -1) == [b, d, f]
    make_foreign(name + "e", b"x")
    assert editor.run(ORDER, name + "e", True)[3] == [name + "e", "1 B"]
    assert editor.run(LEAVE) == [b, d, name + "e", f]


AGES = """
func run(names):
	await show_panel()
	var ages = names.map(func(name): return row_of(name).get("Newest", ""))
	return not ages.has("")
"""
WRITE_TO = """
func run(number):
	return Engine.get_meta("kept")[number].write("again")
"""


def test_rows_are_sorted_by_age_only_at_a_click(editor, agent, name):
    editor.run(WIDEN)
    first, second = name + "a", name + "b"
    for each in first, second:
        assert agent.run(MAKE, "SharedMemoryStream", each, "hello", 1) == [OK, OK]
    wait_until(lambda: editor.run(AGES, [first, second]))
    newest = [second, first]
    assert editor.run(POINT, name, 5) == newest
    assert agent.run(WRITE_TO, 0) == OK
    assert [row[0] for row in editor.run(ORDER, first, True)] == newest
    assert editor.run(LEAVE) == newest
    assert editor.run(POINT, name, 5) == [first, second]
    editor.run(LEAVE)
    agent.run(END)


# --- A dead leftover -----------------------------------------------------------------------------------

ASK = """
func run(memory):
	await show_panel()
	await select(memory)
	await until(func(): return not panel()._view._is_there or panel()._view._segment["name"] == memory)
	await until(func(): return panel()._list.selected().get("owner_state", 0) == OWNER)
	var button = panel()._view._remove
	if not button.visible:
		return [false, ""]
	button.pressed.emit()
	await frames(2)
	var question = panel()._actions._question
	return [question.visible, question.dialog_text]
"""
CONFIRM = """
func run():
	var actions = panel()._actions
	actions._question.get_ok_button().pressed.emit()
	await frames(3)
	var complaint = actions._complaint
	var told = complaint.dialog_text if complaint.visible else ""
	complaint.hide()
	return told
"""


def ask(editor, name, state):
    return editor.run(ASK.replace("OWNER", str(state)), name)


def test_leftover_is_removed_after_a_question(editor, start_agent, memory, name):
    owner = start_agent()
    assert owner.memory().create(name, 64) == OK
    assert memory.open(name) == OK
    assert ask(editor, name, 1) == [False, ""], "its owner lives"
    owner.kill()
    asked, text = ask(editor, name, 2)
    assert asked
    assert name in text
    assert "The program that made it has ended" in text
    assert f"open in process {memory.get_users(name)[0]}" in text
    assert file_of(name).exists()
    assert editor.run(CONFIRM) == ""
    assert not file_of(name).exists()
    assert editor.run(GONE, name)
    assert memory.get_size() == 64, "its users keep it"


def test_restarted_owner_keeps_its_memory(editor, start_agent, memory, name):
    owner = start_agent()
    assert owner.memory().create(name, 64) == OK
    owner.kill()
    assert ask(editor, name, 2)[0]
    assert memory.create(name, 64) == OK
    assert "its owner is running again" in editor.run(CONFIRM)
    assert file_of(name).exists()


def test_memory_of_other_programs_is_not_removed(editor, make_foreign, name):
    make_foreign(name, b"x")
    assert ask(editor, name, 0) == [False, ""]


# --- Bytes, text and numbers ---------------------------------------------------------------------------

NUMBERS = """
func run(memory, format, offset):
	await show_panel()
	await select(memory)
	var view = await tab("Numbers")
	view._offset.text = offset
	view._offset.text_changed.emit(offset)
	view._format.text = format
	view._format.text_changed.emit(format)
	await frames(2)
	await until(func(): return view._note.visible or not view._extent.text.is_empty())
	return [rows(view._table), view._note.text, view._extent.text]
"""


def test_numbers_are_read_by_a_format(editor, memory, name):
    assert memory.create(name, 40) == OK
    memory.pack("<I3f8s", [7, 0.5, 1.0, 2.0, "Ana"], 4)
    shown = editor.run(NUMBERS, name, "<I3f8s", "4")
    expected = [["[0]", "7"], ["[1]", "0.5"], ["[2]", "1.0"], ["[3]", "2.0"]]
    assert shown == [[*expected, ["[4]", '"Ana"']], "", "24 of 36 bytes"]
    named = editor.run(
        NUMBERS, name, "<I:frame: 3f:at: T{2s:first: x 1s:last:}:by:", "0x4"
    )
    rows = dict(named[0])
    assert rows["frame"] == "7"
    assert rows["at[2]"] == "2.0"
    assert rows["by.first"] == '"An"'
    memory.pack("<I", [8], 4)
    assert editor.run(NUMBERS, name, "<I", "4")[0] == [["[0]", "8"]]


@pytest.mark.parametrize(
    ("format_", "offset", "problem"),
    [
        ("", "", "Type the format"),
        ("<I3y", "", "y"),
        ("T{", "", "the group at 0 has no"),
        ("1000000000000000000d", "", ""),
        ("d", "33", "takes 8 bytes, but the segment has only 7"),
        ("d", "1000000000000", "has only 0"),
        ("99999999d", "", "takes 799999992 bytes. This panel shows up to 1048576"),
        ("9999d", "", "takes 79992 bytes, but the segment has only 40"),
        ("\udfff", "", ""),
    ],
)
def test_wrong_format_is_told_and_not_printed(
    editor, memory, name, format_, offset, problem
):
    assert memory.create(name, 40) == OK
    if format_ == "\udfff":
        format_ = "\u0000\u202e"
    rows, note, extent = editor.run(NUMBERS, name, format_, offset)
    assert (rows, extent) == ([], "")
    assert problem in note
    assert note != ""
    assert editor.run(IN_OUTPUT, "unpack") == [], "also not in the panel Output"


IN_OUTPUT = """
func run(text):
	var found := []
	for label in EditorInterface.get_base_control().find_children("*", "RichTextLabel", true, false):
		if label.get_parsed_text().contains("%s()" % text):
			found.append(label.get_parsed_text().right(300))
	return found
"""

REMEMBERED = """
func run(memory, other):
	await show_panel()
	await select(other)
	var view = await tab("Numbers")
	view._format.text = "<Q"
	view._format.text_changed.emit("<Q")
	await select(memory)
	return [panel()._view._tabs.get_current_tab_control().name, view._format.text, view._offset.offset]
"""


def test_format_is_remembered_for_each_segment(
    editor, memory, make_foreign, unique_name
):
    first, second = unique_name(), unique_name()
    assert memory.create(first, 40) == OK
    make_foreign(second, b"x" * 20)
    editor.run(NUMBERS, first, "<3B", "2")
    assert editor.run(REMEMBERED, first, second) == ["Numbers", "<3B", 2]


BYTES = """
func run(memory, offset):
	await show_panel()
	await select(memory)
	var view = await tab("Bytes")
	view._hex.go_to(offset)
	await frames(2)
	await until(func(): return not view._hex.bytes_at_cursor().is_empty())
	var hex = view._hex
	var values = [view._place.text, view._numbers["u8"].text, view._numbers["u16"].text]
	return [hex.bytes_at_cursor()[0], hex._changed.keys(), values, hex._bytes.size()]
"""
CHANGES = """
func run(offset):
	var hex = panel()._view._tabs.get_current_tab_control()._hex
	await until(func(): return hex._changed.has(offset))
	return [hex._changed.keys(), hex.bytes_at_cursor()[0]]
"""


def test_changed_bytes_are_marked(editor, memory, name):
    assert memory.create(name, 1 << 30) == OK
    assert memory.encode_u8(20, 7) == OK
    byte, changed, values, shown = editor.run(BYTES, name, 20)
    assert (byte, changed) == (7, [])
    assert values == ["byte 20 (0x14)", "u8 7", "u16 7"]
    assert shown < 10_000, "only what is visible is read"
    memory.encode_u8(20, 8)
    assert editor.run(CHANGES, 20) == [[20], 8]
    last = (1 << 30) - 1
    memory.encode_u8(last, 255)
    assert editor.run(BYTES, name, last)[0] == 255


TEXT = """
func run(memory, encoding, offset):
	await show_panel()
	await select(memory)
	var view = await tab("Text")
	view._encoding.select(encoding)
	view._encoding.item_selected.emit(encoding)
	view._offset.text = offset
	view._offset.text_changed.emit(offset)
	await frames(2)
	await until(func(): return not view._text.text.is_empty())
	return view._text.text
"""


def test_text_is_read_in_an_encoding(editor, memory, name):
    assert memory.create(name, 64) == OK
    memory.write_string("grüße\n2", 3)
    assert editor.run(TEXT, name, 0, "3") == "grüße\n2"
    memory.write_string("grüße", 4, 2)
    assert editor.run(TEXT, name, 2, "4") == "grüße"


# --- Messages and images -------------------------------------------------------------------------------

MESSAGE = """
func run(memory):
	await show_panel()
	await select(memory)
	var view = await tab("Message")
	await until(func(): return not view._note.text.is_empty())
	var picture = view._picture.texture if view._picture.visible else null
	var area = [] if picture == null else [picture.get_width(), picture.get_height()]
	return [view._note.text, rows(view._table) if view._table.visible else [], area]
"""
# Keeps its objects until it is called again.
MAKE = """
class Keeper:
	static var objects = []
func run(kind, name, value, readers):
	var object = ClassDB.instantiate(kind)
	Engine.set_meta("kept", Engine.get_meta("kept", []) + [object])
	if value is Array and value.size() == 1 and value[0] is String and value[0] == "image":
		value = Image.create_empty(5, 3, false, Image.FORMAT_RGB8)
	if kind == "SharedMemoryStream":
		return [object.create(name, 4096, readers), object.write(value)]
	return [object.create(name, 4096), object.enqueue(value)]
"""
END = """
func run():
	var result = Engine.get_meta("kept", []).map(func(object): return object.reset())
	Engine.get_meta("kept", []).map(func(object): object.close())
	Engine.remove_meta("kept")
	return result
"""


def message_of(editor, name, layout="stream"):
    """Returns what the tab Message shows, once the list has seen the layout."""
    editor.run(WIDEN)
    assert editor.run(ROW, name, "Layout", layout)["Layout"] == layout
    return editor.run(MESSAGE, name)


def test_newest_message_is_shown(editor, agent, name):
    value = {"frame": 3, "list": [1, {"text": "hi"}], "none": []}
    assert agent.run(MAKE, "SharedMemoryStream", name, value, 2) == [OK, OK]
    note, rows, _picture = message_of(editor, name)
    assert note == "The newest message: Dictionary"
    expected = [["frame", "3"], ["list[0]", "1"], ["list[1].text", '"hi"']]
    assert rows == [*expected, ["none", "0 elements"]]
    agent.run(END)


IMAGE = """
func run(memory):
	await show_panel()
	await select(memory)
	var view = await tab("Image")
	await until(func(): return not view._note.text.is_empty())
	await frames(5)
	var image = view._picture.texture
	var area = [] if image == null else [image.get_width(), image.get_height()]
	return [view._note.text, area, view._settings.visible]
"""


def test_image_is_shown(editor, agent, name):
    made = agent.run(MAKE, "SharedMemoryStream", name, ["image"], 2)
    assert made == [OK, OK]
    assert message_of(editor, name) == ["Image of 5 × 3, RGB8, 45 bytes", [], [5, 3]]
    assert editor.run(IMAGE, name) == ["Image of 5 × 3, RGB8, 45 bytes", [5, 3], False]
    agent.run(END)


def test_next_image_of_a_queue_is_shown(editor, agent, name):
    made = agent.run(MAKE, "SharedMemoryQueue", name, ["image"], 0)
    assert made == [OK, OK]
    assert editor.run(ROW, name, "Layout", "queue")["Layout"] == "queue"
    assert editor.run(IMAGE, name) == ["Image of 5 × 3, RGB8, 45 bytes", [5, 3], False]
    agent.run(END)


@pytest.mark.parametrize(
    ("kind", "layout", "which"),
    [
        ("SharedMemoryStream", "stream", "The newest message"),
        ("SharedMemoryQueue", "queue", "The next message of the queue"),
    ],
)
def test_message_without_an_image_is_told(editor, agent, name, kind, layout, which):
    assert agent.run(MAKE, kind, name, {"frame": 3}, 2) == [OK, OK]
    assert editor.run(ROW, name, "Layout", layout)["Layout"] == layout
    note = f"{which} is not an image. It is of type Dictionary: see the tab Message."
    assert editor.run(IMAGE, name) == [note, [], False]
    agent.run(END)


def test_stream_without_a_message_is_told(editor, agent, name):
    make = """
func run(name):
	var stream := SharedMemoryStream.new()
	Engine.set_meta("kept", [stream])
	return stream.create(name, 4096)
"""
    assert agent.run(make, name) == OK
    assert editor.run(ROW, name, "Layout", "stream")["Layout"] == "stream"
    assert editor.run(IMAGE, name) == ["There is no message.", [], False]
    agent.run(END)


LARGE = """
func run(name, bytes):
	var stream := SharedMemoryStream.new()
	Engine.set_meta("kept", [stream])
	if stream.create(name, 1 << 26, 0) != OK:
		return FAILED
	var large := PackedByteArray()
	large.resize(bytes)
	return stream.write(large if bytes > 1 << 25 else range(100_000))
"""


@pytest.mark.parametrize("size", [100_000, 40 << 20])
def test_large_message_is_shown_in_part(editor, agent, name, size):
    assert agent.run(LARGE, name, size) == OK
    note, rows, _picture = message_of(editor, name)
    if size > 1 << 25:
        told = "It takes 40.0 MiB. This panel decodes at most 8.0 MiB."
        assert (note, rows) == (told, [])
    else:
        assert len(rows) == 1001, note
        assert rows[999:] == [["[999]", "999"], ["…", "There are more values."]]
    agent.run(END)


def test_message_stays_in_its_queue(editor, agent, start_agent, name):
    assert agent.run(MAKE, "SharedMemoryQueue", name, "hello", 0) == [OK, OK]
    note, rows, _picture = message_of(editor, name, "queue")
    assert note == "The next message, which stays in the queue: String"
    assert rows == [["", '"hello"']]
    assert start_agent().run(TAKE, name) == ["hello", None]
    agent.run(END)


TAKE = """
func run(name):
	var queue := SharedMemoryQueue.new()
	queue.open(name)
	return [queue.dequeue(), queue.dequeue()]
"""

RAW = """
func run(memory, width, height, offset):
	await show_panel()
	await select(memory)
	var view = await tab("Image")
	view._width.value = width
	view._height.value = height
	view._format.select(2)
	view._format.item_selected.emit(2)
	view._offset.text = offset
	view._offset.text_changed.emit(offset)
	await frames(2)
	var note = func(): return view._note.text + view._bytes_note.text
	await until(func(): return not note.call().is_empty())
	await frames(5)
	var image = null if view._picture.texture == null else view._picture._frames
	return [note.call(), [] if image == null else [image.get_width(), image.get_height()]]
"""


def test_bytes_are_shown_as_an_image(editor, memory, name):
    assert memory.create(name, 16 * 9 * 3 + 2) == OK
    assert editor.run(RAW, name, 16, 9, "2") == ["432 of 432 bytes", [16, 9]]
    note, area = editor.run(RAW, name, 17, 9, "2")
    assert "takes 459 bytes, but the segment has only 432 from byte 2 on" in note
    assert area == []
    assert editor.run(RAW, name, 16384, 16384, "0")[1] == []


# --- A running program never notices -------------------------------------------------------------------

EVERY_TAB = """
func run(memory):
	await show_panel()
	await select(memory)
	for name in ["Bytes", "Text", "Numbers", "Image", "Message"]:
		var view = await tab(name)
		if name == "Numbers":
			view._format.text = "<16B"
			view._format.text_changed.emit("<16B")
		var end = Time.get_ticks_msec() + 400
		while Time.get_ticks_msec() < end:
			await frames(1)
	var file = FileAccess.open("/proc/self/maps", FileAccess.READ)
	var maps = file.get_buffer(1 << 22).get_string_from_ascii()
	return [maps.contains(memory), panel()._view._title.text]
"""
ROLES = """
func run(kind, name):
	var object = ClassDB.instantiate(kind)
	object.open(name)
	if kind == "SharedMemoryStream":
		return [object.read(), object.wait(0)]
	return [object.dequeue(), object.enqueue("mine")]
"""


@pytest.mark.parametrize("kind", ["SharedMemoryStream", "SharedMemoryQueue"])
def test_program_never_notices_the_panel(editor, agent, start_agent, name, kind):
    # One place for a reader, and one for a consumer: the panel must not take it.
    assert agent.run(MAKE, kind, name, "hello", 1) == [OK, OK]
    path = file_of(name)
    before, times = path.read_bytes(), os.stat(path)
    assert editor.run(EVERY_TAB, name) == [False, name]
    after = os.stat(path)
    assert path.read_bytes() == before, "no byte has changed"
    assert (after.st_mtime_ns, after.st_mode) == (times.st_mtime_ns, times.st_mode)
    other = start_agent()
    assert other.run(ROLES, kind, name)[0] == "hello", "the role is free"
    other.end_if_alive()
    assert agent.run(END) == [OK], "reset() needs each role to be free"
    assert not path.exists()


def test_memory_of_a_read_only_file_is_shown(editor, make_foreign, name):
    path = make_foreign(name, bytes(range(64)))
    path.chmod(0o400)
    assert editor.run(EVERY_TAB, name) == [False, name]
    assert path.read_bytes() == bytes(range(64))


# --- Hostile programs ----------------------------------------------------------------------------------

VANISHED = """
func run(memory):
	await until(func(): return not panel()._view._is_there)
	return [panel()._view._facts.text.contains("gone"), panel()._view._title.text]
"""
BACK = """
func run(memory):
	return await until(func(): return panel()._view._is_there)
"""


def test_segment_vanishes_and_comes_back(editor, make_foreign, name):
    path = make_foreign(name, b"x" * 100)
    assert editor.run(BYTES, name, 5)[0] == ord("x")
    path.unlink()
    assert editor.run(VANISHED, name) == [True, name]
    make_foreign(name, b"y" * 20)
    assert editor.run(BACK, name)
    wait_until(lambda: editor.run(BYTES, name, 5)[0] == ord("y"))


def test_segment_shrinks_while_it_is_shown(editor, make_foreign, name):
    path = make_foreign(name, b"x" * 100_000)
    assert editor.run(BYTES, name, 90_000)[0] == ord("x")
    for size in 5000, 0, 10, 70_000:
        os.truncate(path, size)
        assert editor.run(EVERY_TAB, name)[1] == name


def test_names_of_any_characters_are_shown(editor, make_foreign, name):
    hostile = [
        name + "\n\t\x1b[31m\x7f",
        name + "\u202efdp.exe\u2066",
        name + "[b]bold[url]%s%n{0}",
        name + "'\"; rm -rf ~ #",
        name + "é\u0301ü漢\U0001f600",
        (name + "x" * 255)[:255],
    ]
    for text in hostile:
        make_foreign(text, b"12345678")
    file_of(name + "z").with_name(name + "z")
    raw = os.fsencode(str(file_of(name))) + b"\xff\xfe"
    with open(raw, "wb") as file:
        file.write(b"x")
    try:
        for text in hostile:
            assert editor.run(EVERY_TAB, text)[0] is False
            shown = editor.run("func run(): return panel()._view._title.text")
            assert shown.isprintable(), shown
            assert shown.startswith(name)
    finally:
        os.unlink(raw)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.stem)
def test_golden_memory_is_shown(editor, make_foreign, name, golden):
    make_foreign(name, content_of(golden))
    note, _rows, _picture = editor.run(MESSAGE, name)
    assert note


def content_of(golden):
    content = bytearray()
    for line in golden.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if word == "size":
            content = bytearray(int(rest))
        elif word and word[0] != "#":
            part = bytes.fromhex(rest)
            content[int(word, 16) : int(word, 16) + len(part)] = part
    return bytes(content)


def test_changed_memory_is_shown(editor, make_foreign, name, session, note):
    chance = random.Random(session.seed)
    note(f"seed {session.seed}")
    for _ in range(8):
        golden = chance.choice(GOLDEN)
        content = bytearray(content_of(golden))
        for _ in range(chance.randrange(1, 30)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path = make_foreign(name, bytes(content))
        assert editor.run(EVERY_TAB, name)[1] == name
        path.unlink()
        editor.run(VANISHED, name)


MANY = """
func run(prefix, count):
	await show_panel()
	var table = panel()._list._table
	panel()._list._filter.text = prefix
	var all = await until(func(): return table._keys.size() == count)
	table.select_key(table._keys[-1])
	var selected = table.selected_key()
	var begin = Time.get_ticks_usec()
	panel()._list.refresh()
	var refresh = Time.get_ticks_usec() - begin
	var longest = 0
	for frame in 60:
		var start = Time.get_ticks_usec()
		await frames(1)
		longest = maxi(longest, Time.get_ticks_usec() - start)
	var kept = table.selected_key() == selected
	panel()._list._filter.text = ""
	panel()._list_pace.hurry()
	return [all, kept, refresh, longest, panel()._list._summary.text]
"""


def test_thousand_segments_are_listed(editor, make_foreign, name, note):
    for number in range(1000):
        make_foreign(f"{name}n{number}", b"x" * 64)
    every, kept, refresh, longest, summary = editor.run(MANY, f"{name}n", 1000)
    assert every
    assert kept
    assert summary.startswith("1000 "), summary
    note(
        f"a refresh took {refresh / 1000:.0f} ms, the longest of 60 frames {longest / 1000:.0f} ms"
    )


# --- The lines to copy ---------------------------------------------------------------------------------

LINES = """
func run(name):
	var lines = load("res://addons/shared_memory/dock/opening_lines.gd")
	await show_panel()
	await select(name)
	var segment = panel()._list.segment_of("0 " + name)
	return [lines.of("GDScript", segment), lines.of("Python", segment), lines.of("C", segment)]
"""
C_PROGRAM = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
int main(void) {
    %s
    char *memory = mmap(NULL, 5, PROT_READ, MAP_SHARED, file, 0);
    fwrite(memory, 1, 5, stdout);
    return 0;
}
"""


@pytest.mark.parametrize("suffix", ["", ' "quoted" \\n ü %s ??=', "\n\x1b\u202e"])
def test_copied_lines_open_the_segment(
    editor, agent, make_foreign, name, suffix, tmp_path
):
    name += suffix
    make_foreign(name, b"hello")
    gdscript, python, c = editor.run(LINES, name)
    source = (
        f"func run():\n\t{gdscript}\n\treturn memory.read().get_string_from_ascii()"
    )
    assert agent.run(source) == "hello"
    told = subprocess.run(
        [sys.executable, "-c", f"{python}; print(memory[:].decode())"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert told.stdout == "hello\n", told.stderr
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    (tmp_path / "open.c").write_text(C_PROGRAM % c, encoding="utf-8")
    program = tmp_path / "open"
    command = ["cc", "-Wall", tmp_path / "open.c", "-o", program, "-lrt"]
    subprocess.run(command, check=True, timeout=60)
    told = subprocess.run([program], capture_output=True, text=True, timeout=30)
    assert told.stdout == "hello"


@pytest.mark.parametrize(
    ("kind", "line", "python", "read"),
    [
        (
            "SharedMemoryStream",
            "var stream := SharedMemoryStream.new(); stream.open(",
            "stream = gsm.Stream.open(",
            "stream.read()",
        ),
        (
            "SharedMemoryQueue",
            "var queue := SharedMemoryQueue.new(); queue.open(",
            "queue = gsm.Queue.open(",
            "queue.dequeue()",
        ),
    ],
)
def test_copied_line_of_messages(editor, agent, name, kind, line, python, read):
    name += ' "ü"'
    assert agent.run(MAKE, kind, name, "hello", 1) == [OK, OK]
    start = f"{line}{quoted(name)})"
    wait_until(lambda: editor.run(LINES, name)[0] == start)
    copied = editor.run(LINES, name)[1]
    assert copied == f"import godot_shared_memory as gsm; {python}{quoted(name)})"
    if PACKAGE:
        assert run_copied(f"{copied}; print({read})") == "hello"
    agent.run(END)


@needs_package
def test_copied_line_of_a_peer_talks_to_it(editor, start_agent, name):
    make = """
func run(name):
	var peer = SharedMemoryPeer.new()
	Engine.set_meta("peer", peer)
	Engine.get_main_loop().process_frame.connect(peer.poll)
	return peer.open(name)
"""
    agent = start_agent(script=LIVE_AGENT)
    assert agent.run(make, name) == OK
    peer = f"peer = gsm.Peer({quoted(name)})"
    wait_until(lambda: editor.run(LINES, name)[1].endswith(peer))
    copied = editor.run(LINES, name)[1]
    told = run_copied(f"{copied}; peer.wait_connected(20); print(peer.is_connected())")
    assert told == "True"
    end = (
        "Engine.get_main_loop().process_frame.disconnect(Engine.get_meta('peer').poll)"
    )
    agent.run(f"func run():\n\t{end}\n\tEngine.remove_meta('peer')")


@needs_package
def test_copied_line_of_a_mutex_locks_it(editor, agent, name):
    make = """
func run(name):
	var mutex = SharedMemoryMutex.new()
	Engine.set_meta("mutex", mutex)
	return mutex.open(name)
"""
    assert agent.run(make, name) == OK
    mutex = f"mutex = gsm.Mutex({quoted(name)})"
    wait_until(lambda: editor.run(LINES, name)[1].endswith(mutex))
    copied = editor.run(LINES, name)[1]
    assert run_copied(f"{copied}; print(mutex.try_lock())") == "True"
    agent.run("func run():\n\tEngine.remove_meta('mutex')")


FILE_LINES = """
func run(path):
	var lines = load("res://addons/shared_memory/dock/opening_lines.gd")
	var segment = {"name": path, "backend": SharedMemory.BACKEND_FILE, "layout": "latest"}
	return [lines.of("GDScript", segment), lines.of("Python", segment)]
"""


@needs_package
def test_copied_lines_of_a_stream_in_a_file_read_it(editor, agent, tmp_path):
    path = str(tmp_path / "stream")
    make = """
func run(path):
	var memory = SharedMemory.new()
	memory.backend = SharedMemory.BACKEND_FILE
	var stream = SharedMemoryStream.new()
	var made = [memory.create(path, 4096), stream.attach(memory), stream.write("hello")]
	Engine.set_meta("stream", stream)
	return made
"""
    assert agent.run(make, path) == [OK, OK, OK]
    gdscript, python = editor.run(FILE_LINES, path)
    assert agent.run(f"func run():\n\t{gdscript}\n\treturn stream.read()") == "hello"
    assert run_copied(f"{python}; print(stream.read())") == "hello"
    agent.run("func run():\n\tEngine.remove_meta('stream')")


def quoted(name):
    """Returns a name as a literal, in which the panel's languages agree."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def run_copied(line):
    """Runs a copied line in a Python with the package, and returns what it prints."""
    done = subprocess.run(
        [PACKAGE, "-c", line], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# --- The editor ----------------------------------------------------------------------------------------

KEYS = """
func press(key):
	var event = InputEventKey.new()
	event.keycode = key
	event.physical_keycode = key
	event.pressed = true
	plugin.get_viewport().push_input(event)
	await frames(2)

func run(first, second):
	await show_panel()
	await until(func(): return row_of(second).get("Owner") == "dead")
	await select(first)
	var table = panel()._list._table
	table.grab_focus()
	await press(KEY_DOWN)
	var result = [panel()._view._title.text]
	await press(KEY_DELETE)
	result.append(panel()._actions._question.visible)
	panel()._actions._question.hide()
	var view = await tab("Bytes")
	view._hex.grab_focus()
	view._hex.go_to(0)
	await until(func(): return view._hex._size == 64)
	await press(KEY_RIGHT)
	await press(KEY_DOWN)
	result.append(view._hex.cursor)
	await press(KEY_END)
	result.append(view._hex.cursor)
	result.append(view._hex._columns)
	return result
"""


def test_keys_select_and_move(editor, start_agent, unique_name, cleanup):
    first, second = unique_name("a"), unique_name("a")
    cleanup.callback(file_of(first).unlink, missing_ok=True)
    cleanup.callback(file_of(second).unlink, missing_ok=True)
    owner = start_agent()
    assert owner.memory().create(first, 64) == OK
    assert owner.memory().create(second, 64) == OK
    owner.kill()
    title, asked, cursor, last, columns = editor.run(KEYS, first, second)
    assert title == second
    assert asked
    assert cursor == columns + 1
    assert last == 63


WATCH = """
func run(typed):
	await show_panel()
	var list = panel()._list
	list._filter.text = typed
	list._add.pressed.emit()
	await frames(2)
	var key = "1 " + typed if typed.contains("/") else "0 " + typed
	var before = list.segment_of(key).get("size")
	panel()._actions._segment = {"name": typed}
	return before
"""
STOP_WATCHING = """
func run(typed):
	var list = panel()._list
	panel()._actions.id_pressed.emit(panel()._actions.Action.STOP_WATCHING)
	list._filter.text = ""
	return await until(func(): return list.segment_of("0 " + typed).is_empty())
"""


def test_name_is_watched_before_it_exists(editor, make_foreign, name, tmp_path):
    assert editor.run(WATCH, name) == -1
    make_foreign(name, b"abc")
    assert editor.run(ROW, name, "Size", "3 B")["Size"] == "3 B"
    file_of(name).unlink()
    assert editor.run(STOP_WATCHING, name)
    file = tmp_path / "memory"
    file.write_bytes(b"abcd")
    assert editor.run(WATCH, str(file)) == 4
    assert editor.run(STOP_WATCHING, str(file))
    assert editor.run(WATCH, "../\n/\0") in (-1, None)
    assert editor.run(STOP_WATCHING, "../\n/\0")


NARROW = """
func run(width):
	var other = load("res://addons/shared_memory/dock/panel.gd").new()
	var box = Control.new()
	EditorInterface.get_base_control().add_child(box)
	box.add_child(other)
	other.size = Vector2(width, 400)
	await frames(5)
	var view = other._view.get_global_rect().intersection(other.get_global_rect())
	var shown = [other._split.vertical, other._list._table.columns, other.size.x, view.size.y]
	box.queue_free()
	await frames(2)
	return shown
"""


FITTING = """
func run(memory, width, height, format):
	var other = load("res://addons/shared_memory/dock/panel.gd").new()
	var box = Control.new()
	EditorInterface.get_base_control().add_child(box)
	box.add_child(other)
	other.size = Vector2(width, height)
	await until(func(): return other._list._table.item_of("0 " + memory) != null)
	other._list._table.select_key("0 " + memory)
	var view = other._view._tabs.get_tab_control(0)
	other._view._tabs.current_tab = 0
	await until(func(): return not view._numbers["i64"].text.is_empty())
	await frames(3)
	var fit = true
	for label in view._numbers.values():
		var font = label.get_theme_font("font")
		var font_size = label.get_theme_font_size("font_size")
		var text = font.get_string_size(label.text, HORIZONTAL_ALIGNMENT_LEFT, -1, font_size)
		fit = fit and text.x <= label.size.x
		fit = fit and view.get_global_rect().encloses(label.get_global_rect())
	var bytes = [fit, view._numbers["double"].text, view._grid.columns, view._hex._visible_rows()]
	other._view._tabs.current_tab = 2
	view = other._view._tabs.get_current_tab_control()
	view._format.text = format
	await frames(3)
	var font = view._format.get_theme_font("font")
	var font_size = view._format.get_theme_font_size("font_size")
	var needed = font.get_string_size(format, HORIZONTAL_ALIGNMENT_LEFT, -1, font_size).x
	var style = view._format.get_theme_stylebox("normal").get_minimum_size().x
	var numbers = [needed + style <= view._format.size.x, view._table.size.y > 40]
	box.queue_free()
	await frames(2)
	return [bytes, numbers]
"""


def test_numbers_and_format_fit_at_the_default_size(editor, memory, name):
    assert memory.create(name, 4096) == OK
    format_ = "<I:frame: B:count: 4T{i:id: f:speed: 12s:driver:}:cars:"
    for value, double in (
        (-9218868437227405312, "double -2.225073e-308"),
        (-4503599627370497, "double -1.797693e+308"),
        (-4496888741029319872, "double -99999999.123456"),
        (-4674685261256255423, "double -0.000123"),
    ):
        memory.encode_s64(0, value)
        bytes_, numbers = editor.run(FITTING, name, 1018, 260, format_)
        assert bytes_[:3] == [True, double, 3]
        assert bytes_[3] >= 4
        assert numbers == [True, True]
    # In a dock at the side, down to the least width.
    for width, columns in (400, 2), (200, 1):
        bytes_, _numbers = editor.run(FITTING, name, width, 700, format_)
        assert [bytes_[0], bytes_[2]] == [True, columns]
        assert bytes_[3] > 4


def test_narrow_panel_has_the_view_below_the_list(editor):
    vertical, columns, width, view = editor.run(NARROW, 320)
    assert vertical
    assert width <= 420
    assert columns < 7
    assert view > 100
    for width in 60, 150, 220:
        assert editor.run(NARROW, width)[0]
    assert editor.run(NARROW, 1800)[:2] == [False, 7]


CONSTANTS = """
func run():
	var library = load("res://addons/shared_memory/dock/library.gd")
	var found = {}
	for pair in [["Owner", "OWNER_"], ["Backend", "BACKEND_"], ["Scope", ""]]:
		for constant in library[pair[0]]:
			var name = pair[1] + constant + ("_SCOPE" if pair[0] == "Scope" else "")
			var value = ClassDB.class_get_integer_constant("SharedMemory", name)
			found[name] = [library[pair[0]][constant], value]
	return found
"""


def test_constants_are_those_of_the_class(editor):
    found = editor.run(CONSTANTS)
    assert len(found) == 9
    assert [name for name, (one, other) in found.items() if one != other] == []


PLAY = """
func run(memory):
	await play()
	var marked = await until(func(): return row_of(memory).get("Owner") == "game, alive")
	await select(memory)
	await until(func(): return panel()._view._facts.text.contains("open in game"))
	return [marked, row_of(memory), panel()._view._facts.text]
"""
USED = """
func run(memory):
	var item = panel()._list._table.item_of("0 " + memory)
	await until(func(): return panel()._list.segment_of("0 " + memory)["is_game"])
	await until(func(): return row_of(memory).get("Owner") == "process, alive")
	item = panel()._list._table.item_of("0 " + memory)
	return [item.get_text(2), item.get_tooltip_text(2), item.get_tooltip_text(0)]
"""
FACTS = """
func run(memory):
	await select(memory)
	await until(func(): return panel()._view._facts.text.contains("also open in"))
	return panel()._view._facts.text
"""
STOP = """
func run(memory):
	EditorInterface.stop_playing_scene()
	await until(func(): return row_of(memory).get("Owner") == "dead")
	return row_of(memory)
"""


def test_segments_of_the_running_game_are_marked(session, cleanup, agent, unique_name):
    name = unique_name()
    other = agent.memory()
    assert other.create(name + "other", 64) == OK
    editor = Editor(session, environment={"GAME_NAME": name})
    cleanup.callback(editor.end)
    for kind in "state", "camera", "commands", "cars":
        cleanup.callback(file_of(name + kind).unlink, missing_ok=True)
    editor.run("func run(): await enable()")
    marked, row, facts = editor.run(PLAY, name + "cars")
    assert marked, row
    assert re.search(r"owner: game \d+, alive", facts), facts
    # The game has it open, but the agent owns it.
    assert editor.run(USED, name + "other") == [
        "process, alive",
        "Another process owns it, and runs.",
        f"{name}other\nThe running game uses it.",
    ]
    facts = editor.run(FACTS, name + "other")
    assert f"owner: process {agent.pid}, alive; also open in game " in facts
    assert editor.run(STOP, name + "cars")["Owner"] == "dead"
    assert editor.run(ROW, name + "other", "Owner", "process, alive")


OWNED_BY_EDITOR = """
static var memory = SharedMemory.new()
func run(name):
	await show_panel()
	memory.create(name, 64)
	var owned = await until(func(): return row_of(name).get("Owner") == "editor, alive")
	await select(name)
	var facts = panel()._view._facts.text
	memory.close()
	return [owned, facts]
"""


@pytest.mark.parametrize("suffix", ["", " ü\n (deleted)"])
def test_memory_of_the_editor_is_told_from_that_of_others(editor, agent, name, suffix):
    assert editor.run(OWNED_BY_EDITOR, name + suffix) == [
        True,
        "owner: this editor, alive; 64 bytes",
    ]
    memory = agent.memory()
    assert memory.create(name, 64) == OK
    opened = "func run(name): Engine.set_meta('used', SharedMemory.new()); Engine.get_meta('used').open(name)"
    editor.run(opened, name)
    assert editor.run(ROW, name, "Owner", "process, alive")["Owner"] == "process, alive"
    facts = f"owner: process {agent.pid}, alive; also open in this editor"
    assert facts in editor.run(FACTS, name)
    editor.run("func run(): Engine.remove_meta('used')")
    memory.close()


AGAIN = """
func run(memory, extension):
	await show_panel()
	await select(memory)
	await tab("Bytes")
	var results = []
	for round in 3:
		results.append(GDExtensionManager.reload_extension(extension))
		await frames(30)
		results.append(row_of(memory).get("Size"))
	return results
"""
TOGGLE = """
func run(memory):
	var results = []
	for round in 3:
		EditorInterface.set_plugin_enabled(PLUGIN, false)
		await frames(3)
		results.append(panel() == null)
		await enable()
		results.append(await until(func(): return row_of(memory).get("Size") == "64 B"))
	EditorInterface.set_plugin_enabled(PLUGIN, false)
	return results
"""


def test_reload_of_the_extension_and_of_the_plugin(
    session, cleanup, make_foreign, name
):
    make_foreign(name, b"x" * 64)
    editor = Editor(session)
    cleanup.callback(editor.end)
    assert editor.run("func run(): return panel() == null"), "off by default"
    assert editor.run("func run(): return ClassDB.class_exists('SharedMemory')")
    editor.run("func run(): await enable()")
    assert editor.run(AGAIN, name, EXTENSION) == [0, "64 B"] * 3
    assert editor.run(TOGGLE, name) == [True, True] * 3


MISSING = """
func run():
	await enable()
	await frames(20)
	var p = panel()
	var shown = [p._missing.visible, p._split.visible, p._missing.text]
	EditorInterface.set_plugin_enabled(PLUGIN, false)
	await frames(3)
	return shown + [panel() == null]
"""


def test_panel_without_library_tells_so(session):
    addon = session.folder / session.name("addon")
    shutil.copytree(projects.ADDON, addon, ignore=shutil.ignore_patterns("bin"))
    editor = Editor(session, addon=addon)
    missing, split, text, gone = editor.run(MISSING)
    assert (missing, split, gone) == (True, False, True)
    assert "library" in text
    # Godot tells of the library that is missing, and of nothing else.
    assert [
        line for line in editor.errors() if "SCRIPT" in line or "dock/" in line
    ] == []
    assert "dock/" not in editor.printed()
    editor.end(allowed=("FileAccess::exists(path)", "GDExtension", "loading extension"))


# --- A window ------------------------------------------------------------------------------------------

PICTURE = """
func run(game, path):
	await enable()
	panel().custom_minimum_size.y = 330
	panel()._list._filter.text = game
	await play()
	await until(func(): return row_of(game + "cars").get("Owner") == "game, alive")
	await select(game + "cars")
	var view = await tab("VIEW")
	if "VIEW" == "Numbers":
		var format = "<I:frame: B:count: 4T{i:id: f:speed: 12s:driver:}:cars:"
		view._format.text = format
		view._format.text_changed.emit(format)
	await frames(40)
	await RenderingServer.frame_post_draw
	var picture = plugin.get_viewport().get_texture().get_image()
	var area = Rect2i(panel().get_global_rect().grow(4))
	picture.get_region(area).save_png(path)
	EditorInterface.stop_playing_scene()
	await frames(5)
	return [area.size.x, area.size.y, row_of(game + "cars")]
"""


def test_panel_in_a_window(session, start_display, unique_name, cleanup, tmp_path):
    # For the picture of the documentation, the names are short.
    wanted = os.environ.get("SHM_DOCK_PICTURE")
    game = "race_" if wanted else unique_name()
    for kind in "state", "camera", "commands", "cars":
        cleanup.callback(file_of(game + kind).unlink, missing_ok=True)
    display = start_display("1600x900")
    options = ["--rendering-driver", "opengl3", "--audio-driver", "Dummy"]
    editor = Editor(
        session, *options, environment={"DISPLAY": display, "GAME_NAME": game}
    )
    cleanup.callback(kill, editor.process)
    path = tmp_path / "panel.png"
    source = PICTURE.replace("VIEW", os.environ.get("SHM_DOCK_VIEW", "Numbers"))
    width, height, row = editor.run(source, game, str(path))
    assert row["Layout"] == "", row
    assert path.stat().st_size > 10_000, "something was drawn"
    assert (width > 500, height > 250) == (True, True)
    assert [e for e in editor.errors() if "dock/" in e or "SCRIPT" in e] == []
    if wanted:
        shutil.copyfile(path, REPOSITORY / wanted)


def test_version_is_that_of_the_addon():
    text = (projects.ADDON / "plugin.cfg").read_text(encoding="utf-8")
    cargo = (REPOSITORY / "Cargo.toml").read_text(encoding="utf-8")
    pattern = re.compile(r'^version *= *"(.*)"', re.MULTILINE)
    assert pattern.search(text)[1] == pattern.search(cargo)[1]
