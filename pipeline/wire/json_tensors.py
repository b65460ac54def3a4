"""JSON bodies, and tensors as they stand in them. The one place where a tensor is made of, or into, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.tensors import bfloat16
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.nested import array_of, flatten
from pipeline.tensors.tensor import Json, Tensor, Value


def parse(body: bytes | memoryview) -> Any:
    """The JSON value in a body. ``NaN`` and ``Infinity`` are read though strict JSON has no such words.

    Raises InvalidInput with the position, never with the body.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        refusal = InvalidInput(f"Unrecognized request format: {error}")
    text = bytes(body)
    if b"NaN" in text or b"Infinity" in text:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise refusal from None
    raise refusal


def dump(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Strict JSON, compact; NaN and infinities are null, numpy arrays and numbers are what they hold."""
    return orjson.dumps(value, default=default, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def dump_answer(value: Any) -> bytes:
    """JSON that a step returned. Raises WrongAnswer where it holds what JSON cannot say."""
    try:
        return dump(value, _plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongAnswer(f"the answer is no JSON: {error}") from None


def _plain(value: Any) -> Any:
    """What orjson does not know but steps return: bytes that are text, arrays it cannot walk, tuples' like."""
    match value:
        case bytes() | bytearray():
            return value.decode()
        case np.ndarray() | np.generic():
            return value.tolist()
        case set() | frozenset():
            return list(value)
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON")


def tensor_from(name: str, data: Any, datatype: Datatype, shape: tuple[int, ...]) -> Tensor:
    """The tensor of that datatype and shape; ``data`` is flat in row-major order, or nested exactly as the shape.

    Raises InvalidInput naming the input, what was expected and what came.
    """
    expected = f"{datatype.name}[{','.join(map(str, shape))}]"
    try:
        elements, nesting = flatten(data)
        count = math.prod(shape)
        if nesting not in ((len(elements),), shape):
            raise ValueError(f"expected {expected}, flat or nested so, got nesting [{','.join(map(str, nesting))}]")
        if len(elements) != count:
            raise ValueError(f"expected {count} elements for {expected}, got {len(elements)}")
        return Tensor(datatype, array_of(elements, datatype, shape))
    except ValueError as error:
        raise InvalidInput(f'input "{name}" ({expected}): {error}') from None


def flat_data(name: str, value: Value) -> tuple[Datatype, tuple[int, ...], Any]:
    """(datatype, shape, data for ``dump``) of an output; JSON is one BYTES element that holds it.

    Raises InvalidInput for BYTES that are no text: JSON cannot carry them, the caller can ask for binary.
    """
    match value:
        case Json(inner):
            return Datatype.BYTES, (1,), [dump_answer(inner).decode()]
        case Tensor(Datatype.BYTES, array):
            try:
                return Datatype.BYTES, array.shape, [element.decode() for element in array.ravel().tolist()]
            except UnicodeDecodeError:
                reason = "is BYTES that are not UTF-8, which JSON cannot carry; ask for it in binary"
                raise InvalidInput(f'output "{name}" {reason}') from None
        case Tensor(Datatype.BF16, array):
            return Datatype.BF16, array.shape, bfloat16.to_float32(array).reshape(-1)
        case Tensor(datatype, array):
            return datatype, array.shape, array.reshape(-1)
