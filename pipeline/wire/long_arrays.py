"""Long arrays of numbers in an answer, written in parts: a thread that does this can be interrupted between two.

orjson writes an array without Python objects, and keeps Python's lock until it is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import orjson

from pipeline.tensors.tensor import Tensor, Value
from pipeline.wire.json_tensors import dump, dump_answer, plain

# They take 1.5 ms to write, a third of that if they are integers; a trip to a thread takes 0.05.
_MANY = 1 << 16
# As many take hardly longer than a thread is left to itself anyway. Smaller parts cost a tenth more in a thread, whose
# memory is taken and given back page by page.
_PART = 1 << 18
# Of one array; what sends a reply hands its parts to the kernel by the thousand (IOV_MAX).
_MOST_PARTS = 1 << 8
# JSON spells this character, and never has it.
_CUT = b"\0"


class Long(msgspec.Struct, frozen=True, eq=False):
    """An array that is written in parts."""

    array: np.ndarray[Any, Any]


def in_parts(data: Any) -> Any:
    """The data of a tensor as ``dump_in_parts`` writes it."""
    return Long(data) if isinstance(data, np.ndarray) and data.size > _MANY else data


def any_long(outputs: Mapping[str, Value]) -> bool:
    """Whether it takes so long to write one of them as JSON that others would notice."""
    for value in outputs.values():  # noqa: SIM110  # every answer asks, and a generator costs more than its loop
        if isinstance(value, Tensor) and value.array.size > _MANY:
            return True
    return False


def dump_in_parts(value: Any) -> Sequence[bytes | memoryview]:
    """The parts of ``dump_answer``'s text, for which an array may be ``Long``."""
    arrays: list[np.ndarray[Any, Any]] = []

    def default(other: Any) -> Any:
        match other:
            case Long(array):
                arrays.append(array)
                return orjson.Fragment(_CUT)
            case _:
                return plain(other)

    text = dump_answer(value, default)
    if not arrays:
        return (text,)
    first, *rest = text.split(_CUT)
    parts: list[bytes | memoryview] = [first]
    for array, after in zip(arrays, rest, strict=True):
        parts.extend(_parts(array))
        parts.append(after)
    return parts


def _parts(array: np.ndarray[Any, Any]) -> Iterator[bytes | memoryview]:
    rows = len(array)
    if rows == 1 and array.ndim > 1:
        yield b"["
        yield from _parts(array[0])
        yield b"]"
        return
    step = max(1, rows * _PART // array.size, -(-rows // _MOST_PARTS))
    for start in range(0, rows, step):
        yield b"," if start else b"["
        yield memoryview(dump(array[start : start + step]))[1:-1]
    yield b"]"
