"""Requests in files: read by the protocol that they are written in."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import InferError
from pipeline.tensors.signature import Expectation, Signature, parse_spec
from pipeline.wire.written import request_in, written_in

V1 = {"instances": [[1, 2]]}
V2 = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [3]}]}
KNOWN = Expectation(Signature({"x": parse_spec("FP32[-1,2]")}), only_input="x")


@pytest.mark.parametrize(("body", "expected"), [(V1, ("FP32", [[1.0, 2.0]])), (V2, ("FP64", [3.0]))])
def test_a_request_means_what_its_protocol_says(body, expected):
    request = request_in(written_in(body), json.dumps(body).encode(), "m", "1", KNOWN)
    assert (request.inputs["x"].datatype.name, request.inputs["x"].array.tolist()) == expected


def test_what_is_no_request_is_in_no_protocol_or_refused():
    assert written_in({"neither": 1}) is None
    with pytest.raises(InferError):
        request_in(written_in(V2), b'{"inputs": [{"name": "x"}]}', "m", "1", KNOWN)
