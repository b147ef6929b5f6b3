"""The spaces as the game describes them, and the bytes of their values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from gymnasium import Space, spaces

from godot_shared_memory.gym._errors import GameError, SpaceMismatchError

# An array, or a dictionary of arrays.
Values: TypeAlias = Any
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

# The limits of what a game may describe. It is another program, so its numbers are not trusted.
MAX_ELEMENTS = 1 << 30
MAX_DIMENSIONS = 16
MAX_FIELDS = 256
DTYPES = ("float32", "float64", "uint8", "int8", "int32", "int64")


@dataclass(frozen=True)
class Field:
    """One value of each agent. Its name is ``None`` unless the space is a ``Dict``."""

    name: str | None
    path: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    # True if the value of an agent is a number, and not an array.
    is_number: bool = False

    def column_bytes(self, count: int) -> int:
        """Returns the number of bytes of the values of all agents."""
        return align(self.dtype.itemsize * math.prod(self.shape) * count)


def align(size: int) -> int:
    """Returns the next multiple of eight."""
    return (size + 7) & ~7


class Place(NamedTuple):
    """The values of all agents in a message: their array, and where it begins."""

    name: str | None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    is_number: bool


def places(fields: list[Field], count: int, offset: int) -> list[Place]:
    """Returns the places of the values of all agents in a message. The first one begins at ``offset``."""
    found = []
    for field in fields:
        found.append(Place(field.name, (count, *field.shape), field.dtype, offset, field.is_number))
        offset += field.column_bytes(count)
    return found


def row(space: Space[Any], values: Values, index: int) -> Values:
    """Returns the value of one agent. That of a ``Discrete`` is a number, and others are arrays."""
    if isinstance(space, spaces.Dict):
        return {name: row(space.spaces[name], array, index) for name, array in values.items()}
    return values[index] if isinstance(space, spaces.Discrete) else values[index, ...]


def put(fields: list[Field], arrays: list[Array], values: Values, what: str) -> None:
    """Writes the values into the arrays of a message. Raises ``ValueError`` if the space hasn't got them."""
    for field, array in zip(fields, arrays, strict=True):
        given = np.asarray(values if field.name is None else _part(values, field.name, what))
        if given.shape != array.shape:
            raise ValueError(_wrong_shape(field, what, array.shape, given.shape))
        if given.dtype == array.dtype:
            array[...] = given
            continue
        # Whole numbers of any size and sign are taken for each other, and out of range by the game.
        is_whole = array.dtype.kind in "iu" and given.dtype.kind in "iub"
        try:
            np.copyto(array, given, casting="unsafe" if is_whole else "same_kind")
        except TypeError:
            name = what if field.name is None else f"{what}[{field.name!r}]"
            text = f"{name} must be of the type {array.dtype}, but is {given.dtype}"
            raise ValueError(text) from None


def split(fields: list[Field], count: int, values: Values, parts: list[slice], what: str) -> list[Values]:
    """Returns the values of each game. Raises ``ValueError`` if ``values`` are not of ``count`` agents."""
    given: dict[str | None, Array] = {}
    for field in fields:
        array = np.asarray(values if field.name is None else _part(values, field.name, what))
        if array.shape != (count, *field.shape):
            raise ValueError(_wrong_shape(field, what, (count, *field.shape), array.shape))
        given[field.name] = array
    if None in given:
        return [given[None][part] for part in parts]
    return [{name: array[part] for name, array in given.items()} for part in parts]


def _part(values: Values, name: str, what: str) -> Any:
    if not isinstance(values, Mapping) or name not in values:
        raise ValueError(f"{what} must be a dictionary with {name!r}")
    return values[name]


def _wrong_shape(field: Field, what: str, shape: tuple[int, ...], given: tuple[int, ...]) -> str:
    name = what if field.name is None else f"{what}[{field.name!r}]"
    return f"{name} must have the shape {shape}, but has {given}"


def read(description: object, path: str, room: int) -> tuple[Space[Any], list[Field]]:
    """Returns the space that a game describes, and its fields in the order of a message.

    Raises ``GameError`` if the description is not valid, or if the values of an agent take more than ``room``
    bytes. Only then is memory taken for limits.
    """
    if isinstance(description, dict) and description.get("type") == "dict":
        parts = description.get("spaces")
        if not isinstance(parts, dict) or not 0 < len(parts) <= MAX_FIELDS:
            raise GameError(f"{path}: the game's dict must have from 1 to {MAX_FIELDS} spaces")
        members: dict[str, Space[Any]] = {}
        fields = []
        for name, part in parts.items():
            if not isinstance(name, str):
                raise GameError(f"{path}: a name in the game's dict is not a text")
            members[name], field = _read_one(part, f"{path}.{name}", name, room)
            fields.append(field)
        return spaces.Dict(members), fields
    space, field = _read_one(description, path, None, room)
    return space, [field]


def _read_one(description: object, path: str, name: str | None, room: int) -> tuple[Space[Any], Field]:
    if not isinstance(description, dict):
        raise GameError(f"{path}: the game describes no space")
    kind = description.get("type")
    if kind == "box":
        return _read_box(description, path, name, room)
    whole = np.dtype("int64")
    if kind == "discrete":
        n = _whole(description.get("n"), 1, (1 << 63) - 1, f"{path}: n")
        start = _whole(description.get("start"), -(1 << 63), (1 << 63) - n, f"{path}: start")
        return spaces.Discrete(n, start=start), Field(name, path, whole, (), is_number=True)
    if kind == "multi_discrete":
        given = description.get("nvec")
        if not isinstance(given, list) or not 0 < len(given) <= MAX_ELEMENTS:
            raise GameError(f"{path}: the game's nvec is not a list of numbers")
        nvec = [_whole(n, 1, (1 << 63) - 1, f"{path}: a number in nvec") for n in given]
        return spaces.MultiDiscrete(nvec), Field(name, path, whole, (len(nvec),))
    if kind == "multi_binary":
        n = _whole(description.get("n"), 1, room, f"{path}: n")
        return spaces.MultiBinary(n), Field(name, path, np.dtype("int8"), (n,))
    raise GameError(f"{path}: the game describes a space of the unknown type {kind!r}")


def _read_box(
    description: dict[Any, Any], path: str, name: str | None, room: int
) -> tuple[Space[Any], Field]:
    given = description.get("dtype")
    if given not in DTYPES:
        raise GameError(f"{path}: the game's dtype must be one of {', '.join(DTYPES)}, but is {given!r}")
    dtype = np.dtype(given)
    sides = description.get("shape")
    if not isinstance(sides, list) or len(sides) > MAX_DIMENSIONS:
        raise GameError(f"{path}: the game's shape is not a list of at most {MAX_DIMENSIONS} numbers")
    shape = tuple(_whole(side, 1, MAX_ELEMENTS, f"{path}: a number in shape") for side in sides)
    if math.prod(shape) * dtype.itemsize > room:
        raise GameError(f"{path}: the game's shape takes more than the {room} bytes that have room")
    low = _limits(description.get("low"), shape, dtype, f"{path}: low")
    high = _limits(description.get("high"), shape, dtype, f"{path}: high")
    if np.any(low > high):
        raise GameError(f"{path}: the game's low is greater than its high")
    scalar: Any = dtype.type
    return spaces.Box(low, high, shape, scalar), Field(name, path, dtype, shape)


def _limits(given: object, shape: tuple[int, ...], dtype: np.dtype[Any], what: str) -> Array:
    """Returns the limits as an array. A single number takes no memory for each element."""
    many = given if isinstance(given, list) else [given]
    if isinstance(given, list) and len(given) != math.prod(shape):
        raise GameError(f"{what} has {len(given)} numbers, but shape {math.prod(shape)} elements")
    for number in many:
        if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
            raise GameError(f"{what} is not a number: {number!r}")
        if dtype.kind in "iu":
            least, greatest = np.iinfo(dtype).min, np.iinfo(dtype).max
            if not least <= number <= greatest:
                raise GameError(f"{what} is {number}, but {dtype} has from {least} to {greatest}")
    # A large number becomes infinite in float32.
    with np.errstate(over="ignore"):
        array = np.asarray(many, np.int64 if dtype.kind in "iu" else np.float64).astype(dtype)
    return array.reshape(shape) if isinstance(given, list) else np.broadcast_to(array[0], shape)


def _whole(given: object, least: int, greatest: int, what: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= greatest:
        raise GameError(f"{what} must be from {least} to {greatest}, but the game has {given!r}")
    return given


def compare(expected: Space[Any] | None, actual: Space[Any], path: str) -> None:
    """Raises ``SpaceMismatchError`` if the game has another space than the one that was expected."""
    if expected is None or expected == actual:
        return
    if isinstance(expected, spaces.Dict) and isinstance(actual, spaces.Dict):
        for name in expected.spaces:
            if name not in actual.spaces:
                raise SpaceMismatchError(f"{path}.{name} is expected, but the game has no such field")
        for name, space in actual.spaces.items():
            if name not in expected.spaces:
                raise SpaceMismatchError(f"{path}.{name} is a field of the game that is not expected")
            compare(expected.spaces[name], space, f"{path}.{name}")
        return
    raise SpaceMismatchError(f"{path}: {expected} is expected, but the game has {actual}")
