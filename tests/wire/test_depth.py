"""Depth told from bytes, against a walk over what they say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidInput
from pipeline.wire.depth import deeper_than
from pipeline.wire.json_tensors import dump_answer, parse

TEXTS = st.text(alphabet='[]{}"\\a', max_size=6)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def depth(value) -> int:
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
        case _:
            return 0


@given(VALUES, st.booleans())
def test_it_is_the_depth_of_the_value_whatever_its_texts_hold(value, spaced):
    text = json.dumps(value, indent=1 if spaced else None).encode()
    assert not deeper_than(text, depth(value))
    assert depth(value) == 0 or deeper_than(text, depth(value) - 1)


@pytest.mark.parametrize("around", [b"", b'"' + b"]" * 300_000 + b'",', b'"\\\\","\\"]",', b"[]," * 300_000])
def test_neither_text_nor_length_hides_it(around):
    text = b"[" + around + b"[" * 6 + b"]" * 6 + b"]"
    assert deeper_than(text, 6)
    assert not deeper_than(text, 7)


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_what_is_read_can_be_written_and_what_is_deeper_is_refused(opens, closes):
    value = parse((opens * 200 + "1" + closes * 200).encode())
    assert json.loads(dump_answer({"predictions": [value]})) == {"predictions": [value]}
    with pytest.raises(InvalidInput, match="deeper than 200 levels"):
        parse((opens * 201 + "1" + closes * 201).encode())
