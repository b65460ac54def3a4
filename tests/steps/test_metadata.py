"""What a model tells of its tensors, as specs, or what is wrong with it."""

import numpy as np
import pytest

from pipeline.steps.metadata import specs_of


@pytest.mark.parametrize(
    ("given", "specs"),
    [
        (None, {}),
        ([], {}),
        ([{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], {"x": "FP32[-1,4]"}),
        (({"name": "x", "datatype": "bytes", "shape": ()},), {"x": "BYTES[]"}),
        ([{"name": "x", "datatype": "INT8", "shape": list(np.array([2, 3]))}], {"x": "INT8[2,3]"}),
        ([{"name": name, "datatype": "BOOL", "shape": [1]} for name in "ba"], {"b": "BOOL[1]", "a": "BOOL[1]"}),
    ],
)
def test_entries_are_specs_in_their_order(given, specs):
    assert [(name, str(spec)) for name, spec in specs_of(given).items()] == list(specs.items())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"x": "FP32"}, "expected a list like"),
        (["x"], "with a text in it"),
        ([{}], 'whose "name" is'),
        ([{"name": ""}], 'whose "name" is'),
        ([{"name": "x", "datatype": "float", "shape": [1]}], 'the datatype of "x" is "float"; there are BOOL'),
        ([{"name": "x", "shape": [1]}], 'the datatype of "x" is'),
        ([{"name": "x", "datatype": "FP32"}], 'the shape of "x" is a list of numbers'),
        ([{"name": "x", "datatype": "FP32", "shape": [-2]}], "-1 for any, got"),
        ([{"name": "x", "datatype": "FP32", "shape": ["n"]}], "-1 for any, got"),
        ([{"name": "x", "datatype": "FP32", "shape": [1]}] * 2, '"x" is there twice'),
    ],
)
def test_what_is_wrong_with_them_is_told(given, says):
    with pytest.raises(ValueError, match=says):
        specs_of(given)
