"""Shared memory with Godot and with any other program: bytes, streams, queues, peers and locks.

The classes are those of the Godot addon, with the same methods in the same meaning:

- ``SharedMemory``: bytes under a name.
- ``Stream``: the newest value, from one writer to any number of readers.
- ``Queue``: every message in order, from several producers to one consumer.
- ``Peer``: two programs talk.
- ``Mutex``: a lock that is released when its holder ends.

The differences are those that Python expects. Errors are exceptions (``Error`` and its subclasses), timeouts
are in seconds, ``None`` says that there is nothing, and objects are context managers.

>>> import godot_shared_memory as gsm
>>> name = gsm.generate_name("doc")
>>> with gsm.Stream.create(name, 1024) as writer, gsm.Stream.open(name) as reader:
...     writer.write({"health": 3, "path": [gsm.Vector2(1, 2)]})
...     reader.read()
{'health': 3, 'path': [Vector2(x=1.0, y=2.0)]}
"""

import atexit as _atexit

from godot_shared_memory._errors import (
    AccessError,
    ArgumentError,
    BusyError,
    ClosedError,
    ConnectionError,
    DataError,
    Error,
    ExistsError,
    InUseError,
    LostError,
    NotFoundError,
    OutOfMemoryError,
    SystemError,
    TimeoutError,
    UnavailableError,
)
from godot_shared_memory._native import (
    Draft,
    Frame,
    Mutex,
    Peer,
    Queue,
    SharedMemory,
    Stream,
    __version__,
    _end,
)
from godot_shared_memory._types import (
    AABB,
    Backend,
    Basis,
    Color,
    NodePath,
    OwnerState,
    Plane,
    Projection,
    Quaternion,
    RawMessage,
    Rect2,
    Rect2i,
    Scope,
    Status,
    StringName,
    Transform2D,
    Transform3D,
    Vector2,
    Vector2i,
    Vector3,
    Vector3i,
    Vector4,
    Vector4i,
    array,
    colors,
    image,
    vectors,
)

# Names and roles are given back while the threads that wait for messages can still be told.
_atexit.register(_end)

list_segments = SharedMemory.list_segments
get_info = SharedMemory.get_info
get_users = SharedMemory.get_users
generate_name = SharedMemory.generate_name
remove = SharedMemory.remove

__all__ = [
    "AABB",
    "AccessError",
    "ArgumentError",
    "Backend",
    "Basis",
    "BusyError",
    "ClosedError",
    "Color",
    "ConnectionError",
    "DataError",
    "Draft",
    "Error",
    "ExistsError",
    "Frame",
    "InUseError",
    "LostError",
    "Mutex",
    "NodePath",
    "NotFoundError",
    "OutOfMemoryError",
    "OwnerState",
    "Peer",
    "Plane",
    "Projection",
    "Quaternion",
    "Queue",
    "RawMessage",
    "Rect2",
    "Rect2i",
    "Scope",
    "SharedMemory",
    "Status",
    "Stream",
    "StringName",
    "SystemError",
    "TimeoutError",
    "Transform2D",
    "Transform3D",
    "UnavailableError",
    "Vector2",
    "Vector2i",
    "Vector3",
    "Vector3i",
    "Vector4",
    "Vector4i",
    "__version__",
    "array",
    "colors",
    "generate_name",
    "get_info",
    "get_users",
    "image",
    "list_segments",
    "remove",
    "vectors",
]
