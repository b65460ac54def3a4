"""What a caller sent, in an error message: always short, always one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tensors.shown import dims, kind, quoted, shown

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES)
def test_any_value_is_shown_short_and_on_one_line(value):
    for text in (shown(value), kind(value), shown([value]), shown({"a": value})):
        assert len(text) < 250
        assert text.isprintable()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.7, "1.7"), ("a", "'a'"), (b"\xff", r"b'\xff'"), (True, "True"), (None, "None"),
        ([1], "a list"), ({}, "an object"),
        pytest.param(10**5000, "an integer of 16610 bits", id="huge"),
        pytest.param(-(10**5000), "an integer of 16610 bits", id="very negative"),
        pytest.param("x" * 10**6, f"'{'x' * 40}'…", id="long text"),
        pytest.param(b"x" * 10**6, f"b'{'x' * 40}'…", id="long bytes"),
    ],
)  # fmt: skip
def test_values_are_shown_as_python_writes_them(value, text):
    assert shown(value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [("x", '"x"'), ("größe", '"größe"'), ("a\nb", r'"a\nb"'), ("\ud800", r'"\ud800"'), ("n" * 99, f'"{"n" * 40}…"')],
)
def test_names_are_quoted_and_what_does_not_print_is_escaped(name, text):
    assert quoted(name) == text
    quoted(name).encode()


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((), "[]"),
        ((2, 4), "[2,4]"),
        ((1,) * 64, "[1,1,1,1,1,1,1,1,…] (64 dimensions)"),
        ((10**5000,), "[an integer of 16610 bits]"),
    ],
)
def test_shapes_are_written_as_in_the_graph_file(shape, text):
    assert dims(shape) == text


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({}, "an object"),
        ([], "a list"),
        ((), "a list"),
        ("", "a text"),
        (True, "a boolean"),
        (None, "nothing"),
        (1, "a number"),
        (1.5, "a number"),
    ],
)
def test_json_values_have_a_word(value, word):
    assert kind(value) == word
