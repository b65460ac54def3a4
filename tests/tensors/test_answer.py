"""What a step returned, as tensors by name or JSON; graph.md, "Functions as steps"."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest

from pipeline.errors import WrongAnswer
from pipeline.tensors.answer import values_of
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import InferResponse
from pipeline.tensors.tensor import Json, Raw, Tensor, tensor

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


class Pair(NamedTuple):
    a: int
    b: float


class Foreign:
    """As torch and jax have it: an array by its ``__array__``."""

    def __array__(self, dtype=None, copy=None):
        return ROWS


def told(values):
    """Name → description and content, for tables."""
    return {
        name: value.value if isinstance(value, Json) else (value.describe(), value.array.tolist())
        for name, value in values.items()
    }


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        (ROWS, {"s": ("FP32[2,3]", ROWS.tolist())}),
        (ROWS.T, {"s": ("FP32[3,2]", ROWS.T.tolist())}),
        (np.float32(1.5), {"s": ("FP32[]", 1.5)}),
        (Foreign(), {"s": ("FP32[2,3]", ROWS.tolist())}),
        (np.array(["a", "b"]), {"s": ("BYTES[2]", [b"a", b"b"])}),
        (True, {"s": ("BOOL[]", True)}),
        (7, {"s": ("INT64[]", 7)}),
        (1.5, {"s": ("FP64[]", 1.5)}),
        ("ä", {"s": ("BYTES[]", "ä".encode())}),
        (b"\xff", {"s": ("BYTES[]", b"\xff")}),
        ([1, 2], {"s": ("INT64[2]", [1, 2])}),
        ((1, 2), {"s": ("INT64[2]", [1, 2])}),
        (Pair(1, 2.5), {"s": ("FP64[2]", [1, 2.5])}),
        ([], {"s": ("FP64[0]", [])}),
        ([["a"], ["b"]], {"s": ("BYTES[2,1]", [[b"a"], [b"b"]])}),
        ([[1, 2], [3, None]], {"s": ("FP64[2,2]", [[1, 2], [3, pytest.approx(np.nan, nan_ok=True)]])}),
        ([ROWS, ROWS], {"s": ("FP32[2,2,3]", [ROWS.tolist()] * 2)}),
        ([np.float32(1), np.float32(2)], {"s": ("FP32[2]", [1, 2])}),
        ([np.float64(1), 2.5], {"s": ("FP64[2]", [1, 2.5])}),
        ([[np.float32(1), 2], [3, np.int8(4)]], {"s": ("FP64[2,2]", [[1, 2], [3, 4]])}),
        ([np.array([1, 2]), [3, 4]], {"s": ("INT64[2,2]", [[1, 2], [3, 4]])}),
        ([np.zeros(1), np.zeros(2)], {"s": [[0.0], [0.0, 0.0]]}),
        ([[1], [2, 3]], {"s": [[1], [2, 3]]}),
        ([1, "a"], {"s": [1, "a"]}),
        ([{"a": 1}], {"s": [{"a": 1}]}),
        ([None], {"s": [None]}),
        ((1, "a"), {"s": [1, "a"]}),
        ({"a": ROWS, "b": np.array(1)}, {"a": ("FP32[2,3]", ROWS.tolist()), "b": ("INT64[]", 1)}),
        (OrderedDict(b=np.array(1), a=np.array(2)), {"b": ("INT64[]", 1), "a": ("INT64[]", 2)}),
        ({"predictions": [1]}, {"s": {"predictions": [1]}}),
        ({"a": [1, 2]}, {"s": {"a": [1, 2]}}),
        ({}, {"s": {}}),
        (
            InferResponse(model="m", outputs={"x": tensor(ROWS), "j": Json(1)}),
            {"x": ("FP32[2,3]", ROWS.tolist()), "j": 1},
        ),
        (InferResponse(model="m", outputs={"x": ROWS.T}), {"x": ("FP32[3,2]", ROWS.T.tolist())}),
        (InferResponse(model="m", outputs={"x": Tensor(Datatype.FP32, ROWS.T)}), {"x": ("FP32[3,2]", ROWS.T.tolist())}),
        (
            InferResponse(model="m", outputs={"x": Tensor(Datatype.BYTES, np.array(["a"], dtype=object))}),
            {"x": ("BYTES[1]", [b"a"])},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_answer_is_tensors_or_json(answer, values):
    made = values_of("s", answer)
    assert told(made) == values
    assert list(made) == list(values), "in the author's order"
    for value in made.values():
        if isinstance(value, Tensor):
            assert value.array.flags.c_contiguous
            assert not value.array.flags.writeable


def test_bfloat16_that_an_author_made_stays_bfloat16():
    bits = np.array([[0x3F80, 0x4000]], dtype=np.uint16).view(Datatype.BF16.dtype)
    response = InferResponse(model="m", outputs={"x": Tensor(Datatype.BF16, bits.T)})
    (made,) = values_of("s", response).values()
    assert made.describe() == "BF16[2,1]"
    assert made.array.flags.c_contiguous


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (None, "returned None; a step returns its result"),
        (object(), "returned a object, which is neither tensor nor JSON"),
        ({1, 2}, "returned a set"),
        (iter([1]), "returned a list_iterator"),
        (1j, "returned a complex"),
        (np.zeros(2, dtype=complex), "complex128"),
        (np.array([None, 1], dtype=object), "holds a NoneType"),
        (np.array(["\ud800"]), "surrogate"),
        (2**64, "does not fit UINT64"),
        ("\ud800", "surrogate"),
        ({1: ROWS}, "names a tensor 1"),
        ({"a": np.zeros(2, dtype="V4")}, "no tensor"),
        (InferResponse(model="m", outputs={"x": [1, 2]}), "an InferResponse with a list among its outputs"),
        (InferResponse(model="m", outputs={"x": Tensor(Datatype.FP32, np.zeros(1))}), "FP32 whose array is of float64"),
        (InferResponse(model="m", outputs={1: Json(1)}), "names a tensor 1"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_no_graph_can_carry_is_the_authors_fault(answer, named):
    with pytest.raises(WrongAnswer, match='step "s" ') as caught:
        values_of("s", answer)
    assert named in caught.value.message


def test_a_data_frame_is_a_tensor_per_column():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": [1, 2], "t": ["a", "b"]})
    assert told(values_of("s", frame)) == {"n": ("INT64[2]", [1, 2]), "t": ("BYTES[2]", [b"a", b"b"])}
    assert told(values_of("s", frame["n"])) == {"s": ("INT64[2]", [1, 2])}
    with pytest.raises(WrongAnswer, match="names a tensor 0"):
        values_of("s", pandas.DataFrame([[1, 2]]))
    with pytest.raises(WrongAnswer, match="holds a list"):
        values_of("s", pandas.DataFrame({"a": [[1], None]}))


def test_what_goes_out_as_it_is_stays_as_it_is_by_itself_and_among_the_outputs_of_a_response():
    raw = Raw(b"GIF89a")
    assert values_of("s", raw) == {"s": raw}
    assert values_of("s", InferResponse(model="m", outputs={"a": raw})) == {"a": raw}
