"""JSON bodies: what is read, what is written, and that nothing hostile gets further than an InvalidInput."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.tensors import bfloat16
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.tensor import Json, Tensor, tensor
from pipeline.wire.json_tensors import dump, dump_answer, flat_data, parse, tensor_from
from tests.tensors.strategies import TEXTS, same, tensors

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
)


@given(VALUES)
def test_json_that_is_written_is_read_as_it_was(value):
    assert parse(dump(value)) == value
    assert parse(json.dumps(value).encode()) == value
    assert parse(memoryview(dump(value))) == value


@given(VALUES)
def test_a_body_with_nan_is_read_as_strict_json_is(value):
    read, nan = parse(f"[{json.dumps(value)}, NaN]".encode())
    assert math.isnan(nan)
    assert read == value


def test_a_byte_order_mark_is_none_of_the_text_and_there_is_one_at_most():
    assert parse(b"\xef\xbb\xbf[1]") == [1]
    assert math.isnan(parse(b"\xef\xbb\xbf[NaN]")[0])
    for body in (b"\xef\xbb\xbf" * 100_000 + b"[1]", b"\xef\xbb\xbf"):
        with pytest.raises(InvalidInput, match="Unrecognized request format"):
            parse(body)


def test_the_words_that_strict_json_lacks():
    nan, positive, negative = parse(b"[NaN, Infinity, -Infinity]")
    assert math.isnan(nan)
    assert (positive, negative) == (math.inf, -math.inf)


@pytest.mark.parametrize("extra", ["", ", NaN"])
@pytest.mark.parametrize(
    ("text", "number"),
    [
        (str(2**64 - 1), 2**64 - 1),
        (str(-(2**63)), -(2**63)),
        (str(2**64), 2.0**64),
        (str(-(2**63) - 1), -(2.0**63)),
        ("1" + "0" * 300, 1e300),
    ],
    ids=["largest", "smallest", "past it", "below it", "far past it"],
)
def test_integers_past_64_bits_are_floats_with_nan_in_the_body_or_without(text, number, extra):
    read = parse(f"[{text}{extra}]".encode())[0]
    assert read == number
    assert type(read) is type(number)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[1,",
        b"nul",
        b"NaN,",
        b"{'a': 1}",
        b"[NaN",
        b"[nan]",
        b"[NAN]",
        b"[+Infinity]",
        b"[1] [NaN]",
        b"[01, NaN]",
        b"\xff",
        b'["\xff", NaN]',
        b'["\xed\xa0\x80", NaN]',
        b'["\\ud800"]',
        b'["\\ud800", NaN]',
        b'{"\\udc00": NaN}',
        b"\x00",
        b"[1e400]",
        b"[1e400, NaN]",
        b"[-1e400, NaN]",
        "[NaN]".encode("utf-16"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"[NaN," + b"[" * 100_000, id="deep with NaN"),
        pytest.param(b"[" * 5000 + b"NaN" + b"]" * 5000, id="deep around NaN"),
        pytest.param(b'{"a":' * 5000 + b"NaN" + b"}" * 5000, id="deep objects"),
        pytest.param(b"[" + b"9" * 5000 + b"]", id="huge"),
        pytest.param(b"[" + b"9" * 5000 + b", NaN]", id="huge with NaN"),
        pytest.param(b"[-" + b"9" * 400 + b", NaN]", id="infinite with NaN"),
        pytest.param(b'["' + b"secret " * 10_000, id="long"),
        pytest.param(b'["NaN' + b"secret " * 10_000, id="long with NaN"),
    ],
)
def test_what_is_no_json_is_refused_with_a_position_and_without_the_body(body):
    with pytest.raises(
        InvalidInput, match=r"^Unrecognized request format: .*: line \d+ column \d+ \(char \d+\)$"
    ) as caught:
        parse(body)
    assert len(caught.value.reason) < 200
    assert "secret" not in caught.value.reason


def test_an_empty_body_has_kserves_text():
    with pytest.raises(InvalidInput) as caught:
        parse(b"")
    assert caught.value.reason == (
        "Unrecognized request format: Input is a zero-length, empty document: line 1 column 1 (char 0)"
    )


@given(st.binary(max_size=30) | st.text('[]{},:"\\NaNInfinity0123e.-tru', max_size=30).map(str.encode))
def test_any_bytes_are_json_or_invalid_input(body):
    try:
        dump(parse(body))
    except InvalidInput as error:
        assert len(error.reason) < 200


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([math.nan, math.inf, -math.inf, 1.0], b"[null,null,null,1.0]"),
        (np.array([0.1, np.nan, -np.inf], dtype=np.float32), b"[0.1,null,null]"),
        (np.array([[1, 2]], dtype=np.uint8), b"[[1,2]]"),
        ({"b": True, "a": None, 1: "ä"}, '{"b":true,"a":null,"1":"ä"}'.encode()),
        (np.float32(0.1), b"0.1"),
    ],
)
def test_json_is_strict_compact_and_in_order(value, text):
    assert dump(value) == dump_answer(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": b"text"}, b'{"a":"text"}'),
        ([np.array("x"), np.array([["y"]])], b'["x",[["y"]]]'),
        ({"s": {1}}, b'{"s":[1]}'),
        ([np.arange(4)[::2], np.arange(4).reshape(2, 2).T], b"[[0,2],[[0,2],[1,3]]]"),
        ((1, (2,)), b"[1,[2]]"),
        (np.array(1.5), b"1.5"),
        ("text", b'"text"'),
        (None, b"null"),
    ],
)
def test_what_steps_return_as_json_is_written(value, text):
    assert dump_answer(value) == text


@pytest.mark.parametrize(
    "value", [object(), {"a": 1j}, b"\xff", [b"\xff"], 2**70, "\ud800", {(1, 2): 3}, np.zeros(2, dtype=complex)]
)
def test_what_is_no_json_is_the_authors_fault(value):
    with pytest.raises(WrongAnswer, match="the answer is no JSON"):
        dump_answer(value)


def test_an_answer_that_holds_itself_is_the_authors_fault():
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(WrongAnswer, match="the answer is no JSON"):
        dump_answer(loop)


@given(tensors())
def test_a_tensor_as_flat_data_and_back(made):
    datatype, shape, data = flat_data("x", made)
    back = tensor_from("x", parse(dump(data)), datatype, shape)
    assert same(made, back, infinities=False)


@given(tensors())
def test_nested_data_is_the_same_tensor_as_flat_data(made):
    nested = flat_data("x", made)[2]
    nested = (
        nested.reshape(made.shape)
        if isinstance(nested, np.ndarray)
        else np.array(nested, dtype=object).reshape(made.shape)
    )
    back = tensor_from("x", parse(dump(nested.tolist())), made.datatype, made.shape)
    assert same(made, back, infinities=False)


FP32, INT8, BYTES = Datatype.FP32, Datatype.INT8, Datatype.BYTES


@pytest.mark.parametrize(
    ("data", "datatype", "shape"),
    [
        ([], FP32, (0,)),
        ([], FP32, (0, 4)),
        ([[], []], FP32, (2, 0)),
        ([], FP32, (2, 0, 3)),
        (5, FP32, ()),
        ([5], FP32, ()),
        ([1, 2, 3, 4], FP32, (2, 2)),
        ([[1, 2], [3, 4]], FP32, (2, 2)),
        ([[[[[[[[1]]]]]]]], FP32, (1,) * 8),
        ([1], FP32, (1,) * 64),
        ([1.0, -0.0], INT8, (2,)),
        (["a"], BYTES, (1, 1)),
        ("a", BYTES, ()),
    ],
)
def test_data_is_flat_or_nested_exactly_as_the_shape(data, datatype, shape):
    assert tensor_from("x", data, datatype, shape).shape == shape


@pytest.mark.parametrize(
    ("data", "datatype", "shape", "text"),
    [
        ([1, 2, 3], FP32, (2, 2), '"x" (FP32[2,2]): expected 4 elements, got 3'),
        ([], FP32, (1,), '"x" (FP32[1]): expected 1 elements, got 0'),
        ([1], FP32, (0,), '"x" (FP32[0]): expected 0 elements, got 1'),
        ([[1, 2, 3, 4]], FP32, (2, 2), '"x" (FP32[2,2]): its data is flat, or nested as its shape, got nesting [1,4]'),
        ([[1], [2]], FP32, (2,), '"x" (FP32[2]): its data is flat, or nested as its shape, got nesting [2,1]'),
        (5, FP32, (1,), '"x" (FP32[1]): its data is flat, or nested as its shape, got 5'),
        ({"a": 1}, FP32, (1,), '"x" (FP32[1]): its data is flat, or nested as its shape, got an object'),
        (None, FP32, (0,), '"x" (FP32[0]): its data is flat, or nested as its shape, got None'),
        ("ab", BYTES, (2,), "\"x\" (BYTES[2]): its data is flat, or nested as its shape, got 'ab'"),
        (
            [[1, 2], [3]],
            FP32,
            (2, 2),
            '"x" (FP32[2,2]): rows are nested differently: row 1 has shape [1], row 0 has [2]',
        ),
        ([1, 1.7], INT8, (2,), '"x" (INT8[2]): element 1 is 1.7, which is no INT8'),
        ([1, 300], INT8, (2,), '"x" (INT8[2]): element 1 is 300, which does not fit INT8'),
        ([1, None], INT8, (2,), '"x" (INT8[2]): element 1 is None, which is no INT8'),
        ([1, True], FP32, (2,), '"x" (FP32[2]): element 1 is True, which is no FP32'),
        ([1, "2"], FP32, (2,), "\"x\" (FP32[2]): element 1 is '2', which is no FP32"),
    ],
)
def test_any_other_data_names_the_tensor_what_was_expected_and_what_came(data, datatype, shape, text):
    with pytest.raises(InvalidInput) as caught:
        tensor_from("x", data, datatype, shape)
    assert caught.value.reason == text


def test_json_is_one_bytes_element():
    assert flat_data("s", Json({"a": [1, math.nan]})) == (BYTES, (1,), ['{"a":[1,null]}'])


def test_bytes_that_are_no_text_need_binary():
    with pytest.raises(InvalidInput, match=r'output "x" is BYTES that are not UTF-8, .* ask for it in binary'):
        flat_data("x", tensor(np.array([b"ok", b"\xff"])))


def test_half_precision_is_written_as_numbers():
    half = Tensor(Datatype.BF16, bfloat16.from_float32(np.array([[1.5, -2]], dtype=np.float32)))
    assert dump(flat_data("x", half)[2]) == b"[1.5,-2.0]"
    assert dump(flat_data("x", tensor(np.array([0.5, 65504], dtype=np.float16)))[2]) == b"[0.5,65504.0]"


def test_a_body_has_a_bounded_number_of_lists():
    assert len(parse(b"[" + b"[]," * (2**21 - 2) + b"[]]")) == 2**21 - 1
    for body in (b"[" + b"[]," * 2**21 + b"[]]", b"[" + b"{}," * 2**21 + b"{}]"):
        with pytest.raises(
            InvalidInput, match="more than 2097152 lists and objects; send its tensors flat, or in binary"
        ):
            parse(body)
