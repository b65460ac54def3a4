"""What a model with named inputs is fed: nothing that loses, nothing that is of another shape."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from pipeline.runtimes.catalog import Misfit
from pipeline.runtimes.feeding import _WIDER, fed, fitted, text
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.signature import parse_spec
from pipeline.tensors.tensor import Tensor, tensor

PAIRS = [(narrow, wide) for narrow, wides in _WIDER.items() for wide in wides]
RAW = {Datatype.BF16: np.uint16}


@pytest.mark.parametrize(("narrow", "wide"), PAIRS, ids=lambda own: own.name)
@settings(max_examples=20)
@given(st.data())
def test_widening_loses_nothing(narrow, wide, data):
    dtype = RAW.get(narrow, narrow.dtype)
    elements = {"allow_nan": False} if np.dtype(dtype).kind == "f" else None
    array = data.draw(of_numpy.arrays(dtype, 4, elements=elements))
    own = Tensor(narrow, array.view(narrow.dtype))
    found = fitted("x", own, wide, None)
    assert found.datatype is wide
    assert found.array.dtype == wide.dtype
    assert found.array.tolist() == own.numbers.tolist() or np.isnan(own.numbers).any()


NUMBERS = [own for own in Datatype if own.is_number or own is Datatype.BOOL]


@pytest.mark.parametrize(("given", "wanted"), list(itertools.permutations(NUMBERS, 2)), ids=lambda own: own.name)
def test_what_might_lose_is_refused(given, wanted):
    own = Tensor(given, np.zeros(2, RAW.get(given, given.dtype)).view(given.dtype))
    if wanted in _WIDER.get(given, ()):
        assert fitted("x", own, wanted, None).shape == (2,)
    else:
        with pytest.raises(Misfit, match=rf"^\"x\" is {given.name}\[2\]; the model takes {wanted.name}$"):
            fitted("x", own, wanted, None)


@pytest.mark.parametrize(
    ("spec", "shape", "fits"),
    [
        ("FP32[-1,4]", (2, 4), True),
        ("FP32[-1,4]", (0, 4), True),
        ("FP32[n,4]", (2, 4), True),
        ("FP32[-1,4]", (2, 3), False),
        ("FP32[-1,4]", (4,), False),
        ("FP32[]", (), True),
        ("FP32[]", (1,), False),
        ("FP32[-1]", (), False),
    ],
)
def test_shapes_must_be_those_of_the_spec(spec, shape, fits):
    own = tensor(np.zeros(shape, np.float32))
    if fits:
        assert fitted("x", own, Datatype.FP32, parse_spec(spec)) is own
    else:
        with pytest.raises(Misfit, match="the model takes FP32"):
            fitted("x", own, Datatype.FP32, parse_spec(spec))


ONE = tensor(np.zeros(1))


def test_the_only_input_goes_under_any_name_and_several_by_theirs():
    assert fed({"rows": ONE}, {"x": None}) == {"x": ("rows", ONE)}
    assert fed({"b": ONE, "a": ONE}, {"a": None, "b": None}) == {"a": ("a", ONE), "b": ("b", ONE)}
    for inputs, names, says in [
        ({"x": ONE, "y": ONE}, ["x"], '"y" is no input of the model; there are none but x'),
        ({"a": ONE}, ["a", "b"], '"b" is missing; there is "a"'),
        ({}, ["x"], '"x" is missing$'),
    ]:
        with pytest.raises(Misfit, match=f"^{says}"):
            fed(inputs, dict.fromkeys(names))


def test_bytes_become_text_in_their_shape():
    own = tensor(np.array([["a", "é"], ["", "日"]], dtype=object))
    assert text("x", own).tolist() == [["a", "é"], ["", "日"]]
    with pytest.raises(Misfit, match="not UTF-8"):
        text("x", tensor(np.array([b"\xff"], dtype=object)))
