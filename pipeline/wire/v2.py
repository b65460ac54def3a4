"""The Open Inference Protocol, version 2, over REST, in JSON and in binary.

Source: https://github.com/kserve/open-inference-protocol, "HTTP/REST"; key order and null fields as KServe writes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.errors import InferError, InvalidInput
from pipeline.tensors.datatype import Datatype, datatype_named
from pipeline.tensors.message import (
    AskLive,
    AskModel,
    AskModelReady,
    AskModels,
    AskReady,
    AskServer,
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
    ServerMetadata,
)
from pipeline.tensors.shown import kind, quoted, shown
from pipeline.tensors.signature import Expectation, Signature, TensorSpec
from pipeline.tensors.tensor import Json, Raw, Said, Tensor, byte_strings
from pipeline.wire.binary import HEADER, MEDIA, Tail, joined, split
from pipeline.wire.codec import Call, Reply, Route, beyond_one_hop
from pipeline.wire.entries import parameters_of, places, requested_in, tensors_in, wants_binary
from pipeline.wire.fields import list_in, text_in, texts_in
from pipeline.wire.json_tensors import dump, dump_asked, parse
from pipeline.wire.large_json import parse_with_numbers
from pipeline.wire.long_arrays import any_long
from pipeline.wire.loss import refuse_infinite, refuse_infinity
from pipeline.wire.media import media_of
from pipeline.wire.raw import raw_or_said, raw_reply, said_inputs
from pipeline.wire.statuses import JSON, body_of, not_ready, unreadable
from pipeline.wire.usual import usual_request
from pipeline.wire.v2_reply import Options, as_it_is, response_reply, written

# What the metadata names as working beyond the base protocol.
EXTENSIONS = ("binary_tensor_data", "model_repository", "explain")
_MODEL = "/v2/models/{model}"
_VERSION = "/v2/models/{model}/versions/{version}"
ROUTES: Sequence[Route] = (
    Route("GET", "/v2", AskServer),
    Route("GET", "/v2/health/live", AskLive),
    Route("GET", "/v2/health/ready", AskReady),
    Route("GET", "/v2/models", AskModels),
    Route("GET", _MODEL, AskModel),
    Route("GET", _VERSION, AskModel),
    Route("GET", f"{_MODEL}/ready", AskModelReady),
    Route("GET", f"{_VERSION}/ready", AskModelReady),
    Route("POST", f"{_MODEL}/infer", "predict"),
    Route("POST", f"{_VERSION}/infer", "predict"),
    Route("POST", f"{_MODEL}/explain", "explain"),
    Route("POST", f"{_VERSION}/explain", "explain"),
)
UNNAMED: Collection[str] = ()
_MICROSECONDS = 1e6


_AS_JSON = Options()


def decode(call: Call, route: Route, model: str, version: str, expectation: Expectation) -> tuple[Command, Options]:
    """An inference request; ``timeout`` in the parameters is microseconds, as Triton reads it."""
    head, tail = split(call.headers, call.body)
    body, usual = None, None if expectation.reads_body else usual_request(head, tail)
    if usual is not None:
        own_id, parameters, requested, inputs, input_parameters = usual
        binary = _wants_binary(parameters)
        outputs = requested_in(requested, binary)
    else:
        body = _body(call, head, expectation)
        parameters = parameters_of(body, "the request")
        binary = _wants_binary(parameters)
        outputs = requested_in(body.get("outputs"), binary)
        own_id = text_in(body, "id")
        inputs, input_parameters = tensors_in(body, "inputs", model, Tail(tail))
    request = InferRequest(
        model=model,
        version=version,
        id=own_id or call.id,
        inputs=inputs,
        outputs=tuple(outputs),
        parameters=parameters,
        headers=call.headers,
        timeout=_timeout(parameters) if parameters else None,
        body=body if expectation.reads_body else None,
        input_parameters=input_parameters,
    )
    return Infer(request, route.verb or "predict"), Options(binary, outputs) if binary or outputs else _AS_JSON


def takes_long(response: InferResponse, options: Options) -> bool:
    return any_long(options.in_json(response.outputs) if options.binary or options.outputs else response.outputs)


def encode(result: Result, options: Options | None) -> Reply:
    """What is not ready is an error, as KServe says it. Raises InferError."""
    match result:
        case InferResponse():
            said = raw_or_said(result.outputs)
            if isinstance(said, Raw):
                return as_it_is(raw_reply(said, result.headers), result.model)
            return response_reply(result, said, options or _AS_JSON)
        case Live(False) | Ready(False) | ModelReady(_, False):
            raise not_ready(result)
        case Live():
            body: Any = {"live": True}
        case Ready():
            body = {"ready": True}
        case ServerMetadata(name, version):
            body = {"name": name, "version": version, "extensions": EXTENSIONS}
        case Models(names):
            body = {"models": names}
        case ModelMetadata():
            body = _metadata(result)
        case ModelReady(name):
            body = {"name": name, "ready": True}
        case _:
            raise InvalidInput(f"version 2 of the protocol has no {type(result).__name__}")
    return Reply(200, JSON, (dump(body),))


def preferring(binary: bool) -> Options:
    return Options(binary=binary)


def travelling(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Those that are a boolean, a number or a text, which is all that there can be."""
    kept = beyond_one_hop(parameters).items()
    return {name: value for name, value in kept if isinstance(value, str | int | float | bool)}


def encode_request(command: Command, options: Options | None = None) -> Call:
    """The call of a client; ``options`` say which inputs go in binary, and that outputs are to come so.

    Raises InvalidInput where JSON cannot carry an input or a parameter.
    """
    match command:
        case Infer(request, verb):
            path = _path(request.model, request.version) + ("/infer" if verb == "predict" else "/explain")
            headers, body = _request(request, options or _AS_JSON)
            # A request that came in binary and goes on as JSON must not say so still.
            given = {name: text for name, text in request.headers.items() if name != HEADER}
            return Call("POST", path, {**given, **headers}, body)
        case AskLive():
            return Call("GET", "/v2/health/live")
        case AskReady():
            return Call("GET", "/v2/health/ready")
        case AskServer():
            return Call("GET", "/v2")
        case AskModels():
            return Call("GET", "/v2/models")
        case AskModel(model, version):
            return Call("GET", _path(model, version))
        case AskModelReady(model, version):
            return Call("GET", f"{_path(model, version)}/ready")
        case _:
            raise InvalidInput(f"version 2 of the protocol has no {type(command).__name__}")


def decode_reply(reply: Reply, command: Command) -> Result:
    """What a server answered to ``command``. Raises the InferError it meant, BAD_UPSTREAM where it is unreadable.

    Triton says yes to a question about health with a 200 and nothing in it.
    """
    if reply.status == 200 and not any(reply.body) and (yes := _yes(command)) is not None:
        return yes
    try:
        head, tail = split(reply.headers, reply.body[0] if len(reply.body) == 1 else b"".join(reply.body))
    except InvalidInput as error:
        raise unreadable(error.reason) from None
    body = body_of(Reply(reply.status, reply.headers, (head,)), command)
    if not isinstance(body, dict):
        raise unreadable(f"it is an object, got {kind(body)}")
    try:
        return _result(body, command, Tail(tail))
    except InferError as error:
        raise unreadable(error.message) from None


def _yes(command: Command) -> Result | None:
    match command:
        case AskLive():
            return Live(live=True)
        case AskReady():
            return Ready(ready=True)
        case AskModelReady(model):
            return ModelReady(model, ready=True)
        case _:
            return None


def _result(body: Mapping[str, Any], command: Command, tail: Tail) -> Result:
    match command:
        case Infer(request):
            outputs, _ = tensors_in(body, "outputs", request.model, tail)
            version = text_in(body, "model_version")
            return InferResponse(
                model=request.model,
                outputs=outputs,
                id=text_in(body, "id"),
                version=version,
                parameters=parameters_of(body, "the reply"),
            )
        case AskLive():
            return Live(body.get("live") is True)
        case AskReady():
            return Ready(body.get("ready") is True)
        case AskServer():
            return ServerMetadata(text_in(body, "name"), text_in(body, "version"), texts_in(body, "extensions"))
        case AskModels():
            if body.get("models") is None:
                raise InvalidInput('"models" is missing')
            return Models(texts_in(body, "models"))
        case AskModel(model):
            signature = Signature(_specs(body, "inputs"), _specs(body, "outputs"))
            return ModelMetadata(model, texts_in(body, "versions"), text_in(body, "platform"), signature)
        case AskModelReady(model):
            return ModelReady(model, body.get("ready") is True)
        case _:
            raise InvalidInput(f"version 2 of the protocol has no {type(command).__name__}")


# ---- requests


def _body(call: Call, head: bytes | memoryview, expectation: Expectation) -> dict[str, Any]:
    """The JSON object of a request; without the header that tells it from a tail all of the body is JSON."""
    try:
        body = parse(head) if expectation.reads_body else parse_with_numbers(head, call.numbers, places)
    except InvalidInput as error:
        if media_of(call.headers) != MEDIA or HEADER in call.headers:
            raise
        hint = f"without the header {HEADER} the body is JSON"
        raise InvalidInput(f"{error.reason} ({hint})") from None
    if not isinstance(body, dict):
        raise InvalidInput(f"an inference request is an object, got {kind(body)}")
    return body


def _wants_binary(parameters: Mapping[str, Any]) -> bool:
    if not parameters:
        return False
    return wants_binary(parameters, "binary_data_output", "the request", default=False)


def _timeout(parameters: Mapping[str, Any]) -> float | None:
    timeout = parameters.get("timeout")
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 0:
        raise InvalidInput(f'parameter "timeout" is a whole number of microseconds, got {shown(timeout)}')
    # 0 is how Triton's clients say that they have no wish.
    return timeout / _MICROSECONDS if timeout else None


def _request(request: InferRequest, options: Options) -> tuple[Mapping[str, str], bytes]:
    body: dict[str, Any] = {"id": request.id} if request.id else {}
    parameters = dict(parameters_of({"parameters": dict(request.parameters)}, "the request"))
    if request.timeout is not None:
        parameters["timeout"] = max(1, round(request.timeout * _MICROSECONDS))
    if options.binary:
        parameters["binary_data_output"] = True
    if parameters:
        body["parameters"] = parameters
    parts: list[bytes | memoryview] = []
    body["inputs"] = [
        written(name, _as_tensor(name, value, options), parts, options, "input")
        for name, value in said_inputs(request.inputs).items()
    ]
    if request.outputs:
        body["outputs"] = [{"name": name} for name in request.outputs]
    head = dump_asked("the request", body)
    refuse_infinite(parameters)
    if not parts:
        return JSON, head
    headers, whole = joined(head, parts)
    return headers, b"".join(whole)


def _as_tensor(name: str, value: Said, options: Options) -> Tensor:
    """The tensor that is sent for an input. Raises InvalidInput where JSON is to carry it and cannot."""
    match value:
        case Json(inner):
            text = dump_asked(f"input {quoted(name)}", inner)
            refuse_infinity(name, value)
            return Tensor(Datatype.BYTES, byte_strings([text], (1,)))
        case Tensor():
            if not options.is_binary(name):
                refuse_infinity(name, value)
            return value


# ---- replies


def _metadata(metadata: ModelMetadata) -> dict[str, Any]:
    def written(specs: Mapping[str, TensorSpec]) -> list[dict[str, Any]]:
        return [{"name": name, "datatype": spec.datatype.name, "shape": spec.shape} for name, spec in specs.items()]

    return {
        "name": metadata.name,
        "versions": metadata.versions,
        "platform": metadata.platform,
        "inputs": written(metadata.signature.inputs),
        "outputs": written(metadata.signature.outputs),
    }


def _specs(body: Mapping[str, Any], key: str) -> dict[str, TensorSpec]:
    """Tensor name → spec; a tensor of a datatype that only the answering server knows is left out."""
    found: dict[str, TensorSpec] = {}
    for entry in list_in(body, key):
        if not isinstance(entry, dict):
            raise InvalidInput(f'"{key}" lists objects, got {kind(entry)}')
        datatype = datatype_named(text_in(entry, "datatype"))
        shape = list_in(entry, "shape")
        if any(type(size) is not int for size in shape):
            raise InvalidInput(f'a shape in "{key}" is a list of whole numbers')
        if datatype is not None:
            found[text_in(entry, "name")] = TensorSpec(datatype, tuple(shape))
    return found


def _path(model: str, version: str) -> str:
    return f"/v2/models/{model}/versions/{version}" if version else f"/v2/models/{model}"
