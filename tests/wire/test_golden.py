"""Golden files: what both sides of each codec read in them, and the bytes they write, which are those of the files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipeline.errors import InferError, InvalidInput, ModelNotFound, ModelNotReady
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import (
    AskLive,
    AskModel,
    AskModelReady,
    AskModels,
    AskReady,
    Command,
    Infer,
    InferRequest,
    InferResponse,
    Live,
    ModelMetadata,
    ModelReady,
    Models,
    Ready,
    Result,
)
from pipeline.tensors.signature import Expectation, Signature, parse_spec
from pipeline.tensors.tensor import Json, Tensor, Value, byte_strings, tensor
from pipeline.wire import v1, v2
from pipeline.wire.codec import Call, Reply
from pipeline.wire.statuses import error_reply
from server.routes import Routes
from tests.tensors.strategies import same

FOLDER = Path(__file__).parent / "golden"
NAN = math.nan


def array(datatype: str, elements: Any, shape: tuple[int, ...] | None = None) -> Tensor:
    """Elements of BF16 are its raw 16 bits."""
    kind = Datatype[datatype]
    if kind is Datatype.BYTES:
        texts = [text.encode() if isinstance(text, str) else text for text in elements]
        return tensor(byte_strings(texts, (len(texts),) if shape is None else shape))
    made = np.array(elements, np.uint16 if kind is Datatype.BF16 else kind.dtype)
    return Tensor(kind, (made if shape is None else made.reshape(shape)).view(kind.dtype))


@dataclass(frozen=True)
class Case:
    """``inputs`` as the server reads them, ``outputs`` as it is to write them.

    ``told``: the outputs as a client reads them, where v1 or JSON lose something. ``canonical``: our client writes the
    request as it is in the file; others have spaces, or a form that ours never chooses.
    """

    codec: ModuleType
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    expected: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, Value] | None = None
    canonical: bool = True
    id: str = "7"
    version: str = "1"
    outputs_asked: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    binary: v2.Options = v2.Options()  # noqa: RUF009  # frozen


SENSORS = {
    "tag": array("BYTES", ["foo", "bar"]),
    "signal": array("INT64", [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]]),
    "sensor": array("INT64", [[[1, 2], [3, 4]], [[4, 5], [6, 8]]]),
}
EVERY = {
    "bool": array("BOOL", [True, False]),
    **{
        kind.lower(): array(kind, [np.iinfo(Datatype[kind].dtype).min, np.iinfo(Datatype[kind].dtype).max])
        for kind in ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64")
    },
    "fp16": array("FP16", [0.5, -65504]),
    "bf16": array("BF16", [0x3F80, 0xC000]),
    "fp32": array("FP32", [0.1, -1.5]),
    "fp64": array("FP64", [0.1, -1e-300]),
    "bytes": array("BYTES", ["ä", ""]),
}
TWO = {"input0": array("UINT32", [[1, 2], [3, 4]]), "input1": array("BOOL", [True, False, True])}
ALL = v2.Options(binary=True)
CASES = {
    "v1-rows": Case(
        v1, {"instances": array("FP64", [1, 2, 5])}, {"y": array("FP64", [3.5, 4, 5.5])},
        told={"predictions": array("FP64", [3.5, 4, 5.5])},
    ),
    "v1-objects": Case(
        v1, SENSORS, {"label": array("BYTES", ["cat", "dog"]), "score": array("FP64", [0.25, 0.5])}, canonical=False,
    ),
    "v1-columns": Case(
        v1, SENSORS, {"score": array("FP32", [0.25, 0.5])}, told={"outputs": array("FP64", [0.25, 0.5])},
        canonical=False,
    ),
    "v1-columns-several": Case(
        v1, {"a": array("INT64", [1, 2]), "b": array("BOOL", [True])},
        {"a": array("INT64", [1, 2]), "b": array("FP64", [0.5])},
    ),
    "v1-b64": Case(
        v1,
        {"image_bytes": array("BYTES", ["image bytes", "awesome image bytes"]),
         "caption": array("BYTES", ["seaside", "mountains"])},
        {"y": array("BYTES", [b"\xff\x00", "text"])}, told={"predictions": array("BYTES", [b"\xff\x00", "text"])},
        canonical=False,
    ),
    "v1-scalar": Case(
        v1, {"x": array("INT64", 5)}, {"y": array("FP64", 7.5)}, told={"outputs": array("FP64", 7.5)},
    ),
    "v1-nan": Case(
        v1, {"x": array("FP32", [NAN, 1.5, NAN])}, {"y": array("FP64", [NAN, 1.5, math.inf])},
        expected={"x": "FP32[n]"}, told={"predictions": array("FP64", [NAN, 1.5, NAN])}, canonical=False,
    ),
    "v1-uneven-outputs": Case(
        v1, {"instances": array("INT64", [[1, 2], [3, 4]])},
        {"a": array("INT64", [1, 2]), "b": array("FP64", [0.5])},
    ),
    "v2-json": Case(
        v2, TWO, {"output0": array("FP32", [[1, 1.1], [2, 2.1], [3, 3.1]])}, id="42", outputs_asked=("output0",),
    ),
    "v2-datatypes": Case(v2, EVERY, EVERY),
    "v2-parameters": Case(
        v2, {"x": array("INT64", 9)}, {"y": array("INT64", 10)}, version="3",
        parameters={"sequence_id": 5, "priority": 1.5, "lang": "en", "debug": True}, timeout=1.5,
        said={"lang": "en", "n": 2},
    ),
    "v2-nulls": Case(
        v2, {"x": array("FP32", [[NAN], [1.5]])}, {"y": array("FP64", [NAN, -math.inf, 1.5])}, version="",
        told={"y": array("FP64", [NAN, NAN, 1.5])},
    ),
    "v2-zero-size": Case(v2, {"x": array("FP32", [], (0, 4))}, {"y": array("BYTES", [], (2, 0))}),
    "v2-nested": Case(
        v2, {"x": array("FP32", [[1, 2], [3, 4]])}, {"y": array("INT32", [4])}, canonical=False,
    ),
    "v2-json-answer": Case(
        v2, {"x": array("INT8", [1])}, {"step": Json({"boxes": [[1, 2], [3]]})},
        told={"step": array("BYTES", ['{"boxes":[[1,2],[3]]}'])},
    ),
    "v2-binary": Case(
        v2, TWO, {"output0": array("FP32", [[1, 1.5], [2, 2.5], [3, 3.5]])}, id="42", outputs_asked=("output0",),
        canonical=False,
    ),
    "v2-binary-all": Case(
        v2, TWO, {"a": array("INT16", [-2, 258]), "b": array("FP64", 0.1)}, id="42", binary=ALL,
    ),
    "v2-binary-mixed": Case(
        v2, {"a": array("INT32", [5]), "b": array("INT64", [-1, 2**40]), "c": array("BYTES", ["text"])},
        {"p": array("UINT64", [2**64 - 1]), "q": array("BOOL", [True, False])}, outputs_asked=("p", "q"),
        canonical=False,
    ),
    "v2-binary-bytes": Case(
        v2, {"image": array("BYTES", [b"\xff\xd8\xff\x00", "", "ä"])}, {"out": array("BYTES", [b"\x80"], (1, 1))},
        binary=ALL,
    ),
    "v2-binary-halves": Case(
        v2, {"h": array("FP16", [1, -2, 65504]), "b": array("BF16", [0x3F80, 0xC000, 0x7F80])},
        {"h": array("FP16", [0.5]), "b": array("BF16", [0x4040])}, binary=ALL,
    ),
    "v2-binary-zero-size": Case(
        v2, {"z": array("FP32", [], (0, 3)), "s": array("BYTES", []), "x": array("INT8", [-1])},
        {"z": array("FP64", [], (2, 0))}, binary=ALL,
    ),
}  # fmt: skip
SIGNATURE = Signature(
    {"input0": parse_spec("UINT32[2,n]"), "input1": parse_spec("BOOL[3]")}, {"output0": parse_spec("FP32[-1,2]")}
)
QUESTIONS: dict[str, tuple[ModuleType, Command, Result | InferError]] = {
    "v1-alive": (v1, AskLive(), Live(live=True)),
    "v1-models": (v1, AskModels(), Models(("a", "b"))),
    "v1-ready": (v1, AskModelReady("m"), ModelReady("m", ready=True)),
    "v1-unknown": (v1, AskModelReady("nope"), ModelNotFound("nope")),
    "v2-live": (v2, AskLive(), Live(live=True)),
    "v2-ready": (v2, AskReady(), Ready(ready=True)),
    "v2-model-ready": (v2, AskModelReady("m"), ModelReady("m", ready=True)),
    "v2-models": (v2, AskModels(), Models(("a", "b"))),
    "v2-metadata": (v2, AskModel("m"), ModelMetadata("m", ("1", "2"), "", SIGNATURE)),
    "v2-metadata-version": (v2, AskModel("m", "2"), ModelMetadata("m", ("2",), "", Signature())),
    "v2-not-ready": (v2, AskModelReady("m"), ModelNotReady("m")),
}
REFUSED = {"v1-error": v1, "v2-error": v2}


def parts(name: str, kind: str) -> tuple[str, dict[str, str], bytes]:
    """(start line, headers, body with its tail) of a file."""
    head, _, body = (FOLDER / f"{name}.{kind}.http").read_bytes().partition(b"\n\n")
    start, *lines = head.decode().split("\n")
    tail = FOLDER / f"{name}.{kind}.bin"
    headers = dict(line.split(": ", 1) for line in lines)
    return start, headers, body + (tail.read_bytes() if tail.exists() else b"")


def request_of(name: str) -> Call:
    start, headers, body = parts(name, "request")
    method, path = start.split(" ")
    return Call(method, path, headers, body, "call-id")


def reply_of(name: str) -> Reply:
    status, headers, body = parts(name, "reply")
    return Reply(int(status), headers, (body,))


def asked(case: Case) -> Infer:
    """What a client asks in that case; v1 has neither ids nor versions."""
    own = InferRequest(
        model="m", inputs=case.inputs, outputs=case.outputs_asked, parameters=case.parameters, timeout=case.timeout,
        id=case.id if case.codec is v2 else "", version=case.version if case.version == "3" else "",
    )  # fmt: skip
    return Infer(own, "predict")


def served(name: str, case: Case) -> tuple[InferRequest, Any]:
    """(request, options) as the server reads the file."""
    call = request_of(name)
    match = Routes().match(call.method, call.path)
    assert (match.codec, match.route.verb, match.model) == (case.codec, "predict", "m")
    signature = Signature({name: parse_spec(spec) for name, spec in case.expected.items()})
    expectation = Expectation(signature=signature, only_input=next(iter(case.expected), None))
    command, options = case.codec.decode(call, match.route, "m", match.version or "1", expectation)
    assert isinstance(command, Infer)
    return command.request, options


def agree(one: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
    return list(one) == list(other) and all(
        same(value, other[name]) if isinstance(value, Tensor) else value.value == other[name].value
        for name, value in one.items()
    )


def test_every_file_is_a_case_and_every_case_two_files():
    names = {(path.name.split(".")[0], path.name.split(".")[1]) for path in FOLDER.iterdir() if path.suffix != ".md"}
    cases = {*CASES, *QUESTIONS, *REFUSED}
    assert names == {(name, kind) for name in cases for kind in ("request", "reply")}


@pytest.mark.parametrize("name", CASES)
def test_the_server_reads_the_request(name):
    case = CASES[name]
    request, _ = served(name, case)
    assert agree(case.inputs, request.inputs)
    assert request.id == (case.id if case.codec is v2 else "call-id")
    assert (request.version, tuple(request.outputs)) == (case.version or "1", case.outputs_asked)
    assert request.timeout == case.timeout
    assert {**request.parameters, **case.parameters} == request.parameters


@pytest.mark.parametrize("name", CASES)
def test_the_server_writes_the_reply_to_the_byte(name):
    case, golden = CASES[name], reply_of(name)
    _, options = served(name, case)
    said = InferResponse(model="m", outputs=case.outputs, id=case.id, version=case.version, parameters=case.said)
    reply = case.codec.encode(said, options)
    assert b"".join(reply.body) == b"".join(golden.body)
    assert (reply.status, dict(reply.headers)) == (200, golden.headers)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.canonical])
def test_the_client_writes_the_request_to_the_byte(name):
    case, golden = CASES[name], request_of(name)
    call = case.codec.encode_request(asked(case), case.binary)
    assert bytes(call.body) == golden.body
    assert (call.method, call.path, dict(call.headers)) == (golden.method, golden.path, golden.headers)


@pytest.mark.parametrize("name", CASES)
def test_the_client_reads_the_reply(name):
    case = CASES[name]
    response = case.codec.decode_reply(reply_of(name), asked(case))
    assert isinstance(response, InferResponse)
    assert agree(case.outputs if case.told is None else case.told, response.outputs)
    if case.codec is v2:
        assert (response.id, response.version, response.parameters) == (case.id, case.version, case.said)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_and_its_answer_are_the_files_on_both_sides(name):
    codec, command, result = QUESTIONS[name]
    call, golden = codec.encode_request(command, None), request_of(name)
    assert (call.method, call.path, call.body) == (golden.method, golden.path, golden.body)
    told = reply_of(name)
    reply = error_reply(result) if isinstance(result, InferError) else codec.encode(result, None)
    assert (reply.status, dict(reply.headers), b"".join(reply.body)) == (told.status, told.headers, told.body[0])
    if isinstance(result, InferError):
        with pytest.raises(InferError) as caught:
            codec.decode_reply(told, command)
        assert (caught.value.code, caught.value.message) == (result.code, result.message)
    else:
        assert codec.encode(codec.decode_reply(told, command), None).body == reply.body


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_in_these_words(name):
    codec, call, golden = REFUSED[name], request_of(name), reply_of(name)
    match = Routes().match(call.method, call.path)
    with pytest.raises(InvalidInput) as refused:
        codec.decode(call, match.route, "m", "1", Expectation())
    reply = error_reply(refused.value)
    assert (reply.status, dict(reply.headers), b"".join(reply.body)) == (golden.status, golden.headers, golden.body[0])
    with pytest.raises(InferError) as told:
        codec.decode_reply(golden, Infer(InferRequest(model="m", inputs={}), "predict"))
    assert told.value.message == refused.value.message
