"""What JSON cannot carry of a request: refused before anything is sent, where a body would silently say another thing.

NaN goes as null, and is read back as NaN. The answers of a server are not this file's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.errors import InvalidInput
from pipeline.tensors.shown import dims, quoted
from pipeline.tensors.tensor import Json, Said, Tensor

_BINARY = 'version 2 of the protocol in binary can (protocol="v2", binary=True)'


def refuse_infinity(name: str, value: Said) -> None:
    """Raises InvalidInput naming the input that holds one: it would arrive as null, which is NaN."""
    match value:
        case Tensor(datatype) if datatype.is_float and np.isinf(value.numbers).any():
            raise InvalidInput(f"input {quoted(name)} holds an infinity, which JSON cannot carry; {_BINARY}")
        case Json(inner) if _holds_infinity(inner):
            reason = f"input {quoted(name)} is JSON that holds an infinity, for which JSON has no word"
            raise InvalidInput(f"{reason}; an array in binary can hold one")
        case _:
            return


def refuse_infinite(parameters: Mapping[str, Any]) -> None:
    """Raises InvalidInput naming the parameter that is infinite, or holds what is."""
    for name, value in parameters.items():
        if _holds_infinity(value):
            raise InvalidInput(f"parameter {quoted(name)} holds an infinity, for which JSON has no word")


def refuse_hidden_shape(name: str, value: Said) -> None:
    """Raises InvalidInput where nested lists cannot tell the shape: they end at an axis of size 0."""
    match value:
        case Tensor() if 0 in value.shape[:-1]:
            reason = f"input {quoted(name)} has the shape {dims(value.shape)}, which nested lists cannot tell"
            raise InvalidInput(f'{reason}; version 2 of the protocol carries it (protocol="v2")')
        case _:
            return


def _holds_infinity(value: Any) -> bool:
    match value:
        case float():
            return math.isinf(value)
        case dict():
            return any(map(_holds_infinity, value.values()))
        case list() | tuple() | set() | frozenset():
            return any(map(_holds_infinity, value))
        case np.ndarray() | np.generic():
            return bool(np.isinf(value).any()) if value.dtype.kind == "f" else _holds_infinity(value.tolist())
        case _:
            return False
