"""A small request of version 2 as nearly all are, read at once: by a typed parser, which tells that it is one of them.

What is anything else, or wrong, is left to ``entries``, which has the rules, and words for what is wrong. Whatever is
read here is read there as just the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pipeline.tensors.buffers import tensor_from_buffer
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.nested import MAX_RANK, array_of, packed
from pipeline.tensors.tensor import Tensor, Value
from pipeline.wire.large_json import LARGE

Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""Larger ones are floats to the parser of all other JSON, or refused."""
_Parameters = dict[str, str | Int | float | bool]


class _Input(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: Annotated[str, Meta(min_length=1)]
    shape: Annotated[tuple[Annotated[int, Meta(ge=1)], ...], Meta(max_length=MAX_RANK)]
    datatype: Datatype
    data: list[Int | float | str | list[Int | float]] | None = None
    parameters: _Parameters | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    inputs: list[_Input]
    id: str | None = None
    parameters: _Parameters | None = None
    outputs: list[dict[str, str | _Parameters | None]] | None = None


_BYTES = Datatype.BYTES
_PARSER = msgspec.json.Decoder(_Body)
Usual = tuple[str, Mapping[str, Any], list[Any] | None, dict[str, Value], dict[str, Mapping[str, Any]]]
"""The id, the parameters, the entries of the outputs, name → tensor, name → parameters of the inputs that have some."""


def usual_request(head: bytes | memoryview, tail: memoryview) -> Usual | None:
    """A request of that JSON and that binary tail, every byte of it read; None where it is not as nearly all are."""
    if len(head) >= LARGE:
        return None
    try:
        body = _PARSER.decode(head)
        found: dict[str, Value] = {}
        told: dict[str, Mapping[str, Any]] = {}
        for own in body.inputs:
            data, datatype, shape = own.data, own.datatype, own.shape
            if own.parameters:
                size = own.parameters.get("binary_data_size")
                if data is not None or len(own.parameters) > 1 or type(size) is not int or not 0 <= size <= len(tail):
                    return None
                found[own.name] = tensor_from_buffer(tail[:size], datatype, shape)
                told[own.name] = own.parameters
                tail = tail[size:]
                continue
            elements = _in_a_row(data, shape) if data else None
            if elements is None:
                return None
            array = array_of(elements, _BYTES, shape) if datatype is _BYTES else packed(elements, datatype, shape)
            if array is None:
                return None
            found[own.name] = Tensor(datatype, array)
    except ValueError:
        return None
    if tail or len(found) != len(body.inputs):
        return None
    return body.id or "", body.parameters or {}, body.outputs, found, told


def _in_a_row(data: list[Any], shape: tuple[int, ...]) -> list[Any] | None:
    """The elements of data that is flat, or has rows."""
    if len(data) == math.prod(shape):
        return data
    if len(shape) != 2 or len(data) != shape[0]:
        return None
    elements: list[Any] = []
    for row in data:
        if type(row) is not list or len(row) != shape[1]:
            return None
        elements += row
    return elements
