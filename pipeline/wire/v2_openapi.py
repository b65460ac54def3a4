"""Version 2 in OpenAPI's terms: tensors as entries, typed by what the model takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import (
    MAX_INPUTS,
    AskLive,
    AskModel,
    AskModelReady,
    AskModels,
    AskReady,
    AskServer,
    Verb,
)
from pipeline.tensors.nested import MAX_RANK
from pipeline.tensors.signature import Expectation, TensorSpec
from pipeline.wire import v2
from pipeline.wire.binary import HEADER, MEDIA
from pipeline.wire.codec import Codec, Route
from pipeline.wire.openapi import Operation, Subject, json_content, record
from pipeline.wire.schemas import Schema, any_nested, element, flat, nested, shape

CODEC: Codec = v2

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_NAME: Schema = {"type": "string", "minLength": 1}
_FLAG: Schema = {"type": "boolean"}
_SIZES: Schema = {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": MAX_RANK}
_DATATYPE: Schema = {"enum": [datatype.name for datatype in Datatype]}
_PARAMETER: Schema = {"type": ["string", "number", "boolean"]}
_BINARY: Schema = {
    # Not a parameter of the operation: that would be said of its JSON bodies too, where it cuts them short.
    "description": "JSON, then the bytes of the tensors that have a binary_data_size, in their order; the header"
    f" {HEADER} is the length of the JSON. Numbers are little-endian and row-major, a BYTES element follows its length"
    " (4 bytes).",
    "type": "string",
    "contentMediaType": MEDIA,
}
_JSON_LENGTH: Schema = {"type": "integer", "minimum": 0}


def operation(route: Route, model: Subject | None) -> Operation:
    if model is not None and route.verb is not None:
        return _inference(route, route.verb, model)
    named = "{version}" in route.template
    match route.asks:
        case command if command is AskServer:
            reply = record({"name": _TEXT, "version": _TEXT, "extensions": _TEXTS})
            return _asked("v2_server", "Name, version and extensions of the server", reply)
        case command if command is AskLive:
            return _asked("v2_live", "Is the process alive?", record({"live": {"const": True}}))
        case command if command is AskReady:
            return _asked("v2_ready", "Are the models loaded?", record({"ready": {"const": True}}))
        case command if command is AskModels:
            return _asked("v2_models", "The names of all models", record({"models": _TEXTS}))
        case command if command is AskModel and model is not None:
            name = "v2_version_metadata" if named else "v2_model_metadata"
            return _asked(name, "Versions, inputs and outputs of the model", _metadata(model.name))
        case command if command is AskModelReady and model is not None:
            reply = record({"name": {"const": model.name}, "ready": {"const": True}})
            return _asked("v2_version_ready" if named else "v2_model_ready", "Is the model ready?", reply)
    raise AssertionError(f"{route.template} is no route of version 2")


def is_written_in(body: Any) -> bool:
    """Tensors that name their datatypes."""
    match body:
        case {"inputs": [*tensors]}:
            return all(isinstance(tensor, dict) and "datatype" in tensor for tensor in tensors)
        case _:
            return False


def _asked(name: str, summary: str, reply: Schema) -> Operation:
    return Operation(name=name, summary=summary, reply=json_content(reply))


def _metadata(model: str) -> Schema:
    sizes = {"type": "array", "items": {"type": "integer", "minimum": -1}}
    tensors = {"type": "array", "items": record({"name": _TEXT, "datatype": _DATATYPE, "shape": sizes})}
    known = {"name": {"const": model}, "versions": _TEXTS, "platform": _TEXT, "inputs": tensors, "outputs": tensors}
    return record(known)


def _inference(route: Route, verb: Verb, model: Subject) -> Operation:
    outputs = model.outputs if verb == "predict" else None
    return Operation(
        name=f"v2_version_{verb}" if "{version}" in route.template else f"v2_{verb}",
        summary=f"{verb.capitalize()} from tensors, in JSON or in binary",
        note="Each required input stands in the list once. The data of a tensor is flat in row-major order, or nested"
        " exactly as its shape says. A parameter timeout gives the request less time, in microseconds.",
        body={**json_content(_request(model.expectation, outputs)), MEDIA: {"schema": _BINARY}},
        reply={**json_content(_response(model.name, outputs)), MEDIA: {"schema": _BINARY}},
        reply_headers={
            HEADER: {"description": "Of a reply in binary: the bytes of its JSON.", "schema": _JSON_LENGTH},
        },
    )


# ---- requests


def _request(expectation: Expectation, outputs: Mapping[str, TensorSpec] | None) -> Schema:
    wanted = record(
        {"name": {"enum": list(outputs)} if outputs else _NAME},
        optional={"parameters": _parameters({"binary_data": _FLAG})},
    )
    more = {
        "id": {"type": ["string", "null"]},
        "parameters": _parameters({"binary_data_output": _FLAG}),
        "outputs": {"type": ["array", "null"], "items": wanted},
    }
    return record({"inputs": _inputs(expectation)}, optional=more)


def _inputs(expectation: Expectation) -> Schema:
    """The known inputs; where a model may be sent others, or its only one under any name, those too."""
    specs = expectation.signature.inputs
    # A model that reads its only tensor under any name, and whose graph declares none.
    nameless = len(specs) == 1 and not expectation.names and expectation.only_input is None
    entries = [
        entry for name, spec in specs.items() for entry in _entries(_NAME if nameless else {"const": name}, spec)
    ]
    unknown = [name for name in expectation.names if name not in specs]
    if unknown:
        entries += _any_entries({"enum": unknown})
    required = sum(not spec.optional for spec in specs.values())
    if not entries:
        return {"type": "array", "items": {"anyOf": _any_entries(_NAME)}, "minItems": 1, "maxItems": MAX_INPUTS}
    items = entries[0] if len(entries) == 1 else {"anyOf": entries}
    return {"type": "array", "items": items, "minItems": required, "maxItems": len(specs) + len(unknown)}


def _entries(name: Schema, spec: TensorSpec) -> list[Schema]:
    datatypes = [own for own in Datatype if own.is_number] if spec.any_number else [spec.datatype]
    return [_entry(name, datatype, spec) for datatype in datatypes]


def _entry(name: Schema, datatype: Datatype, spec: TensorSpec) -> Schema:
    one = element(datatype)
    data = flat(spec.dims, one) if len(spec.dims) == 1 else {"anyOf": [flat(spec.dims, one), nested(spec.dims, one)]}
    return _as_entry(name, shape(spec.dims), {"const": datatype.name}, data)


def _any_entries(name: Schema) -> list[Schema]:
    """A tensor of any datatype and shape; its elements are of the datatype's kind."""
    kinds: list[tuple[Schema, list[str]]] = [
        ({"type": "integer"}, [own.name for own in Datatype if own.is_integer]),
        ({"type": "number"}, [own.name for own in Datatype if own.is_float]),
        ({"type": "boolean"}, [Datatype.BOOL.name]),
        (_TEXT, [Datatype.BYTES.name]),
    ]
    return [_as_entry(name, _SIZES, {"enum": datatypes}, any_nested(kind)) for kind, datatypes in kinds]


def _as_entry(name: Schema, sizes: Schema, datatype: Schema, data: Schema) -> Schema:
    parameters = _parameters({"binary_data_size": {"not": {}}})
    named = {"name": name, "shape": sizes, "datatype": datatype, "data": data}
    return record(named, optional={"parameters": parameters})


def _parameters(known: Mapping[str, Schema]) -> Schema:
    return {"type": ["object", "null"], "properties": dict(known), "additionalProperties": _PARAMETER}


# ---- replies


def _response(model: str, outputs: Mapping[str, TensorSpec] | None) -> Schema:
    answered: Sequence[Schema] = [_answered({"const": name}, spec) for name, spec in (outputs or {}).items()]
    items = answered[0] if len(answered) == 1 else {"anyOf": answered} if answered else _answered(_NAME, None)
    return record(
        {
            "model_name": {"const": model},
            "model_version": {"type": ["string", "null"]},
            "id": _TEXT,
            "parameters": {"type": ["object", "null"]},
            "outputs": {"type": "array", "items": items},
        }
    )


def _answered(name: Schema, spec: TensorSpec | None) -> Schema:
    if spec is None:
        data: Schema = {"type": "array", "items": {"type": ["number", "string", "boolean", "null"]}}
        return _output(name, _SIZES, _DATATYPE, data)
    rank = len(spec.dims)
    # Without the sizes that are fixed: prefixItems in a reply is more than schemathesis 4 can read.
    sizes = {**_SIZES, "minItems": rank, "maxItems": rank}
    return _output(name, sizes, {"const": spec.datatype.name}, flat(spec.dims, element(spec.datatype)))


def _output(name: Schema, sizes: Schema, datatype: Schema, data: Schema) -> Schema:
    return record({"name": name, "shape": sizes, "datatype": datatype, "parameters": {"type": "null"}, "data": data})
