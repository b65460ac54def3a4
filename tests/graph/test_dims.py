"""One name is one size over the whole graph, whichever way the names were joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.graph.dims import Dims
from pipeline.tensors.signature import TensorSpec, parse_spec


def conflicts(*pairs: tuple[str, str]) -> list[str | None]:
    dims = Dims()
    return [dims.conflict(parse_spec(wanted), parse_spec(given)) for wanted, given in pairs]


@pytest.mark.parametrize(
    ("wanted", "given_spec", "reason"),
    [
        ("FP32[n,4]", "FP32[n,4]", None),
        ("FP32[n,4]", "FP32[7,4]", None),
        ("FP32[-1,4]", "FP32[n,-1]", None),
        ("FP32[]", "FP32[]", None),
        ("BYTES[n]", "BYTES[m]?", None),
        ("FP32[n]", "FP64[n]", "FP64 is not FP32"),
        ("BYTES[n]", "FP64[n]", "FP64 is not BYTES"),
        ("FP32[n,4]", "FP32[n]", "1 dimensions are not 2"),
        ("FP32[n,4]", "FP32[n,5]", "axis 1 is 5, not 4"),
        ("FP32[n,n]", "FP32[3,4]", "axis 1 is 4, not n=3"),
        ("FP32[3,4]", "FP32[n,n]", "axis 1 is n=3, not 4"),
        ("FP32[a,b,a]", "FP32[b,3,4]", "axis 2 is 4, not a=3"),
    ],
)
def test_one_pair_agrees_or_says_where_it_does_not(wanted, given_spec, reason):
    assert conflicts((wanted, given_spec)) == [reason]


@pytest.mark.parametrize(
    ("pairs", "last"),
    [
        ([("FP32[n]", "FP32[4]"), ("FP32[n]", "FP32[5]")], "axis 0 is 5, not n=4"),
        ([("FP32[n]", "FP32[m]"), ("FP32[m]", "FP32[4]"), ("FP32[5]", "FP32[n]")], "axis 0 is n=4, not 5"),
        ([("FP32[a]", "FP32[4]"), ("FP32[b]", "FP32[5]"), ("FP32[a]", "FP32[b]")], "axis 0 is b=5, not a=4"),
        ([("FP32[a]", "FP32[4]"), ("FP32[b]", "FP32[5]"), ("FP32[a]", "FP32[b]"), ("FP32[b]", "FP32[5]")], None),
        ([("FP32[a]", "FP32[b]"), ("FP32[b]", "FP32[c]"), ("FP32[c]", "FP32[a]"), ("FP32[c]", "FP32[9]")], None),
        ([("FP32[n]", "FP32[-1]"), ("FP32[n]", "FP32[4]")], None),
    ],
)
def test_what_fits_is_remembered(pairs, last):
    assert conflicts(*pairs)[-1] == last


def test_a_model_that_converts_takes_every_number_and_no_text():
    model = TensorSpec(parse_spec("FP64[n]").datatype, ("n",), any_number=True)
    dims = Dims()
    assert dims.conflict(model, parse_spec("INT8[n]")) is None
    assert dims.conflict(parse_spec("FP32[n]"), model) is None
    assert dims.conflict(model, parse_spec("BYTES[n]")) == "BYTES is not FP64"


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3), min_size=6), st.data())
def test_names_that_have_sizes_never_conflict_with_themselves(sizes, data):
    """Any number of true statements about one assignment of sizes is free of contradiction, and a false one is not."""
    dim = st.sampled_from("abcdef")
    dims = Dims()
    for name, size in sizes.items():
        assert dims.conflict(parse_spec(f"FP32[{name}]"), parse_spec(f"FP32[{size}]")) is None
    for one, other in data.draw(st.lists(st.tuples(dim, dim), max_size=20)):
        reason = dims.conflict(parse_spec(f"FP32[{one}]"), parse_spec(f"FP32[{other}]"))
        assert (reason is None) == (sizes[one] == sizes[other])
