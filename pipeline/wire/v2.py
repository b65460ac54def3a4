"""The Open Inference Protocol, version 2, over REST, in JSON.

Source: https://github.com/kserve/open-inference-protocol, "HTTP/REST"; key order and null fields as KServe writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

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
from pipeline.tensors.signature import Expectation, Signature, TensorSpec
from pipeline.tensors.tensor import Tensor, Value
from pipeline.wire.codec import Call, Reply, Route
from pipeline.wire.json_tensors import dump, flat_data, parse, tensor_from
from pipeline.wire.statuses import JSON, error_of, error_reply

# What the metadata names as working beyond the base protocol.
EXTENSIONS: tuple[str, ...] = ()
_MODEL = "/v2/models/{model}"
_VERSION = "/v2/models/{model}/versions/{version}"
ROUTES = (
    Route("GET", "/v2", command=AskServer),
    Route("GET", "/v2/health/live", command=AskLive),
    Route("GET", "/v2/health/ready", command=AskReady),
    Route("GET", "/v2/models", command=AskModels),
    Route("GET", _MODEL, command=AskModel),
    Route("GET", _VERSION, command=AskModel),
    Route("GET", f"{_MODEL}/ready", command=AskModelReady),
    Route("GET", f"{_VERSION}/ready", command=AskModelReady),
    Route("POST", f"{_MODEL}/infer", verb="predict"),
    Route("POST", f"{_VERSION}/infer", verb="predict"),
    Route("POST", f"{_MODEL}/explain", verb="explain"),
    Route("POST", f"{_VERSION}/explain", verb="explain"),
)
_MICROSECONDS = 1e6


class Options(msgspec.Struct, frozen=True):
    """How the caller wants its answer."""


def decode(call: Call, route: Route, model: str, version: str, _: Expectation) -> tuple[Command, Options]:
    """An inference request; ``timeout`` in the parameters is microseconds, as Triton reads it."""
    body = parse(call.body)
    if not isinstance(body, dict):
        raise InvalidInput(f"an inference request is an object, got {_kind(body)}")
    parameters = _parameters(body, "the request")
    request = InferRequest(
        model=model,
        version=version,
        id=_text(body, "id") or call.id,
        inputs=_inputs(body),
        outputs=_outputs(body),
        parameters=parameters,
        headers=call.headers,
        timeout=_timeout(parameters),
        body=body,
    )
    return Infer(request, route.verb or "predict"), Options()


def encode(result: Result, _: Options) -> Reply:
    """Status 200, but for what is not ready: there KServe says 503."""
    match result:
        case InferResponse():
            body: Any = _response(result)
        case Live(live):
            body = {"live": live}
        case Ready(ready):
            body = {"ready": ready}
        case ServerMetadata(name, version):
            body = {"name": name, "version": version, "extensions": EXTENSIONS}
        case Models(names):
            body = {"models": names}
        case ModelMetadata():
            body = _metadata(result)
        case ModelReady(name, ready):
            body = {"name": name, "ready": ready}
    return Reply(200, JSON, (dump(body),))


def encode_error(error: InferError) -> Reply:
    return error_reply(error)


def encode_request(command: Command, _: Options | None = None) -> Call:
    """The call of a client."""
    match command:
        case Infer(request, verb):
            path = _path(request.model, request.version) + ("/infer" if verb == "predict" else "/explain")
            return Call("POST", path, JSON | dict(request.headers), dump(_request(request)))
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


def decode_reply(reply: Reply, command: Command) -> Result:
    """What a server answered to ``command``. Raises the InferError it meant, InvalidInput where it is unreadable."""
    body = parse(b"".join(reply.body))
    if not isinstance(body, dict):
        raise InvalidInput(f"a reply is an object, got {_kind(body)}")
    if reply.status >= 400:
        raise error_of(reply.status, str(body.get("error", "")), reply.headers)
    match command:
        case Infer(request):
            outputs = dict[str, Value](_tensors(body, "outputs"))
            version = _text(body, "model_version")
            return InferResponse(model=request.model, outputs=outputs, id=_text(body, "id"), version=version)
        case AskLive():
            return Live(bool(body.get("live")))
        case AskReady():
            return Ready(bool(body.get("ready")))
        case AskServer():
            return ServerMetadata(_text(body, "name"), _text(body, "version"))
        case AskModels():
            return Models(tuple(map(str, body.get("models") or ())))
        case AskModel(model):
            return _metadata_of(model, body)
        case AskModelReady(model):
            return ModelReady(model, bool(body.get("ready")))


# ---- requests


def _inputs(body: Mapping[str, Any]) -> dict[str, Value]:
    inputs: dict[str, Value] = {}
    for name, tensor in _tensors(body, "inputs"):
        if name in inputs:
            raise InvalidInput(f'input "{name}" is sent twice')
        inputs[name] = tensor
    return inputs


def _tensors(body: Mapping[str, Any], key: str) -> list[tuple[str, Tensor]]:
    entries = body.get(key)
    if not isinstance(entries, list):
        raise InvalidInput(f'expected "{key}" to be a list of tensors, got {_kind(entries)}')
    return [_tensor(entry, f"{key}[{position}]") for position, entry in enumerate(entries)]


def _tensor(entry: Any, where: str) -> tuple[str, Tensor]:
    if not isinstance(entry, dict):
        raise InvalidInput(f"{where} is an object with name, shape, datatype and data, got {_kind(entry)}")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidInput(f"{where}: its name is a text, got {_kind(name)}")
    datatype = _datatype(name, entry)
    shape = _shape(name, entry)
    if "data" not in entry:
        raise InvalidInput(f"'data' field is missing for input '{name}'")
    return name, tensor_from(name, entry["data"], datatype, shape)


def _datatype(name: str, entry: Mapping[str, Any]) -> Datatype:
    word = entry.get("datatype")
    datatype = datatype_named(word) if isinstance(word, str) else None
    if datatype is None:
        came = f'"{word[:40]}"' if isinstance(word, str) else _kind(word)
        raise InvalidInput(f'input "{name}": its datatype is one of {", ".join(Datatype.__members__)}, got {came}')
    return datatype


def _shape(name: str, entry: Mapping[str, Any]) -> tuple[int, ...]:
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        came = _kind(shape) if not isinstance(shape, list) else "something else in it"
        raise InvalidInput(f'input "{name}": its shape is a list of whole numbers from 0, got {came}')
    return tuple(shape)


def _outputs(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in the caller's order, each once; none means all."""
    entries = body.get("outputs")
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise InvalidInput(f'expected "outputs" to be a list, got {_kind(entries)}')
    names: dict[str, None] = {}
    for position, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise InvalidInput(f"outputs[{position}] is an object with a name, got {_kind(entry)}")
        names[name] = None
    return tuple(names)


def _parameters(body: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    parameters = body.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidInput(f"the parameters of {where} are an object, got {_kind(parameters)}")
    for name, value in parameters.items():
        if not isinstance(value, str | int | float | bool):
            raise InvalidInput(f'parameter "{name}" is a number, a text or a boolean, got {_kind(value)}')
    return parameters


def _timeout(parameters: Mapping[str, Any]) -> float | None:
    timeout = parameters.get("timeout")
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 0:
        raise InvalidInput(f'parameter "timeout" is a whole number of microseconds, got {_shown(timeout)}')
    # 0 is how Triton's clients say that they have no wish.
    return timeout / _MICROSECONDS if timeout else None


def _request(request: InferRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"id": request.id} if request.id else {}
    if request.parameters:
        body["parameters"] = request.parameters
    body["inputs"] = [_written(name, value, {}) for name, value in request.inputs.items()]
    if request.outputs:
        body["outputs"] = [{"name": name} for name in request.outputs]
    return body


# ---- replies


def _response(response: InferResponse) -> dict[str, Any]:
    return {
        "model_name": response.model,
        "model_version": response.version or None,
        "id": response.id,
        "parameters": response.parameters or None,
        "outputs": [_written(name, value, {"parameters": None}) for name, value in response.outputs.items()],
    }


def _written(name: str, value: Value, between: Mapping[str, Any]) -> dict[str, Any]:
    datatype, shape, data = flat_data(name, value)
    return {"name": name, "shape": shape, "datatype": datatype.name, **between, "data": data}


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


def _metadata_of(model: str, body: Mapping[str, Any]) -> ModelMetadata:
    def read(key: str) -> dict[str, TensorSpec]:
        found = {}
        for entry in body.get(key) or ():
            datatype = datatype_named(str(entry.get("datatype")))
            if datatype is not None:
                found[str(entry.get("name"))] = TensorSpec(datatype, tuple(entry.get("shape") or ()))
        return found

    versions = tuple(map(str, body.get("versions") or ()))
    return ModelMetadata(model, versions, str(body.get("platform")), Signature(read("inputs"), read("outputs")))


def _path(model: str, version: str) -> str:
    return f"/v2/models/{model}/versions/{version}" if version else f"/v2/models/{model}"


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f'"{key}" is a text, got {_kind(value)}')
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "nothing"}
    return names.get(type(value), "a number")


def _shown(value: Any) -> str:
    return f"{value}"[:40] if isinstance(value, int | float) else _kind(value)
