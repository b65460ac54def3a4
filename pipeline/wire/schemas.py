"""Tensors as JSON Schema (2020-12): what a datatype and dimensions let stand in a JSON body.

A schema cannot say that a named dimension is one size everywhere, that lists are not ragged, or that a count of
elements is the product of a shape: a body that keeps to its schema and breaks one of these is the decoder's to refuse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.signature import Dim

Schema = dict[str, Any]

# The largest BF16: FP32's exponent with 8 bits of mantissa. numpy has no finfo of it.
_LARGEST_BF16 = (2 - 2**-7) * 2.0**127


def element(datatype: Datatype) -> Schema:
    """One element in JSON. NaN is null; FP64 has every number that JSON can say."""
    match datatype:
        case Datatype.BOOL:
            return {"type": "boolean"}
        case Datatype.BYTES:
            return {"type": "string"}
        case Datatype.FP64:
            return {"type": ["number", "null"]}
        case Datatype.BF16:
            return {"type": ["number", "null"], "minimum": -_LARGEST_BF16, "maximum": _LARGEST_BF16}
        case Datatype.FP16 | Datatype.FP32:
            # The shortest text that reads back as it, which encoders write, can be a larger number than it is.
            largest = float(str(np.finfo(datatype.dtype).max))
            return {"type": ["number", "null"], "minimum": -largest, "maximum": largest}
        case _:
            bounds = np.iinfo(datatype.dtype)
            return {"type": "integer", "minimum": int(bounds.min), "maximum": int(bounds.max)}


def nested(dims: Sequence[Dim], inner: Schema, *, least: int = 0) -> Schema:
    """Lists nested as the dimensions are. ``least``: 1 where the nesting alone tells the shape.

    Then no list but an innermost one is empty: ``[]`` has one dimension, whatever was meant.
    """
    for position, dim in reversed(list(enumerate(dims))):
        inner = {"type": "array", "items": inner}
        if is_fixed(dim):
            inner |= {"minItems": dim, "maxItems": dim}
        elif least and position < len(dims) - 1:
            inner["minItems"] = least
    return inner


def flat(dims: Sequence[Dim], inner: Schema) -> Schema:
    """One list of all elements in row-major order."""
    sizes = [dim for dim in dims if isinstance(dim, int) and dim >= 0]
    if len(sizes) < len(dims):
        return {"type": "array", "items": inner}
    count = math.prod(sizes)
    return {"type": "array", "items": inner, "minItems": count, "maxItems": count}


def shape(dims: Sequence[Dim]) -> Schema:
    """The list of sizes that goes with the dimensions."""
    sizes = [{"const": dim} if is_fixed(dim) else {"type": "integer", "minimum": 0} for dim in dims]
    schema = {"type": "array", "minItems": len(dims), "maxItems": len(dims)}
    return {**schema, "prefixItems": sizes} if sizes else schema


def any_nested(*kinds: Schema) -> Schema:
    """A tensor of any rank, whose elements are all of one of these kinds."""
    rows = [{"type": "array", "items": kind} for kind in kinds]
    tables = [{"type": "array", "items": row} for row in rows]
    deeper = {"type": "array", "items": {"type": "array", "items": {"type": "array"}}}
    return {"anyOf": [*kinds, *rows, *tables, deeper]}


def is_fixed(dim: Dim) -> bool:
    return isinstance(dim, int) and dim >= 0
