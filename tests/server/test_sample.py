"""The request that the server offers to try a model with."""

from __future__ import annotations

import json

import pytest

from pipeline.tensors.signature import Expectation, Signature, parse_spec
from server.sample import sample


@pytest.mark.parametrize(
    ("inputs", "names", "body"),
    [
        ({}, (), {"instances": [1, 2]}),
        ({"rows": "FP64[n,4]"}, (), {"instances": [[0.0, 0.0, 0.0, 0.0]]}),
        ({"text": "BYTES[2]"}, (), {"instances": ["text", "text"]}),
        ({"flag": "BOOL[]"}, (), {"inputs": {"flag": False}}),
        ({"a": "INT8[-1]", "b": "FP32[n,1]", "c": "FP32[n]?"}, (), {"inputs": {"a": [0], "b": [[0.0]]}}),
        ({}, ("x", "scale"), {"inputs": {"x": [1, 2], "scale": [1, 2]}}),
    ],
)
def test_it_fits_what_is_known(inputs, names, body):
    signature = Signature({name: parse_spec(text) for name, text in inputs.items()})
    assert json.loads(sample(Expectation(signature=signature, names=names))) == body
