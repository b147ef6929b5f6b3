"""The end of a Godot whose engine keeps objects longer than the library: as metadata of a singleton."""

import os

import pytest
from harness.constants import OK
from harness.marks import linux_only
from harness.session import file_of

pytestmark = linux_only

# Each class, with memory of its own or of another object. Returns the codes.
KEEP = """
func run(names):
	var memory = SharedMemory.new()
	var elements = SharedMemory.new()
	var array = SharedMemoryArray.new()
	var stream = SharedMemoryStream.new()
	var reader = SharedMemoryStream.new()
	var queue = SharedMemoryQueue.new()
	var mutex = SharedMemoryMutex.new()
	var peer = SharedMemoryPeer.new()
	var codes = [
		memory.create(names[0], 64),
		elements.create(names[1], 64),
		array.attach(elements, "f"),
		stream.create(names[2], 64),
		stream.write("x"),
		reader.open(names[2]),
		queue.create(names[3], 4096),
		queue.enqueue("x"),
		mutex.open(names[4]),
		mutex.lock(0),
		peer.open(names[5]),
	]
	Engine.set_meta("kept", [memory, array, stream, reader, queue, mutex, peer])
	return codes
"""


@pytest.mark.parametrize("size", [None, 0], ids=["whole", "truncated"])
def test_objects_that_outlive_the_library_end_well(start_agent, unique_name, size):
    names = [unique_name() for _ in range(6)]
    agent = start_agent()
    assert agent.run(KEEP, names) == [OK] * 11
    for name in names if size is not None else ():
        os.truncate(file_of(name), size)
    # Fails if it prints anything, or ends with a code.
    agent.end_if_alive()
    assert not any(file_of(name).exists() for name in names)
