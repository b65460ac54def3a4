"""Tensors as entries of a version 2 body: ``{"name", "shape", "datatype", "parameters", "data"}``, both ways.

Source: Open Inference Protocol, "Request Input" and "Response Output"; KServe's null fields. The bodies around the
entries are not known here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import InvalidInput
from pipeline.tensors.datatype import Datatype, datatype_named
from pipeline.tensors.message import MAX_INPUTS
from pipeline.tensors.nested import MAX_RANK, require_few_empty
from pipeline.tensors.shown import Named, kind, quoted, shown
from pipeline.tensors.tensor import Said, Value
from pipeline.wire.binary import Tail
from pipeline.wire.json_tensors import flat_data, tensor_from
from pipeline.wire.large_json import Place

_REGION = "shared_memory_region"
# What Triton's clients can ask of an output and nothing here does: refused, since the answer would be another one.
_NOT_DONE = {_REGION: "there is no shared memory", "classification": "outputs are not turned into classes"}
# No array has more bytes than a signed 64 bit integer counts; an element takes up to 8.
_MAX_ELEMENTS = 2**63 // 8
_SIZES = "its shape is a list of whole numbers from 0"


def tensors_in(
    body: Mapping[str, Any], key: str, model: str, tail: Tail
) -> tuple[dict[str, Value], dict[str, Mapping[str, Any]]]:
    """Name → tensor of the list under ``key`` ("inputs" or "outputs"), those in binary taken from ``tail`` to its end;
    and name → parameters of those that have some.

    Raises InvalidInput naming the entry.
    """
    entries, role = body.get(key), key.removesuffix("s")
    if not isinstance(entries, list):
        raise InvalidInput(f'expected "{key}" to be a list of tensors, got {kind(entries)}')
    if len(entries) > MAX_INPUTS:
        raise InvalidInput(f'"{key}" has {len(entries)} tensors; there are at most {MAX_INPUTS}')
    found: dict[str, Value] = {}
    told: dict[str, Mapping[str, Any]] = {}
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InvalidInput(f"{key}[{position}] is an object with name, shape, datatype and data, got {kind(entry)}")
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            raise InvalidInput(f"{key}[{position}]: its name is a text, and not empty; got {shown(name)}")
        if name in found:
            raise InvalidInput(f"{role} {quoted(name)} is sent twice")
        found[name] = _tensor(entry, name, role, model, tail)
        if parameters := entry.get("parameters"):
            told[name] = parameters
    tail.require_end()
    return found, told


def places(body: Any) -> Iterator[Place]:
    """Where a request may have ``Numbers`` instead of lists of numbers."""
    entries = body.get("inputs") if isinstance(body, dict) else None
    if isinstance(entries, list):
        yield from ((entry, "data") for entry in entries if isinstance(entry, dict))


def _tensor(entry: Mapping[str, Any], name: str, role: str, model: str, tail: Tail) -> Value:
    what = Named(role, name)
    datatype = _datatype(entry, what)
    shape = _shape(entry, what)
    size = None
    if parameters := parameters_of(entry, what):
        size = parameters.get("binary_data_size")
        if _REGION in parameters:
            raise InvalidInput(f"{what} is in shared memory, which this server has none of; send its data")
    # KServe's client writes "data": null beside a binary_data_size of 0; a null field is none, as everywhere.
    if size is not None and entry.get("data") is None:
        return tail.tensor(what, size, datatype, shape)
    if "data" not in entry:
        raise InvalidInput(f"'data' field is missing for {role} '{quoted(name)[1:-1]}' for model '{model}'")
    if size is not None:
        raise InvalidInput(f"{what} has data and binary_data_size; a tensor is in one form")
    try:
        return tensor_from(name, entry["data"], datatype, shape)
    except InvalidInput as error:
        raise InvalidInput(f"{role} {error.reason}") from None


def _datatype(entry: Mapping[str, Any], what: Named) -> Datatype:
    word = entry.get("datatype")
    datatype = datatype_named(word) if isinstance(word, str) else None
    if datatype is None:
        came = quoted(word) if isinstance(word, str) else kind(word)
        raise InvalidInput(f"{what}: its datatype is one of {', '.join(Datatype.__members__)}, got {came}")
    return datatype


def _shape(entry: Mapping[str, Any], what: Named) -> tuple[int, ...]:
    shape = entry.get("shape")
    if not isinstance(shape, list):
        raise InvalidInput(f"{what}: {_SIZES}, got {kind(shape)}")
    for size in shape:
        if type(size) is not int or size < 0:
            raise InvalidInput(f"{what}: {_SIZES}, got {shown(size)} in it")
    if len(shape) > MAX_RANK:
        raise InvalidInput(f"{what}: its shape has {len(shape)} dimensions, and an array at most {MAX_RANK}")
    if (math.prod(shape) or math.prod(size for size in shape if size)) >= _MAX_ELEMENTS:
        raise InvalidInput(f"{what}: its shape is larger than any array")
    try:
        require_few_empty(tuple(shape))
    except ValueError as error:
        raise InvalidInput(f"{what}: {error}") from None
    return tuple(shape)


def parameters_of(entry: Mapping[str, Any], what: str | Named) -> Mapping[str, Any]:
    """The parameters of a body or an entry; ``what`` is its name in an error."""
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidInput(f"the parameters of {what} are an object, got {kind(parameters)}")
    for name, value in parameters.items():
        if not isinstance(value, str | int | float | bool):
            raise InvalidInput(
                f"parameter {quoted(name)} of {what} is a number, a text or a boolean, got {kind(value)}"
            )
    return parameters


def requested_in(entries: Any, binary: bool) -> dict[str, bool]:
    """Output name → in binary or not, in the caller's order, each once; none means all. ``binary`` is the default.

    ``entries``: what the request has as its ``outputs``.
    """
    if entries is None:
        return {}
    if not isinstance(entries, list):
        raise InvalidInput(f'expected "outputs" to be a list, got {kind(entries)}')
    names: dict[str, bool] = {}
    for position, entry in enumerate(entries):
        what = f"outputs[{position}]"
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise InvalidInput(f"{what} is an object with a name, got {kind(entry)}")
        parameters = parameters_of(entry, what)
        for word, reason in _NOT_DONE.items():
            if parameters.get(word):
                raise InvalidInput(f"output {quoted(name)} has the parameter {word}, and {reason}; leave it out")
        names[name] = wants_binary(parameters, "binary_data", what, default=binary)
    return names


def wants_binary(parameters: Mapping[str, Any], key: str, what: str, *, default: bool) -> bool:
    """Whether the parameter ``key`` asks for an answer in binary."""
    wanted = parameters.get(key, default)
    if not isinstance(wanted, bool):
        raise InvalidInput(f'parameter "{key}" of {what} is true or false, got {shown(wanted)}')
    return wanted


def entry_of(name: str, value: Said, between: Mapping[str, Any], role: str = "output") -> dict[str, Any]:
    """The entry of a tensor; ``between`` stands before the data. Raises InvalidInput where JSON cannot carry it."""
    datatype, shape, data = flat_data(name, value, role)
    return {"name": name, "shape": shape, "datatype": datatype.word, **between, "data": data}
