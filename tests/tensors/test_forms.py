"""The forms in which a function asks for what it reads: each from tensors and JSON, and what each refuses."""

from __future__ import annotations

import math
import re
import sys

import numpy as np
import pytest
from hypothesis import given

from pipeline.errors import NotInstalled
from pipeline.tensors import bfloat16
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Form, convert, describe, to_json
from pipeline.tensors.nested import tensor_of
from pipeline.tensors.tensor import Json, Raw, Tensor, tensor
from tests.tensors.strategies import same, tensors

GRID = tensor(np.arange(4, dtype=np.float32).reshape(2, 2))
TEXTS = tensor_of([["a", "ä"]])
RAW = tensor_of(b"\xff")
HALF = Tensor(Datatype.BF16, bfloat16.from_float32(np.array([1.5], dtype=np.float32)))


def of(data):
    return tensor_of(data)


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        (Form.ANY, Json({"a": 1}), {"a": 1}),
        (Form.ANY, of(1), np.array(1)),
        (Form.ARRAY, GRID, GRID.array),
        (Form.LIST, GRID, [[0.0, 1.0], [2.0, 3.0]]),
        (Form.LIST, TEXTS, [["a", "ä"]]),
        (Form.LIST, of([b"\xff"]), [b"\xff"]),
        (Form.LIST, Json([1, "a"]), [1, "a"]),
        (Form.LIST, HALF, [1.5]),
        (Form.LIST, of([]), []),
        (Form.TEXTS, TEXTS, ["a", "ä"]),
        (Form.TEXTS, of("a"), ["a"]),
        (Form.TEXTS, Json(["a"]), ["a"]),
        (Form.TEXTS, Json([]), []),
        (Form.DICT, Json({"a": 1}), {"a": 1}),
        (Form.INT, of(3), 3),
        (Form.INT, of([[3.0]]), 3),
        (Form.INT, Json(3), 3),
        (Form.INT, Json("3"), 3),
        (Form.INT, HALF, None),
        (Form.INT, of([2**64 - 1]), 2**64 - 1),
        (Form.INT, Json("-3"), -3),
        (Form.FLOAT, of(3), 3.0),
        (Form.FLOAT, of([0.5]), 0.5),
        (Form.FLOAT, Json("1e3"), 1000.0),
        (Form.FLOAT, HALF, 1.5),
        (Form.BOOL, of([True]), True),
        (Form.BOOL, Json(False), False),
        (Form.BOOL, Json("TRUE"), True),
        (Form.BOOL, Json("0"), False),
        (Form.STR, of("ä"), "ä"),
        (Form.STR, of([["ä"]]), "ä"),
        (Form.STR, Json("x"), "x"),
        (Form.BYTES, RAW, b"\xff"),
        (Form.BYTES, of(["ä"]), "ä".encode()),
        (Form.BYTES, Json("ä"), "ä".encode()),
    ],
)
def test_a_value_in_each_form(form, value, expected):
    if expected is None:
        with pytest.raises(ValueError, match="expected int, got BF16"):
            convert(form, value)
        return
    made = convert(form, value)
    assert type(made) is type(expected)
    assert np.array_equal(made, expected) if isinstance(expected, np.ndarray) else made == expected
    assert np.array_equal(convert(form, {"only": value}), expected), "the only one of several is that one"


@pytest.mark.parametrize(
    ("form", "value", "came"),
    [
        (Form.ARRAY, Json([1]), "JSON (list)"),
        (Form.ARRAY, Json({}), "JSON (dict)"),
        (Form.LIST, of(1), "INT64[]"),
        (Form.LIST, Json({}), "JSON (dict)"),
        (Form.TEXTS, GRID, "FP32[2,2]"),
        (Form.TEXTS, Json(["a", 1]), "JSON (list)"),
        (Form.TEXTS, of([b"\xff"]), "not UTF-8"),
        (Form.ARRAYS, GRID, "FP32[2,2]"),
        (Form.DICT, Json([]), "JSON (list)"),
        (Form.DICT, GRID, "FP32[2,2]"),
        (Form.INT, GRID, "FP32[2,2]"),
        (Form.INT, of([1.5]), "FP64[1]"),
        (Form.INT, of(True), "BOOL[]"),
        (Form.INT, of("3"), "BYTES[]"),
        (Form.INT, of([math.nan]), "FP64[1]"),
        (Form.INT, of([math.inf]), "FP64[1]"),
        (Form.INT, Json(True), "JSON (bool)"),
        (Form.INT, Json(None), "JSON (NoneType)"),
        (Form.INT, Json("x"), '"x"'),
        (Form.INT, Json("1.5"), '"1.5"'),
        (Form.INT, of([]), "FP64[0]"),
        (Form.FLOAT, of(True), "BOOL[]"),
        (Form.FLOAT, Json("nan"), '"nan"'),
        (Form.FLOAT, Json("inf"), '"inf"'),
        (Form.FLOAT, Json([1.0]), "JSON (list)"),
        (Form.BOOL, of(1), "INT64[]"),
        (Form.BOOL, Json("yes"), "JSON (str)"),
        (Form.BOOL, Json(1), "JSON (int)"),
        (Form.STR, RAW, "not UTF-8"),
        (Form.STR, of(1), "INT64[]"),
        (Form.STR, TEXTS, "BYTES[1,2]"),
        (Form.STR, Json(1), "JSON (int)"),
        (Form.BYTES, of(1), "INT64[]"),
        (Form.BYTES, Json(None), "JSON (NoneType)"),
        pytest.param(Form.FLOAT, Json(10**400), "JSON (int)", id="huge"),
        pytest.param(Form.INT, Json("9" * 5000), "the text", id="huge text"),
    ],
)
def test_what_is_not_of_the_form_is_refused_with_both(form, value, came):
    with pytest.raises(ValueError, match=f"expected .*{re.escape(came)}") as caught:
        convert(form, value)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("form", [f for f in Form if f not in (Form.REQUEST, Form.CONTEXT, Form.HANDLE, Form.FRAME)])
@given(value=tensors(texts=False))
def test_any_tensor_in_any_form_is_a_value_or_a_short_reason(form, value):
    try:
        convert(form, value)
    except ValueError as error:
        assert "expected" in str(error)
        assert len(str(error)) < 150


@pytest.mark.parametrize("form", [Form.ARRAY, Form.LIST, Form.INT, Form.STR, Form.TEXTS])
def test_several_tensors_are_no_single_one_and_the_error_says_how_to_choose(form):
    several = {"a": GRID, "b": TEXTS}
    with pytest.raises(ValueError, match=r'expected one tensor, got 2: "a", "b"; say which one, as step\.tensor'):
        convert(form, several)
    assert describe(several) == 'the tensors "a", "b"'


def test_dicts_take_all_there_is():
    several = {"a": GRID, "j": Json([1])}
    made = convert(Form.DICT, several)
    assert np.shares_memory(made["a"], GRID.array)
    assert made["j"] == [1]
    assert convert(Form.DICT, {"s": Json({"k": 1})}) == {"k": 1}, "one JSON object is itself"
    assert np.shares_memory(convert(Form.ARRAYS, {"a": GRID})["a"], GRID.array)
    assert convert(Form.DICT, {}) == {}
    with pytest.raises(ValueError, match=r"expected np\.ndarray, got JSON"):
        convert(Form.ARRAYS, several)


@given(tensors())
def test_json_of_a_tensor_holds_python_values_of_the_same_nesting(value):
    made = to_json(value)
    back = np.array(made, dtype=object) if value.array.size else value.array
    assert back.shape == value.shape
    if value.datatype is not Datatype.BF16 and 0 not in value.shape:
        array = np.array(made, dtype=value.datatype.dtype)
        if value.datatype is Datatype.BYTES:
            array = tensor(array).array
        assert same(value, Tensor(value.datatype, array))


def test_a_frame_without_pandas_is_the_servers_fault_and_the_log_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        NotInstalled, match=r"^This server lacks pandas, which makes the table that the model reads\."
    ) as caught:
        convert(Form.FRAME, {"x": GRID})
    assert caught.value.internals == 'pip install "pipeline-serve[pandas]"'


def test_frames_have_a_column_per_tensor():
    pandas = pytest.importorskip("pandas")
    columns = {"n": of([1, 2]), "t": of([["a"], ["b"]]), "h": Tensor(HALF.datatype, HALF.array.repeat(2))}
    frame = convert(Form.FRAME, columns)
    assert list(frame.columns) == ["n", "t", "h"]
    assert frame.values.tolist() == [[1, "a", 1.5], [2, "b", 1.5]]
    assert convert(Form.FRAME, {"x": GRID}).values.tolist() == GRID.array.tolist()
    assert convert(Form.FRAME, Json([{"a": 1}, {"a": 2}]))["a"].tolist() == [1, 2]
    assert isinstance(convert(Form.FRAME, of([1])), pandas.DataFrame)
    for wrong in (
        {"a": of([1]), "b": of([1, 2])},
        {"a": GRID, "b": of([1, 2])},
        {"a": of([1]), "b": Json(1)},
        {"a": Json(1)},
        {"a": Raw(b"x"), "b": of([1])},
    ):
        with pytest.raises(ValueError, match="expected columns"):
            convert(Form.FRAME, wrong)


def test_raw_bytes_are_bytes_to_who_asks_for_them_or_for_anything_and_nothing_else():
    raw = Raw(b"\xff")
    assert convert(Form.BYTES, raw) == convert(Form.ANY, raw) == b"\xff"
    assert convert(Form.DICT, {"a": raw, "b": Json(1)}) == {"a": b"\xff", "b": 1}
    for form in (Form.ARRAY, Form.STR, Form.DICT, Form.FRAME):
        with pytest.raises(ValueError, match=rf"expected {re.escape(form.value)}, got raw bytes \(1\)"):
            convert(form, raw)


def test_a_stream_is_no_value_of_any_form():
    async def chunks():
        yield b"x"

    for form in (Form.ANY, Form.BYTES, Form.ARRAY):
        with pytest.raises(ValueError, match="got a stream, which can be nothing but the answer of a graph"):
            convert(form, Raw(chunks()))
