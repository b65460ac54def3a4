"""Arrays of numbers, read without Python objects: what is read is what a reader of all JSON reads, or nothing is."""

from __future__ import annotations

import tracemalloc

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.tensors.nested import array_of, flatten, natural_datatype
from pipeline.wire.numbers import quickest, read_numbers, rectangle, with_orjson
from tests.wire.number_texts import FLOATS, SHAPES, arrays, broken

READERS = [pytest.param(with_orjson, id="orjson")]
if quickest() is not with_orjson:
    READERS.append(pytest.param(quickest(), id="simdjson"))
EVERY_READER = pytest.mark.parametrize("reader", READERS)
IN_64_BITS = st.integers(1 - 2**63, 2**63 - 1).map(str) | FLOATS
TEXTS = (arrays() | broken()).map(lambda pair: pair[0]) | st.text("[]1,. e-\n", max_size=12)


def numbers_of(text, reader):
    body = text.encode()
    return read_numbers(b"?" + body + b"]?", 1, 1 + len(body), reader)


def plainly(text):
    """(datatype, shape, bytes) of a list's text as all lists are read; None where it is no tensor of numbers."""
    try:
        elements, shape = flatten(orjson.loads(text))
        datatype = natural_datatype(elements, shape)
        return datatype.dtype, shape, array_of(elements, datatype, shape).tobytes()
    except ValueError:
        return None


@EVERY_READER
@given(text=TEXTS)
@example("[[1],[]]")
@example("[1[],[2]]")
@example("[1[2,3],[4,5]]")
@example("[[1,2]3,[4,5]]")
@example("[[1 2,3],[4]]")
@example("[[1],2]")
@example("[1,2,]")
@example("[[],[]]")
@example("[1]]")
@example("[-9223372036854775809]")
@example("[-9223372036854775808,-9223372036854775809]")
@example("[18446744073709551616]")
@example("[")
@example("[1,23")
@example("[0.5,null]")
@example("[" * 65 + "1" + "]" * 65)
def test_what_is_read_is_what_a_reader_of_all_json_reads(reader, text):
    found = numbers_of(text, reader)
    if found is not None:
        assert (found.array.dtype, found.shape, found.array.tobytes()) == plainly(text)
        assert orjson.loads(found.text) == found.listed() == orjson.loads(text)
        assert found.lists == text.count("[")


@EVERY_READER
@given(pair=arrays(elements=IN_64_BITS))
def test_every_array_of_numbers_in_64_bits_is_read(reader, pair):
    text, shape = pair
    assert numbers_of(text, reader).shape == shape


@EVERY_READER
@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("[1,-2]", np.int64),
        ("[18446744073709551615,0]", np.uint64),
        ("[1,2.0]", np.float64),
        ("[1,2e0]", np.float64),
        ("[1,2E0]", np.float64),
    ],
)
def test_integers_are_integers_until_one_is_written_as_a_float(reader, text, dtype):
    assert numbers_of(text, reader).array.dtype == dtype


@EVERY_READER
@pytest.mark.parametrize("shape", [(100_000,), (50_000, 2), (100, 1000), (2, 50_000), (10, 10, 1000), (1, 1, 100_000)])
@pytest.mark.parametrize("space", ["", " "])
def test_what_is_longer_than_a_piece_is_read_whole(reader, shape, space):
    array = np.random.default_rng(0).standard_normal(shape)
    text = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY).decode().replace(",", f",{space}")
    found = numbers_of(text, reader)
    assert found.shape == shape
    assert np.array_equal(found.array.reshape(shape), array)
    assert numbers_of(text[:-1] + ",]", reader) is None
    # In the last piece, and of the same marks.
    odd = text.rindex(".")
    assert numbers_of(f"{text[:odd]}x{text[odd + 1 :]}", reader) is None


@given(SHAPES)
def test_the_shape_that_brackets_and_commas_draw(shape):
    text = b"." + orjson.dumps(np.zeros(shape), option=orjson.OPT_SERIALIZE_NUMPY) + b"."
    assert rectangle(text, 1, len(text) - 1) == shape


@pytest.mark.parametrize(
    "text", ["[[1,2],[3]]", "[[1],[2,3]]", "[[[1]],[2]]", "[1,[2]]", "[[1],2]", "[[1]", "", "1", "]["]
)
def test_rows_that_differ_have_no_shape(text):
    assert rectangle(text.encode(), 0, len(text)) is None


@EVERY_READER
def test_python_never_has_more_than_a_piece_of_the_numbers(reader):
    """The array itself takes 8 bytes for each number, and its parts before they are one as many again."""
    text = orjson.dumps(np.random.default_rng(0).standard_normal(200_000), option=orjson.OPT_SERIALIZE_NUMPY)
    tracemalloc.start()
    found = read_numbers(text, 0, len(text), reader)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * found.array.nbytes + 2_000_000
