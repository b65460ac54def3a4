"""Universal Binary JSON: what the specification says bytes mean; anything else is a ValueError, however made up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtimes.ubjson import read_ubjson

VALUES = [
    (b"Z", None),
    (b"T", True),
    (b"F", False),
    (b"i\xff", -1),
    (b"U\xff", 255),
    (b"I\x01\x00", 256),
    (b"l\x00\x01\x00\x00", 65536),
    (b"L" + bytes(7) + b"\x07", 7),
    (b"d\x3f\x80\x00\x00", 1.0),
    (b"SU\x02ab", "ab"),
    (b"[i\x01[T]]", [1, [True]]),
    (b"[#U\x02i\x01Z", [1, None]),
    (b"{U\x01aT U\x01b{}}".replace(b" ", b""), {"a": True, "b": {}}),
]


@pytest.mark.parametrize(("data", "value"), VALUES)
def test_a_value_is_read_as_specified(data, value):
    assert read_ubjson(data) == value


def test_an_array_of_one_type_is_numpys():
    found = read_ubjson(b"[$l#U\x02\x00\x00\x00\x01\xff\xff\xff\xff")
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [1, -1]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cut short"),
        (b"[#L\x7f" + b"\xff" * 7, "cut short"),
        (b"[$d#L\x7f" + b"\xff" * 7, "cut short"),
        (b"SL\x7f" + b"\xff" * 7, "cut short"),
        (b"Si\xffx", "-1 before byte 3 is no size"),
        (b"Sd\x3f\x80\x00\x00x", "is no size"),
        (b"[$lU\x02", "no size at byte"),
        (b"q", "'q' at byte 0 is no type"),
        (b"[" * 100_000, "more than 64 deep"),
    ],
)
def test_what_is_none_is_refused(data, says):
    with pytest.raises(ValueError, match=says):
        read_ubjson(data)


@given(st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b"$", b"#", b"l", b"U", b"S", b"\1", b"\2"])).map(b"".join))
def test_any_bytes_are_a_value_or_refused(data):
    try:
        read_ubjson(data)
    except ValueError as error:
        assert str(error)
