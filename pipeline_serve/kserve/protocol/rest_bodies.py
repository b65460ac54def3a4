"""Requests and answers of version 2 as bodies: an object, or its bytes with raw tensors behind them."""

from __future__ import annotations

import uuid
from typing import Any, TypeVar

from pipeline import errors as ours
from pipeline.tensors.buffers import tensor_to_buffer
from pipeline.tensors.datatype import Datatype, datatype_named
from pipeline.wire.binary import HEADER, Tail, split
from pipeline.wire.json_tensors import dump, parse
from pipeline_serve.kserve.errors import InvalidInput
from pipeline_serve.kserve.protocol.named_tensor import BINARY_SIZE, NamedTensor

Named = TypeVar("Named", bound=NamedTensor)


def made_id() -> str:
    return str(uuid.uuid4())


def read(
    kind: type[Named], body: bytes, json_length: int, key: str, model: str | None = None
) -> tuple[dict[str, Any], list[Named]]:
    """The object and the tensors under ``key``. Raises InvalidInput."""
    try:
        head, rest = split({HEADER: str(json_length)}, body)
        tail = Tail(rest)
        found = parse(head)
        if not isinstance(found, dict) or not isinstance(found.get(key), list):
            raise InvalidInput(f'expected an object with a list "{key}"')
        name = found.get("model_name") if model is None else model
        tensors = [_tensor(kind, entry, tail, key.removesuffix("s"), name) for entry in found[key]]
    except ours.InvalidInput as error:
        raise InvalidInput(error.reason) from None
    return found, tensors


def _tensor(kind: type[Named], entry: Any, tail: Tail, role: str, model: str | None) -> Named:
    if not isinstance(entry, dict) or not {"name", "shape", "datatype"} <= entry.keys():
        raise InvalidInput(f"an {role} is an object with name, shape and datatype")
    name, shape, word = entry["name"], entry["shape"], entry["datatype"]
    parameters = entry.get("parameters")
    if entry.get("data") is not None:
        return kind(name, shape, word, entry["data"], parameters)
    if not parameters or BINARY_SIZE not in parameters:
        raise InvalidInput(f"'data' field is missing for {role} '{name}' for model '{model}'")
    datatype = datatype_named(word)
    if datatype is None:
        raise InvalidInput(kind.UNKNOWN_DATATYPE)
    size = parameters[BINARY_SIZE]
    if size is None:
        raise InvalidInput(f"'{BINARY_SIZE}' is not specified for {role} '{name}' for model '{model}'")
    value = tail.tensor(f'{role} "{name}"', size, datatype, tuple(shape))
    rest = {key: value for key, value in parameters.items() if key != BINARY_SIZE}
    return kind.of(name, value, parameters=rest)


def written(named: NamedTensor, parts: list[bytes | memoryview], role: str, data: Any) -> dict[str, Any]:
    """The entry of a tensor. ``data`` is its list; where that is None its bytes are appended to ``parts``."""
    entry = {"name": named.name, "shape": named.shape, "datatype": named.datatype}
    parameters = {key: value for key, value in (named.parameters or {}).items() if key != BINARY_SIZE}
    if data is None:
        part = tensor_to_buffer(named.as_tensor())
        parts.append(part)
        return {**entry, "parameters": {**parameters, BINARY_SIZE: len(part)}}
    if named.datatype == Datatype.FP16.name and data:
        way_out = f"Please use the binary data format for {role} {named.name}"
        raise InvalidInput(f"Sending FP16 data via JSON is not supported. {way_out}")
    return {**entry, **({"parameters": parameters} if parameters else {}), "data": data}


def missing(named: NamedTensor, role: str, model: str | None) -> InvalidInput:
    return InvalidInput(f"'data' field is missing for {role} '{named.name}' for model '{model}'")


def joined(body: dict[str, Any], parts: list[bytes | memoryview]) -> tuple[bytes | dict[str, Any], int | None]:
    if not parts:
        return body, None
    head = dump(body)
    return b"".join([head, *parts]), len(head)
