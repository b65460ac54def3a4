"""Inputs that the server offers to try a model with, and the line that carries them."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import InvalidInput
from pipeline.tensors.message import Infer, InferRequest
from pipeline.tensors.sample import sample
from pipeline.tensors.signature import Expectation, Signature, check, parse_spec
from pipeline.wire.codec import codecs
from tests.wire.calls import PREDICT, decoded

CASES = [
    ({}, (), {"instances": [1, 2]}),
    ({"rows": "FP64[n,4]"}, (), {"instances": [[0.0, 0.0, 0.0, 0.0]]}),
    ({"text": "BYTES[2]"}, (), {"instances": ["text", "text"]}),
    ({"flag": "BOOL[]"}, (), {"inputs": {"flag": False}}),
    ({"word": "BYTES[]"}, (), {"inputs": {"word": "text"}}),
    ({"a": "INT8[-1]", "b": "FP32[n,1]", "c": "FP32[n]?"}, (), {"instances": [{"a": 0, "b": [0.0]}]}),
    ({"a": "INT8[2]", "c": "FP32[]?"}, (), {"instances": [0, 0]}),
    ({"c": "BF16[n]?"}, (), {"instances": [0.0]}),
    ({}, ("x",), {"instances": [1, 2]}),
    ({}, ("x", "scale"), {"instances": [{"x": 1, "scale": 1}, {"x": 2, "scale": 2}]}),
    ({"a": "FP16[n]?"}, ("a", "b"), {"instances": [1, 2]}),
]


def expecting(inputs, names):
    signature = Signature({name: parse_spec(text) for name, text in inputs.items()})
    names = names or tuple(inputs)
    needed = [name for name in names if name not in signature.inputs or not signature.inputs[name].optional]
    only = names if len(names) == 1 else needed if len(needed) == 1 else (None,)
    return Expectation(signature, only_input=only[0], names=names)


@pytest.mark.parametrize(("inputs", "names", "body"), CASES)
def test_the_printed_line_carries_it_in_rows_or_in_columns(inputs, names, body):
    request = InferRequest(model="m", inputs=sample(expecting(inputs, names)))
    call = codecs()["v1"].encode_request(Infer(request, "predict"), None)
    assert json.loads(call.body) == body


def test_what_rows_cannot_tell_is_not_carried():
    with pytest.raises(InvalidInput, match=r'input "none" has the shape \[0,3\]'):
        codecs()["v1"].encode_request(
            Infer(InferRequest(model="m", inputs=sample(expecting({"none": "FP32[0,3]"}, ()))), "predict"), None
        )


@pytest.mark.parametrize(("inputs", "names", "_"), CASES)
def test_every_protocol_carries_it_to_a_model_that_takes_it(inputs, names, _):
    expectation = expecting(inputs, names)
    given = sample(expectation)
    for codec in PREDICT:
        call = codec.encode_request(Infer(InferRequest(model="m", inputs=given), "predict"), None)
        request, _ = decoded(codec, bytes(call.body), expectation)
        assert check(expectation.signature.inputs, request.inputs, "input") is None
        assert {name: value.describe() for name, value in request.inputs.items()} == {
            request_name(name, expectation, codec): value.describe() for name, value in given.items()
        }


def request_name(name, expectation, codec):
    """Version 1 sends one tensor without its name, and the server gives it one."""
    sent = json.loads(
        codec.encode_request(Infer(InferRequest(model="m", inputs=sample(expectation)), "predict"), None).body
    )
    return expectation.only_input or "instances" if not isinstance(sent.get("instances", [{}])[0], dict) else name


@pytest.mark.parametrize("shape", ["1,224,224,3", "n,1025", "1024,2"])
def test_what_would_fill_screens_is_not_offered(shape):
    assert sample(expecting({"image": f"UINT8[{shape}]"}, ())) is None
    assert sample(expecting({"image": "UINT8[n,1024]"}, ())) is not None
