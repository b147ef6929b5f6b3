"""The engine's types that Python lacks, and the constants."""

from __future__ import annotations

import enum
from typing import Any, NamedTuple


class Scope(enum.IntEnum):
    """The users that may open memory."""

    LOCAL = 0
    GLOBAL = 1


class Backend(enum.IntEnum):
    """The source of memory."""

    NATIVE = 0
    FILE = 1
    SYSV = 2
    MEMFD = 3


class OwnerState(enum.IntEnum):
    """The state of the program that made memory, or writes to a stream."""

    UNKNOWN = 0
    ALIVE = 1
    DEAD = 2


class Status(enum.IntEnum):
    """The status of a peer."""

    CLOSED = 0
    WAITING = 1
    CONNECTED = 2


class StringName(str):
    """A text that is sent as a StringName."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"StringName({super().__repr__()})"


class NodePath(str):
    """A text that is sent as a NodePath."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"NodePath({super().__repr__()})"


class RawMessage(NamedTuple):
    """A message as it is in memory, to be passed on.

    The tag and the shape are those of the native format (docs/FORMAT.md, Messages).
    """

    tag: int
    shape: tuple[int, int, int, int]
    content: bytes
    age: float | None = None
    """Seconds since a stream's message was written. None if that isn't known."""
    place: tuple[int, int, int] | None = None
    """A queue's incarnation, its lane, and the bytes ever put into the lane up to the end of the message."""


class Vector2(NamedTuple):
    """Two floats."""

    x: float
    y: float


class Vector2i(NamedTuple):
    """Two integers."""

    x: int
    y: int


class Vector3(NamedTuple):
    """Three floats."""

    x: float
    y: float
    z: float


class Vector3i(NamedTuple):
    """Three integers."""

    x: int
    y: int
    z: int


class Vector4(NamedTuple):
    """Four floats."""

    x: float
    y: float
    z: float
    w: float


class Vector4i(NamedTuple):
    """Four integers."""

    x: int
    y: int
    z: int
    w: int


class Rect2(NamedTuple):
    """A rectangle."""

    position: Vector2
    size: Vector2


class Rect2i(NamedTuple):
    """A rectangle of integers."""

    position: Vector2i
    size: Vector2i


class Transform2D(NamedTuple):
    """The columns of a 2D transformation."""

    x: Vector2
    y: Vector2
    origin: Vector2


class Plane(NamedTuple):
    """A plane: its normal, and its distance from the origin."""

    normal: Vector3
    d: float


class Quaternion(NamedTuple):
    """A rotation."""

    x: float
    y: float
    z: float
    w: float


class AABB(NamedTuple):
    """A box."""

    position: Vector3
    size: Vector3


class Basis(NamedTuple):
    """The columns of a 3D transformation without its origin."""

    x: Vector3
    y: Vector3
    z: Vector3


class Transform3D(NamedTuple):
    """A 3D transformation."""

    basis: Basis
    origin: Vector3


class Projection(NamedTuple):
    """The columns of a matrix of four by four."""

    x: Vector4
    y: Vector4
    z: Vector4
    w: Vector4


class Color(NamedTuple):
    """A colour."""

    r: float
    g: float
    b: float
    a: float = 1.0


class Typed:
    """An array, and what it is to become."""

    __slots__ = ("data", "format", "purpose")

    def __init__(self, data: Any, purpose: str, format: str | None = None) -> None:
        self.data = data
        self.purpose = purpose
        self.format = format


def array(data: Any) -> Typed:
    """Returns an array that is sent as numbers, even if it could be a picture or bytes."""
    return Typed(data, "array")


def vectors(data: Any) -> Typed:
    """Returns floats of the shape (count, 2), (count, 3) or (count, 4) that are sent as packed vectors."""
    return Typed(data, "vectors")


def colors(data: Any) -> Typed:
    """Returns floats of the shape (count, 4) that are sent as a PackedColorArray."""
    return Typed(data, "colors")


def image(data: Any, format: str | None = None) -> Typed:
    """Returns an array of uint8 that is sent as an Image.

    The shape is (height, width) or (height, width, channels). The format is L8, LA8, RGB8, RGBA8, BGR8 or
    BGRA8. OpenCV's pictures are BGR8.
    """
    return Typed(data, "image", format)
