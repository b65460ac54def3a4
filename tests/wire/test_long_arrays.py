"""Long arrays of numbers in answers: the bytes are those of a text that is written at once."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from hypothesis import given

from pipeline.errors import WrongAnswer
from pipeline.tensors.message import InferResponse
from pipeline.tensors.tensor import Json, tensor
from pipeline.wire import v1, v2
from pipeline.wire.json_tensors import dump_answer
from pipeline.wire.long_arrays import Long, any_long, dump_in_parts, in_parts
from pipeline.wire.v2_reply import Options
from tests.wire.test_json_tensors import VALUES

MANY = 100_000
LONGEST = np.arange(3_000_000, dtype=np.int8)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint64", "bool"])
@pytest.mark.parametrize(
    "shape", [(-1,), (MANY, 3), (3, MANY), (1, -1), (1, 1, MANY, 3), (10, 3, 1, 10_000), (1, 1, 1, -1)]
)
def test_an_array_in_parts_says_what_it_says_at_once(dtype, shape):
    array = np.linspace(-99.5, 99.5, 3 * MANY).astype(dtype).reshape(shape)
    if array.dtype.kind == "f":
        array.flat[[1, 65_536, -1]] = np.nan, np.inf, -np.inf
    parts = dump_in_parts({"before": 1, "data": in_parts(array), "after": [2]})
    assert b"".join(parts) == dump_answer({"before": 1, "data": array, "after": [2]})
    assert len(parts) >= len(["before", "[", "1", ",", "2", "]", "after"])


@given(VALUES)
def test_what_stands_around_it_is_written_as_ever(value):
    array = np.arange(5.0)
    parts = dump_in_parts({"before": value, "data": Long(array), "between": value, "more": [Long(array), "\0"]})
    assert b"".join(parts) == dump_answer({"before": value, "data": array, "between": value, "more": [array, "\0"]})
    assert dump_in_parts(value) == (dump_answer(value),)


def test_the_longest_array_has_as_many_parts_as_the_kernel_takes_at_once():
    assert len(dump_in_parts(Long(LONGEST))) < 1024
    assert len(dump_in_parts(Long(LONGEST.reshape(-1, 1)))) < 1024


def test_what_no_json_can_say_is_an_error_as_ever():
    with pytest.raises(WrongAnswer):
        dump_in_parts({"data": Long(LONGEST), "x": object()})


OUTPUTS = {"long": tensor(np.arange(MANY)), "short": tensor(np.arange(3.0))}


@pytest.mark.parametrize(
    ("outputs", "options", "long"),
    [
        (OUTPUTS, Options(), True),
        (OUTPUTS, Options(binary=True), False),
        (OUTPUTS, Options(outputs={"long": True}), False),
        (OUTPUTS, Options(binary=True, outputs={"long": False}), True),
        (OUTPUTS, Options(outputs={"short": True}), True),
        ({"short": OUTPUTS["short"], "json": Json([1] * MANY)}, Options(), False),
    ],
)
def test_what_goes_out_in_binary_takes_no_time(outputs, options, long):
    response = InferResponse(model="m", outputs=outputs)
    assert v2.takes_long(response, options) is long


def test_version_1_has_nothing_in_binary():
    assert v1.takes_long(InferResponse(model="m", outputs=OUTPUTS), v1.Options())
    assert any_long(OUTPUTS)
    assert not any_long({"short": OUTPUTS["short"]})


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("outputs", [OUTPUTS, {"long": OUTPUTS["long"]}, {"a": OUTPUTS["long"], "b": OUTPUTS["long"]}])
def test_an_answer_reads_back_as_its_arrays(rows, outputs):
    response = InferResponse(model="m", outputs=outputs)
    arrays = {name: value.array.tolist() for name, value in outputs.items()}
    told = orjson.loads(b"".join(v2.encode(response, Options()).body))
    assert {output["name"]: output["data"] for output in told["outputs"]} == arrays
    told = orjson.loads(b"".join(v1.encode(response, v1.Options(rows=rows)).body))
    if len(arrays) == 1:
        assert told == {"predictions" if rows else "outputs": arrays["long"]}
    elif rows and "a" in arrays:
        assert told == {"predictions": [{"a": number, "b": number} for number in arrays["a"]]}
    else:
        assert told == {"outputs": arrays}
