"""encode(decode(x)) is x to the byte: what one side of a codec wrote, the other reads, and writes again as it came."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import (
    AskModel,
    AskModels,
    AskServer,
    Infer,
    InferRequest,
    InferResponse,
    ModelMetadata,
    Models,
    ServerMetadata,
)
from pipeline.tensors.signature import Expectation, Signature, TensorSpec
from pipeline.tensors.tensor import Json
from pipeline.wire import v1, v2
from pipeline.wire.codec import Reply
from server.routes import Routes
from tests.tensors.strategies import NAMES, SHAPES, TEXTS, has_infinity, numbers_of, tensors

SEGMENTS = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)
VERBS = st.sampled_from(["predict", "explain"])
PARAMETERS = st.dictionaries(
    NAMES.filter(lambda name: name not in ("timeout", "binary_data_output")),
    st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    max_size=3,
)
ANY = st.dictionaries(NAMES, tensors(texts=False), max_size=4)
SPECS = st.dictionaries(
    NAMES,
    st.builds(TensorSpec, st.sampled_from(Datatype), st.lists(st.integers(-1, 2**40), max_size=4).map(tuple)),
    max_size=4,
)
# A v1 reply has no datatypes; of these its client finds the same again.
NATURAL = (Datatype.BOOL, Datatype.INT64, Datatype.FP64, Datatype.BYTES)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


# Nested lists tell a shape up to its first axis of size 0.
TOLD = SHAPES.filter(lambda shape: 0 not in shape[:-1])


def finite(value) -> bool:
    return not value.datatype.is_float or bool(np.isfinite(numbers_of(value)).all())


def served(call, expectation=Expectation()):  # noqa: B008
    match = Routes().match(call.method, call.path)
    return match.codec.decode(call, match.route, match.model, match.version, expectation)


def written(own):
    """Headers and body of a call or a reply."""
    body = own.body if isinstance(own.body, bytes) else b"".join(own.body)
    return dict(own.headers), body


@st.composite
def in_v2(draw, entries):
    """(values, which are binary): BYTES that are no text and infinities are, of the others any."""
    values = draw(entries)
    every = draw(st.booleans())
    chosen = draw(st.sets(st.sampled_from(sorted(values)))) if values else set()
    raw = {name for name, own in values.items() if own.datatype is Datatype.BYTES or has_infinity(own)}
    return values, v2.Options(every, {name: True for name in values if name in chosen | raw})


ASKED = st.fixed_dictionaries(
    {
        "model": SEGMENTS,
        "version": st.just("") | SEGMENTS,
        "id": TEXTS,
        "outputs": st.lists(NAMES, unique=True, max_size=3),
        "parameters": PARAMETERS,
        "timeout": st.none() | st.integers(1, 10**10).map(lambda microseconds: microseconds / 1e6),
    }
)


@given(sent=in_v2(ANY), asked=ASKED, verb=VERBS)
def test_a_v2_request_in_json_and_binary(sent, asked, verb):
    inputs, options = sent
    request = InferRequest(inputs=inputs, **asked)
    call = v2.encode_request(Infer(request, verb), options)
    command, _ = served(call)
    again = v2.encode_request(Infer(_without_headers(command.request), command.verb), options)
    assert (again.method, again.path) == (call.method, call.path)
    assert written(again) == written(call)


@given(sent=in_v2(ANY), id=TEXTS, version=TEXTS, parameters=PARAMETERS)
def test_a_v2_reply_in_json_and_binary(sent, id, version, parameters):
    outputs, options = sent
    response = InferResponse(model="m", outputs=outputs, id=id, version=version, parameters=parameters)
    reply = v2.encode(response, options)
    back = v2.decode_reply(reply, Infer(InferRequest(model="m", inputs={}), "predict"))
    assert written(v2.encode(back, options)) == written(reply)
    # As it comes from a socket, in one piece.
    whole = Reply(reply.status, reply.headers, (written(reply)[1],))
    again = v2.decode_reply(whole, Infer(InferRequest(model="m", inputs={}), "predict"))
    assert written(v2.encode(again, options)) == written(reply)


@given(
    inputs=st.dictionaries(NAMES, tensors(shapes=TOLD, texts=False).filter(finite), max_size=4),
    parameters=st.dictionaries(NAMES.filter(lambda name: name not in ("instances", "inputs")), JSONS, max_size=2),
    verb=VERBS,
)
def test_a_v1_request_in_rows_and_columns(inputs, parameters, verb):
    command = Infer(InferRequest(model="m", inputs=inputs, parameters=parameters), verb)
    call = v1.encode_request(command)
    signature = Signature({name: TensorSpec(own.datatype, own.shape) for name, own in inputs.items()})
    only = next(iter(inputs)) if len(inputs) == 1 else None
    back, options = served(call, Expectation(signature=signature, only_input=only))
    assert list(back.request.inputs) == list(inputs)
    again = v1.encode_request(Infer(_without_headers(back.request), back.verb))
    assert written(again) == written(call)
    assert options.rows == (b'"instances":' in written(call)[1])


@given(
    outputs=st.dictionaries(NAMES, tensors(NATURAL, texts=False).filter(finite), min_size=1, max_size=3),
    rows=st.booleans(),
)
def test_a_v1_reply_in_rows_and_columns(outputs, rows):
    options = v1.Options(rows=rows)
    reply = v1.encode(InferResponse(model="m", outputs=outputs), options)
    back = v1.decode_reply(reply, Infer(InferRequest(model="m", inputs={}), "predict"))
    # Rows whose outputs had no common axis came in columns, and go so.
    form = v1.Options(rows=b'{"predictions":' in written(reply)[1])
    assert written(v1.encode(back, form)) == written(reply)


@given(JSONS)
def test_a_v1_reply_that_is_plain_json(value):
    answer = {"answer": value}
    reply = v1.encode(InferResponse(model="m", outputs={"step": Json(answer)}), v1.Options())
    back = v1.decode_reply(reply, Infer(InferRequest(model="m", inputs={}), "predict"))
    assert written(v1.encode(back, v1.Options())) == written(reply)


@given(model=SEGMENTS, versions=st.lists(TEXTS, max_size=3), platform=TEXTS, inputs=SPECS, outputs=SPECS)
def test_metadata_of_a_model(model, versions, platform, inputs, outputs):
    metadata = ModelMetadata(model, tuple(versions), platform, Signature(inputs, outputs))
    reply = v2.encode(metadata, None)
    assert written(v2.encode(v2.decode_reply(reply, AskModel(model)), None)) == written(reply)


@given(names=st.lists(TEXTS, max_size=4), name=TEXTS, version=TEXTS)
def test_metadata_of_a_server_in_both_protocols(names, name, version):
    models, server = Models(tuple(names)), ServerMetadata(name, version)
    for codec in (v1, v2):
        reply = codec.encode(models, None)
        assert written(codec.encode(codec.decode_reply(reply, AskModels()), None)) == written(reply)
    reply = v2.encode(server, None)
    assert written(v2.encode(v2.decode_reply(reply, AskServer()), None)) == written(reply)


def _without_headers(request):
    """A request as a client asks it: the headers of the call it came in are no part of what it says."""
    return InferRequest(
        model=request.model, version=request.version, inputs=request.inputs, id=request.id, outputs=request.outputs,
        parameters=request.parameters, timeout=request.timeout,
    )  # fmt: skip
