"""Requests that are read in a quick way, and as all JSON is: the same tensors bit for bit, or the same refusal."""

from __future__ import annotations

import msgspec

from pipeline.errors import InferError
from pipeline.tensors.datatype import Datatype
from pipeline.wire.codec import Call
from tests.wire.calls import ROUTE


def answer(codec, body, reader, expectation, headers=None):
    """(inputs, parameters, …) as values that compare, or the error."""
    call = Call("POST", "/", headers or {}, body, "call-id", numbers=reader)
    try:
        command, options = codec.decode(call, ROUTE[codec], "m", "1", expectation)
    except InferError as error:
        return type(error), error.code, error.message
    request = command.request
    inputs = {
        name: (value.datatype, value.shape, value.array.dtype, value.array.tobytes() or value.array.tolist(), flags)
        if value.datatype is not Datatype.BYTES
        else (value.shape, value.array.tolist())
        for name, value in request.inputs.items()
        for flags in [(value.array.flags.c_contiguous, value.array.flags.writeable)]
    }
    # 1, 1.0 and True are equal, and not the same.
    parameters = repr((request.parameters, request.input_parameters, request.timeout))
    return list(inputs.items()), request.id, parameters, request.outputs, options


def assert_same(codec, body, reader, expectation, headers=None):
    """Whoever may look at the body as it was sent has it read as all JSON is."""
    quick = msgspec.structs.replace(expectation, reads_body=False)
    ours, theirs = (answer(codec, body, reader, own, headers) for own in (quick, expectation))
    assert ours == theirs
