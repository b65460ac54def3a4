"""Version 1 in OpenAPI's terms: rows and columns, typed by what the model expects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import AskLive, AskModelReady, AskModels, Verb
from pipeline.tensors.signature import Expectation, TensorSpec
from pipeline.wire import v1
from pipeline.wire.codec import Codec, Route
from pipeline.wire.openapi import Operation, Subject, json_content, record
from pipeline.wire.schemas import Schema, any_nested, element, is_fixed, nested

CODEC: Codec = v1

# A length that is no multiple of four, or padding elsewhere, is no base64 either.
_BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_BYTES: Schema = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"b64": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64}},
            "required": ["b64"],
            "additionalProperties": False,
        },
    ]
}

_ANY = any_nested({"type": "number"}, {"type": "boolean"}, _BYTES)


def operation(route: Route, model: Subject | None) -> Operation:
    if model is not None and route.verb is not None:
        return _inference(route.verb, model)
    if route.asks is AskLive:
        reply = record({"status": {"const": "alive"}})
        return Operation(name="v1_live", summary="Is the process alive?", reply=json_content(reply))
    if route.asks is AskModels:
        reply = record({"models": {"type": "array", "items": {"type": "string"}}})
        return Operation(name="v1_models", summary="The names of all models", reply=json_content(reply))
    if route.asks is AskModelReady and model is not None:
        reply = record({"name": {"const": model.name}, "ready": {"const": True}})
        return Operation(name="v1_ready", summary="Is the model ready?", reply=json_content(reply))
    raise AssertionError(f"{route.template} is no route of version 1")


def is_written_in(body: Any) -> bool:
    """Rows, or columns; a list of tensors that name their datatypes is version 2's."""
    match body:
        case {"instances": list()}:
            return "inputs" not in body
        case {"inputs": [*tensors]}:
            return not all(isinstance(tensor, dict) and "datatype" in tensor for tensor in tensors)
        case {"inputs": _}:
            return True
        case _:
            return False


def _inference(verb: Verb, model: Subject) -> Operation:
    return Operation(
        name=f"v1_{verb}",
        summary=f"{verb.capitalize()} by rows (instances) or by columns (inputs)",
        note="A row is one item of axis 0. The nesting of the lists is the shape, so rows must not be ragged."
        " Keys beside the data are parameters.",
        body=json_content(_request(model.expectation)),
        reply=json_content(_answer(model.outputs) if verb == "predict" else {}),
    )


def _request(expectation: Expectation) -> Schema:
    """Any JSON where steps take it as it is sent and nothing declares tensors."""
    inputs: dict[str, TensorSpec | None] = {
        **expectation.signature.inputs,
        **{name: None for name in expectation.names if name not in expectation.signature.inputs},
    }
    if expectation.takes_json and not expectation.signature.inputs:
        return {}
    return {"anyOf": [*_rows(inputs, expectation), *_columns(inputs, expectation)]}


def _rows(inputs: Mapping[str, TensorSpec | None], expectation: Expectation) -> Iterable[Schema]:
    """Row form: one tensor as it is, and an object per row. A scalar is in no row."""
    stacked = {name: spec for name, spec in inputs.items() if spec is None or spec.dims}
    if any(spec and not spec.optional for name, spec in inputs.items() if name not in stacked):
        return
    for spec in _alone(stacked, expectation):
        yield _form("instances", {"type": "array", **_whole(spec)}, "inputs")
    closed = _is_closed(expectation)
    if stacked and (closed or len(inputs) > 1):
        rows = _list(_named(stacked, {name: _row(spec) for name, spec in stacked.items()}, closed=closed))
        fixed = next((spec.dims[0] for spec in stacked.values() if spec and is_fixed(spec.dims[0])), None)
        many = {"minItems": 1} if fixed is None else {"minItems": fixed, "maxItems": fixed}
        yield _form("instances", {**rows, **many}, "inputs")


def _columns(inputs: Mapping[str, TensorSpec | None], expectation: Expectation) -> Iterable[Schema]:
    """Column form: one tensor as it is, and an object with a tensor under each name."""
    for spec in _alone(inputs, expectation):
        yield _form("inputs", _whole(spec), "instances")
    if inputs:
        each = {name: _whole(spec) for name, spec in inputs.items()}
        yield _form("inputs", _named(inputs, each, closed=_is_closed(expectation)), "instances")


def _alone(inputs: Mapping[str, TensorSpec | None], expectation: Expectation) -> Iterable[TensorSpec | None]:
    """The spec of the tensor that may come without a name, where one may."""
    if (name := expectation.only_input) is not None and name in inputs:
        return [inputs[name]]
    return [*inputs.values(), None][:1] if len(inputs) < 2 else []


def _is_closed(expectation: Expectation) -> bool:
    """Whether only tensors of the known names are taken, as far as that is promised."""
    return bool(expectation.names) or expectation.only_input is not None


def _form(key: str, data: Schema, other: str) -> Schema:
    return record({key: data}, optional={other: {"not": {}}})


def _named(specs: Mapping[str, TensorSpec | None], each: Mapping[str, Schema], *, closed: bool) -> Schema:
    """An object of tensors. Of a name without a spec it is not known whether it can be left out."""
    required = [name for name, spec in specs.items() if spec and not spec.optional]
    schema: Schema = {"type": "object", "properties": dict(each), "required": required}
    if not required:
        schema["minProperties"] = 1
    return {**schema, "additionalProperties": False} if closed else schema


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _element(spec: TensorSpec) -> Schema:
    if spec.datatype is Datatype.BYTES:
        return _BYTES
    return {"type": "number"} if spec.any_number else element(spec.datatype)


def _whole(spec: TensorSpec | None) -> Schema:
    return nested(spec.dims, _element(spec), least=1) if spec else _ANY


def _row(spec: TensorSpec | None) -> Schema:
    return nested(spec.dims[1:], _element(spec), least=1) if spec else _ANY


def _answer(outputs: Mapping[str, TensorSpec] | None) -> Schema:
    """``predictions`` to rows, ``outputs`` to columns; of a model that tells nothing any JSON may come."""
    if not outputs:
        return {}
    if len(outputs) == 1:
        (only,) = outputs.values()
        value = nested(only.dims, _element(only))
        return {"anyOf": [record({"predictions": value}), record({"outputs": value})]}
    columns = record({"outputs": record({name: nested(own.dims, _element(own)) for name, own in outputs.items()})})
    if not all(spec.dims for spec in outputs.values()):
        return columns
    row = record({name: nested(spec.dims[1:], _element(spec)) for name, spec in outputs.items()})
    return {"anyOf": [record({"predictions": _list(row)}), columns]}
