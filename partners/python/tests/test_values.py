"""Values of Python in messages, and back."""

from __future__ import annotations

import array
import contextlib
import math
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Literal

import godot_shared_memory as gsm
import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Stream = gsm.Stream
VECTOR3 = gsm.Vector3(1, 2, 3)
MATH = [
    gsm.Vector2(0.5, -2),
    gsm.Vector2i(-1, 2**31 - 1),
    gsm.Rect2(gsm.Vector2(1, 2), gsm.Vector2(3, 4)),
    gsm.Rect2i(gsm.Vector2i(1, 2), gsm.Vector2i(3, 4)),
    VECTOR3,
    gsm.Vector3i(1, 2, -(2**31)),
    gsm.Transform2D(gsm.Vector2(1, 2), gsm.Vector2(3, 4), gsm.Vector2(5, 6)),
    gsm.Vector4(1, 2, 3, 4),
    gsm.Vector4i(1, 2, 3, 4),
    gsm.Plane(VECTOR3, 4),
    gsm.Quaternion(1, 2, 3, 4),
    gsm.AABB(VECTOR3, gsm.Vector3(4, 5, 6)),
    gsm.Basis(VECTOR3, gsm.Vector3(4, 5, 6), gsm.Vector3(7, 8, 9)),
    gsm.Transform3D(gsm.Basis(VECTOR3, gsm.Vector3(4, 5, 6), gsm.Vector3(7, 8, 9)), gsm.Vector3(10, 11, 12)),
    gsm.Projection(*(gsm.Vector4(row, row + 1, row + 2, row + 3) for row in range(0, 16, 4))),
    gsm.Color(0.25, 0.5, 0.75),
]
NUMBERS = {
    "i4": "i4",
    "i8": "i8",
    "f4": "f4",
    "f8": "f8",
    "?": "i4",
    "i1": "i4",
    "i2": "i4",
    "u2": "i4",
    "u4": "i8",
    "f2": "f4",
}


class Mirror:
    """A stream to itself."""

    def __init__(self, name: str) -> None:
        self.stream = Stream.create(name, 1 << 20)

    def sent(self, value: Any) -> Any:
        """Returns what a reader gets."""
        self.stream.write(value)
        return self.stream.read()


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    found = Mirror(gsm.generate_name("pytest"))
    yield found
    found.stream.close()


def same(one: Any, other: Any) -> bool:
    """Returns whether two values are equal, with their types, and with NaN equal to itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, numpy.ndarray):
        return one.dtype == other.dtype and numpy.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, tuple):
        return bool(one == other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) == len(other) and all(same(list(left), list(right)) for left, right in pairs)
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        0,
        -1,
        2**31,
        -(2**63),
        2**63 - 1,
        0.0,
        -0.0,
        0.1,
        math.inf,
        math.nan,
        1e300,
        "",
        "text",
        "ä€😀",
        b"",
        b"\x00\xff",
        [],
        {},
        [None],
        [[], {}, [[]]],
        {"a": 1, 2: "b", None: [], True: b"x", 2.5: {}},
        gsm.StringName("name"),
        gsm.NodePath("/root/Player:position:x"),
        gsm.NodePath("../a"),
        [gsm.StringName("name"), gsm.NodePath("a/b:c")],
        *MATH,
        {"all": MATH},
    ],
    ids=repr,
)
def test_a_value_comes_back_as_it_was(mirror: Mirror, value: Any) -> None:
    assert same(mirror.sent(value), value)


def test_some_types_become_others(mirror: Mirror) -> None:
    class Named(str):
        pass

    assert mirror.sent((1, (2,))) == [1, [2]]
    assert same(mirror.sent(Named("x")), "x")
    assert same(mirror.sent(bytearray(b"ab")), b"ab")
    assert same(mirror.sent(memoryview(b"abcd")[::2]), b"ac")
    assert same(mirror.sent([numpy.float32(0.5), numpy.float64(0.1), numpy.float16(2)]), [0.5, 0.1, 2.0])
    assert same(mirror.sent([numpy.int8(-3), numpy.uint64(7), numpy.bool_(True)]), [-3, 7, True])
    assert same(mirror.sent(gsm.Scope.GLOBAL), 1)
    assert same(mirror.sent(array.array("i", [1, 2])), numpy.array([1, 2], "i4"))


@pytest.mark.parametrize("order", ["=", ">"])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_an_array_keeps_its_numbers(mirror: Mirror, dtype: str, order: Literal["=", ">"]) -> None:
    wanted = numpy.dtype(NUMBERS[dtype])
    sent = numpy.arange(24).astype(numpy.dtype(dtype).newbyteorder(order))
    for shape in [(24,), (4, 6), (2, 3, 4), (1, 2, 3, 4), (0,), (3, 0)]:
        value = sent[: math.prod(shape)].reshape(shape)
        got = mirror.sent(value)
        assert (got.dtype, got.shape) == (wanted, shape)
        assert numpy.array_equal(got, value)
        assert got.flags.writeable
        assert mirror.stream.get_message_shape() == shape
    for strided in [sent[::2], sent[::-1], sent.reshape(4, 6)[:, 1:4], sent.reshape(4, 6).T]:
        assert numpy.array_equal(mirror.sent(strided), strided)
    assert same(mirror.sent({"a": sent})["a"], sent.astype(wanted))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("width", [2, 3, 4])
def test_vectors_and_colours_are_arrays_in_python(mirror: Mirror, width: int, dtype: str) -> None:
    sent = numpy.arange(2 * width, dtype=dtype).reshape(2, width)
    assert same(mirror.sent(gsm.vectors(sent)), sent)
    assert same(mirror.sent([gsm.vectors(sent)]), [sent])
    if width == 4 and dtype == "f4":
        assert same(mirror.sent(gsm.colors(sent)), sent)
        assert same(mirror.sent([gsm.colors(sent)]), [sent])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_picture_keeps_its_pixels(mirror: Mirror, channels: int) -> None:
    sent = numpy.arange(4 * 5 * channels, dtype=numpy.uint8).reshape(4, 5, channels)
    assert same(mirror.sent(sent), sent)
    assert same(mirror.sent(sent[::-1, ::2]), sent[::-1, ::2].copy())
    assert mirror.sent(gsm.array(sent)).dtype == numpy.int32
    if channels == 1:
        assert same(mirror.sent(gsm.image(sent[:, :, 0])), sent)
    if channels >= 3:
        swapped = mirror.sent(gsm.image(sent, {3: "BGR8", 4: "BGRA8"}[channels]))
        assert numpy.array_equal(swapped[:, :, :3], sent[:, :, 2::-1])


def nested(depth: int) -> Any:
    value: Any = 7
    for _ in range(depth):
        value = [value]
    return value


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (None, gsm.ArgumentError, "None"),
        (object(), TypeError, "value is of the type object"),
        ({"a": [1, object()]}, TypeError, r"value\['a'\]\[1\] is of the type object"),
        ({(1, object()): 1}, TypeError, r"value\.keys\(\)\[0\]\[1\] is of the type object"),
        ({1, 2}, TypeError, "set"),
        (2**63, OverflowError, "value is an integer of more than 64 bits"),
        ([-(2**63) - 1], OverflowError, r"value\[0\]"),
        ([numpy.uint64(2**63)], OverflowError, r"value\[0\]"),
        (numpy.zeros(2, "u8"), TypeError, "64 bits"),
        (numpy.zeros(2, "c8"), TypeError, "format"),
        (numpy.zeros(2, "i4,f4"), TypeError, "format"),
        (numpy.array([None]), (TypeError, ValueError), "object|format"),
        (numpy.zeros((1, 1, 1, 1, 1)), TypeError, "5 dimensions"),
        (numpy.zeros((0, 5, 3), "u1"), gsm.ArgumentError, "shape"),
        ([numpy.zeros((2, 2))], gsm.ArgumentError, r"value\[0\].*one dimension"),
        ([gsm.image(numpy.zeros((2, 2), "u1"))], gsm.ArgumentError, "picture inside"),
        (gsm.vectors(numpy.zeros((2, 5))), gsm.ArgumentError, "shape"),
        (gsm.vectors(numpy.zeros((2, 2), "i4")), gsm.ArgumentError, "floats"),
        (gsm.image(numpy.zeros((2, 2, 3), "u1"), "RGBA8"), gsm.ArgumentError, "picture"),
        (gsm.image(numpy.zeros((2, 2, 3), "u1"), "XYZ"), gsm.ArgumentError, "format"),
        (gsm.Vector2i(2**31, 0), gsm.ArgumentError, "32 bits"),
        (gsm.Vector2("a", 0), TypeError, "number"),  # type: ignore[arg-type]
        (["a\x00b"], gsm.ArgumentError, r"value\[0\].*NUL"),
        ("\ud800", gsm.ArgumentError, "Unicode"),
        (["\ud800"], gsm.ArgumentError, "Unicode"),
        (nested(1025), gsm.ArgumentError, "1024"),
        ({(1,): 1, nested(0): 2, "k": CYCLE}, gsm.ArgumentError, "contains itself"),
        (bytes(1 << 20) + b"x", gsm.ArgumentError, "value.*1048577"),
        ([bytes(1 << 20)], gsm.ArgumentError, "1048576"),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_a_value_without_a_meaning_elsewhere_is_refused(
    mirror: Mirror, value: Any, error: type[Exception], text: str
) -> None:
    mirror.stream.write("before")
    with pytest.raises(error, match=text):
        mirror.stream.write(value)
    assert mirror.stream.read() == "before"


def test_values_may_be_nested_as_deep_as_the_engine_allows(mirror: Mirror) -> None:
    got = mirror.sent(nested(1024))
    for _ in range(1024):
        got = got[0]
    assert got == 7


def header(number: int) -> bytes:
    return struct.pack("<I", number)


INT = struct.pack("<II", 2, 1)
HALF = struct.pack("<If", 3, 1.0)


def raw(mirror: Mirror, content: bytes, tag: int = 5) -> None:
    """Writes any message, as another program might."""
    mirror.stream.write(content)
    memory = mirror.stream.get_memory()
    word = memory.atomic_load_s64(0x100)
    readers = memory.atomic_load_u32(0x30)
    limit = memory.atomic_load_s64(0x38)
    slot = 0x180 + 128 * readers + (word & 0xFF) * (128 + (limit + 127) // 128 * 128)
    memory.atomic_store_u32(slot + 0x18, tag)


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        (header(27) + header(2) + INT + INT + HALF + INT, gsm.DataError, "equal in Python"),
        (header(27) + header(1) + header(28) + header(0) + INT, gsm.DataError, "list"),
        (header(28) + header(1), gsm.DataError, "offset"),
        (header(0), gsm.DataError, "null"),
        (header(24) + header(0), gsm.DataError, "Object"),
        (INT + INT, gsm.DataError, "8 bytes follow"),
        (b"", gsm.DataError, "bytes"),
        (header(99), gsm.DataError, "unknown"),
    ],
)
def test_bytes_that_are_no_value_count_as_read(
    mirror: Mirror, content: bytes, error: type[Exception], text: str
) -> None:
    raw(mirror, content)
    assert mirror.stream.has_new_data()
    with pytest.raises(error, match=text):
        mirror.stream.read()
    assert not mirror.stream.has_new_data()


def test_an_unknown_kind_is_named(mirror: Mirror) -> None:
    raw(mirror, b"x", 6)
    with pytest.raises(gsm.DataError, match="tag is 6"):
        mirror.stream.read()
    assert not mirror.stream.has_new_data()


def test_text_that_is_no_text_is_replaced(mirror: Mirror) -> None:
    raw(mirror, b"a\xffb", 2)
    assert mirror.stream.read() == "a\ufffdb"


def test_memory_is_reckoned_before_a_value_is_made(name: str) -> None:
    with Stream.create(name, 1 << 20, max_memory=10_000) as stream:
        stream.write([1] * 100)
        assert stream.read() == [1] * 100
        stream.write([1] * 1000)
        with pytest.raises(gsm.OutOfMemoryError, match="limit is 10000"):
            stream.read()
        stream.write([bytes(20_000)])
        with pytest.raises(gsm.OutOfMemoryError):
            stream.read()


def size_of(value: Any) -> int:
    """Returns the memory of a value with all that is in it."""
    if value is None or isinstance(value, bool):
        # There is only one.
        return 0
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(size_of(key) + size_of(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return size + sum(map(size_of, value))
    if isinstance(value, numpy.ndarray):
        return size + value.nbytes
    return size


KEYS = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_characters="\0", codec="utf-8"))
)
VALUES = st.recursive(
    KEYS
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.binary()
    | st.sampled_from(MATH)
    | st.builds(numpy.array, st.lists(st.floats(width=32, allow_nan=False)), st.just("f4")),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES.filter(lambda value: value is not None))
def test_any_nested_value_comes_back(mirror: Mirror, value: Any) -> None:
    assert same(mirror.sent(value), value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.lists(VALUES))
def test_the_reckoned_memory_is_not_exceeded(mirror: Mirror, value: list[Any]) -> None:
    mirror.stream.write(value)
    memory = size_of(mirror.stream.read())
    limited = Stream.attach(mirror.stream.get_memory(), max_memory=memory - 1)
    # No value takes more than was reckoned, so this one is refused.
    with pytest.raises(gsm.OutOfMemoryError):
        limited.read()
    limited.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_shape_and_stride_comes_back(mirror: Mirror, data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    steps = [data.draw(st.sampled_from([1, 2, -1, -2])) for _ in shape]
    dtype = data.draw(st.sampled_from(list(NUMBERS)))
    value = (
        numpy.arange(math.prod(shape))
        .reshape(shape)
        .astype(dtype)[tuple(slice(None, None, s) for s in steps)]
    )
    got = mirror.sent(gsm.array(value))
    assert got.shape == value.shape
    assert numpy.array_equal(got, value)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=64), tag=st.sampled_from([2, 5, 5, 5, 0x01000103, 4]))
def test_any_bytes_are_decoded_or_refused(mirror: Mirror, content: bytes, tag: int) -> None:
    raw(mirror, content, tag)
    with contextlib.suppress(gsm.DataError):
        mirror.stream.read()


def test_without_numpy_arrays_are_memoryviews(name: str) -> None:
    source = """if True:
        import sys
        sys.modules["numpy"] = None
        import array, godot_shared_memory as gsm
        with gsm.Stream.create(sys.argv[1], 4096) as stream:
            stream.write(array.array("f", [1, 2.5]))
            got = stream.read()
            assert isinstance(got, memoryview) and got.tolist() == [1, 2.5], got
            got[0] = 7
            stream.write(memoryview(bytes(12)).cast("B", (2, 2, 3)))
            got = stream.read()
            assert (got.shape, got.format) == ((2, 2, 3), "B"), got
            with stream.begin((2, 3), "float32") as view:
                view[1, 2] = 5
            with stream.frame() as view:
                assert view.tolist() == [[0, 0, 0], [0, 0, 5]], view.tolist()
    """
    subprocess.run([sys.executable, "-c", source, name], check=True, timeout=60)
