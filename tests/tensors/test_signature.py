"""What tensors something takes and gives: reading a spec, and saying where a value disagrees."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.signature import TensorSpec, check, disagreement, parse_spec
from pipeline.tensors.tensor import Json, tensor
from tests.tensors.strategies import tensors

DIMS = st.lists(st.integers(-1, 10**18 - 1) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True), max_size=8)


@given(st.builds(TensorSpec, st.sampled_from(Datatype), DIMS.map(tuple), optional=st.booleans()))
def test_a_spec_is_read_as_it_is_written(spec):
    assert parse_spec(str(spec)) == spec
    assert all(isinstance(size, int) for size in spec.shape)
    assert len(spec.shape) == len(spec.dims)


@pytest.mark.parametrize(
    ("text", "datatype", "dims", "optional"),
    [
        ("FP32[n,4]", "FP32", ("n", 4), False), ("int64[-1]?", "INT64", (-1,), True), ("BYTES[]", "BYTES", (), False),
        (" BOOL [ a , b ] ? ", "BOOL", ("a", "b"), True), ("bf16[1,1,1,1,1,1,1,1]", "BF16", (1,) * 8, False),
        ("FP16[0]", "FP16", (0,), False), (f"UINT8[{','.join('1' * 64)}]", "UINT8", (1,) * 64, False),
    ],
)  # fmt: skip
def test_specs_in_every_form(text, datatype, dims, optional):
    assert parse_spec(text) == TensorSpec(Datatype[datatype], dims, optional)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "expected DTYPE"), ("FP32", "expected DTYPE"), ("FP32[n", "expected DTYPE"),
        ("FP32[n]x", "expected DTYPE"),
        ("FP32[[n]]", "expected DTYPE"), ("[n]", "expected DTYPE"), ("FP32[n]??", "expected DTYPE"),
        ("FLOAT[n]", '"FLOAT" is no datatype; there are BOOL'), ("fp33[n]", '"fp33" is no datatype'),
        ("FP32[-2]", 'got "-2"'), ("FP32[n,]", 'got ""'), ("FP32[,]", 'got ""'), ("FP32[1.5]", 'got "1.5"'),
        ("FP32[n m]", 'got "n m"'), ("FP32[2n]", 'got "2n"'), ("FP32[n-1]", 'got "n-1"'), ("FP32[٣]", 'got "٣"'),
        ("FP32[" + "9" * 19 + "]", "a dimension is a number"), ("FP32[" + ",".join("1" * 65) + "]", "65 dimensions"),
        pytest.param("FP32[" + "9" * 5000 + "]", "a dimension is a number", id="huge"),
    ],
)  # fmt: skip
def test_what_is_no_spec_is_refused_with_what_came(text, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        parse_spec(text)


def test_names_stand_as_minus_one_in_metadata():
    assert parse_spec("FP32[n,4,-1]").shape == [-1, 4, -1]


FLOATS = np.zeros((2, 4), dtype=np.float32)


@pytest.mark.parametrize(
    ("spec", "value", "reason"),
    [
        ("FP32[2,4]", tensor(FLOATS), None),
        ("FP32[n,m]", tensor(FLOATS), None),
        ("FP32[-1,4]", tensor(FLOATS), None),
        ("FP32[n,4]?", tensor(FLOATS), None),
        ("FP32[n,n]", tensor(FLOATS), "expected FP32[n,n] with n=2 as elsewhere, got FP32[2,4]"),
        ("FP32[n,n]", tensor(FLOATS.T), "expected FP32[n,n] with n=4 as elsewhere, got FP32[4,2]"),
        ("FP32[n,3]", tensor(FLOATS), "expected FP32[n,3], got FP32[2,4]"),
        ("FP32[n]", tensor(FLOATS), "expected FP32[n], got FP32[2,4]"),
        ("FP32[]", tensor(FLOATS), "expected FP32[], got FP32[2,4]"),
        ("FP64[n,4]", tensor(FLOATS), "expected FP64[n,4], got FP32[2,4]"),
        ("INT32[n]", Json([1]), "expected INT32[n], got JSON (list)"),
        ("BYTES[0]", tensor(np.array([], dtype=object)), None),
    ],
)
def test_a_value_agrees_or_the_reason_says_both(spec, value, reason):
    assert disagreement(parse_spec(spec), value, {}) == reason


@pytest.mark.parametrize("datatype", Datatype)
def test_any_number_takes_numbers_and_nothing_else(datatype):
    value = type(tensor(FLOATS))(datatype, np.zeros(1, dtype=datatype.dtype))
    spec = TensorSpec(Datatype.FP64, (1,), any_number=True)
    assert (disagreement(spec, value, {}) is None) == datatype.is_number


@given(tensors())
def test_a_tensor_agrees_with_its_own_description(made):
    assert disagreement(parse_spec(made.describe()), made, {}) is None


def test_a_named_dimension_is_one_size_over_all_tensors():
    specs = {"a": parse_spec("FP32[n,4]"), "b": parse_spec("INT64[n]?")}
    three, two = tensor(np.zeros(3, dtype=np.int64)), tensor(np.zeros(2, dtype=np.int64))
    assert check(specs, {"a": tensor(FLOATS), "b": two}, "input") is None
    reason = check(specs, {"a": tensor(FLOATS), "b": three}, "input")
    assert reason == 'input "b": expected INT64[n]? with n=2 as elsewhere, got INT64[3]'


def test_what_is_missing_is_named_unless_it_is_optional():
    specs = {"a": parse_spec("FP32[n]"), "b": parse_spec("FP32[n]?")}
    one = tensor(np.zeros(1, dtype=np.float32))
    assert check(specs, {"a": one}, "output") is None
    assert check(specs, {"b": one}, "output") == 'output "a": expected FP32[n], but it is missing'
    assert check(specs, {"a": one, "other": Json(1)}, "input") is None, "values without a spec are not its business"
