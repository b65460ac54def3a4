"""Nested Python lists ↔ arrays, strictly: what does not fit a datatype without loss is refused, never rounded.

JSON carries tensors as nested lists, and step functions return them. Source of the rules: Open Inference Protocol,
"Tensor Data", and this project's protocols page where that is silent (booleans are no numbers, text is no number,
1.7 is no integer). A floating datatype takes the nearest of its numbers; one past its range is refused.
"""

from __future__ import annotations

import math
import struct
from itertools import chain
from typing import Any

import numpy as np

from pipeline.tensors import bfloat16
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.shown import dims, shown
from pipeline.tensors.tensor import Tensor, byte_strings, locked

# numpy's own limit on the rank of an array (NPY_MAXDIMS of numpy 2).
MAX_RANK = 64
# struct's codes of the numbers that it packs; with "=" before them it looks at the range of FP32 too.
_FLOATS = {Datatype.FP16: "e", Datatype.FP32: "f", Datatype.FP64: "d"}
_SIGNED = {Datatype.INT8: "b", Datatype.INT16: "h", Datatype.INT32: "i", Datatype.INT64: "q"}
_UNSIGNED = {Datatype.UINT8: "B", Datatype.UINT16: "H", Datatype.UINT32: "I", Datatype.UINT64: "Q"}
_CODES = {**_FLOATS, **_SIGNED, **_UNSIGNED}
_LISTS = (list, tuple)
_LIST_KINDS = frozenset(_LISTS)
_NUMBERS = frozenset({int, float})
_RAGGED = "[ragged]"
# A row without elements takes hardly a byte of a body, and 70 in memory as a list.
_MOST_EMPTY_ROWS = 2**16
# From here on FP64 has not every integer.
_LARGEST_EXACT = 2.0**53


def flatten(data: Any) -> tuple[list[Any], tuple[int, ...]]:
    """The elements in row-major order, and the shape of the nesting.

    Raises ValueError naming the first row of axis 0 that is nested differently. A value that is no list has shape ().
    """
    found = _flat(data)
    if found is None:
        raise ValueError(f"rows are nested differently: {_first_odd_row(data)}")
    return found


def _flat(data: Any) -> tuple[list[Any], tuple[int, ...]] | None:
    """As ``flatten``, and None where rows are nested differently: level by level, so that depth costs no more."""
    if not isinstance(data, _LISTS):
        return [data], ()
    level: list[Any] | tuple[Any, ...] = data
    shape = [len(data)]
    while level and isinstance(level[0], _LISTS):
        if set(map(type, level)) - _LIST_KINDS or len(set(map(len, level))) > 1:
            return None
        shape.append(len(level[0]))
        if len(shape) > MAX_RANK:
            raise ValueError(f"lists are nested more than {MAX_RANK} deep")
        level = list(chain.from_iterable(level))
    if not _LIST_KINDS.isdisjoint(map(type, level)):
        return None
    return (level if isinstance(level, list) else list(level)), tuple(shape)


def _first_odd_row(data: list[Any] | tuple[Any, ...]) -> str:
    first = _outline(data[0])
    for row, value in enumerate(data):
        outline = _outline(value)
        if outline != first:
            return f"row {row} has shape {outline}, row 0 has {first}"
        if outline == _RAGGED:
            return f"row {row} is ragged"
    return "row 0 is ragged"


def _outline(value: Any) -> str:
    try:
        found = _flat(value)
    except ValueError:
        return _RAGGED
    return _RAGGED if found is None else dims(found[1])


def require_few_empty(shape: tuple[int, ...]) -> None:
    """Raises ValueError for too many rows without elements: they hardly take room in a body, and as lists much."""
    if 0 in shape and math.prod(shape[: shape.index(0)]) > _MOST_EMPTY_ROWS:
        raise ValueError(f"its shape has no elements in more than {_MOST_EMPTY_ROWS} rows")


def natural_datatype(elements: list[Any], shape: tuple[int, ...]) -> Datatype:
    """The datatype that elements nested in that shape would have by themselves.

    Booleans BOOL, integers INT64 (UINT64 past it), any float among numbers FP64 (``None`` counts as NaN beside a
    number), text and bytes BYTES. No elements: FP64, as numpy has it. Raises ValueError naming the first row of axis 0
    that holds another kind.
    """
    kinds = set(map(type, elements))
    if not kinds or kinds <= {float, int, type(None)}:
        if kinds <= {int} and kinds:
            return Datatype.UINT64 if max(elements) > np.iinfo(np.int64).max else Datatype.INT64
        if kinds != {type(None)}:
            return Datatype.FP64
    if kinds == {bool}:
        return Datatype.BOOL
    if kinds <= {str, bytes}:
        return Datatype.BYTES
    first = _kind(elements[0])
    for position, element in enumerate(elements):
        if _kind(element) != first:
            row = position // (len(elements) // shape[0])
            raise ValueError(f"row {row} holds {shown(element)}, which does not go with {shown(elements[0])} in row 0")
    raise ValueError(f"{shown(elements[0])} is no tensor element")


def _kind(element: Any) -> str | None:
    match element:
        case bool():
            return "boolean"
        case int() | float() | None:
            return "number"
        case str() | bytes():
            return "text"
        case _:
            return None


def array_of(elements: list[Any], datatype: Datatype, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The elements as an array of exactly that datatype and shape, read-only.

    Raises ValueError naming the first element that does not fit; the count must already agree with the shape.
    """
    kinds = set(map(type, elements))
    if kinds <= _NUMBERS and (array := packed(elements, datatype, shape)) is not None:
        return array
    if datatype is Datatype.BYTES:
        _only(elements, kinds, {str, bytes}, datatype)
        if str in kinds:
            elements = _encoded(elements)
        array = byte_strings(elements, shape)
    elif datatype is Datatype.BOOL:
        _only(elements, kinds, {bool}, datatype)
        array = np.array(elements, dtype=np.bool_).reshape(shape)
    elif datatype.is_integer:
        _only(elements, kinds, {int, float}, datatype)
        array = _integers(elements, float in kinds, datatype).reshape(shape)
    else:
        _only(elements, kinds, {int, float, type(None)}, datatype)
        array = _floats(elements, datatype).reshape(shape)
    return locked(array)


def packed(numbers: list[int | float], datatype: Datatype, shape: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
    """As ``array_of``, of numbers alone, not even booleans; None where that is to be asked: one does not fit as it is.

    Through struct, which refuses what is past the range, in a third of the time of numpy told to do so.
    """
    code = _CODES.get(datatype)
    if code is None:
        return None
    try:
        return np.ndarray(shape, datatype.dtype, struct.pack(f"={len(numbers)}{code}", *numbers))
    except (OverflowError, struct.error):
        return None


def _only(elements: list[Any], kinds: set[type], allowed: set[type], datatype: Datatype) -> None:
    if not kinds <= allowed:
        position, odd = next((n, e) for n, e in enumerate(elements) if type(e) not in allowed)
        raise ValueError(f"element {position} is {shown(odd)}, which is no {datatype.name}")


def _encoded(elements: list[Any]) -> list[bytes]:
    try:
        return [element.encode() if isinstance(element, str) else element for element in elements]
    except UnicodeEncodeError:
        # JSON can spell half of a surrogate pair; UTF-8 cannot.
        raise ValueError("an element is text with a lone surrogate, which has no UTF-8 form") from None


def _integers(elements: list[Any], some_floats: bool, datatype: Datatype) -> np.ndarray[Any, Any]:
    if some_floats:
        for position, element in enumerate(elements):
            if isinstance(element, float) and not element.is_integer():
                raise ValueError(f"element {position} is {shown(element)}, which is no {datatype.name}")
        elements = [int(element) for element in elements]
    try:
        return np.array(elements, dtype=datatype.dtype)
    except OverflowError:
        bounds = np.iinfo(datatype.dtype)
        position, odd = next((n, e) for n, e in enumerate(elements) if not bounds.min <= e <= bounds.max)
        raise ValueError(f"element {position} is {shown(odd)}, which does not fit {datatype.name}") from None


def _floats(elements: list[Any], datatype: Datatype) -> np.ndarray[Any, Any]:
    try:
        return _rounded(elements, datatype)
    except (FloatingPointError, OverflowError):
        for position, element in enumerate(elements):
            try:
                _rounded([element], datatype)
            except (FloatingPointError, OverflowError):
                raise ValueError(
                    f"element {position} is {shown(element)}, which does not fit {datatype.name}"
                ) from None
        raise


def cast(numbers: np.ndarray[Any, Any], datatype: Datatype) -> np.ndarray[Any, Any] | None:
    """What ``array_of`` makes of these as Python's numbers; None where it refuses them, and where that is not sure.

    ``numbers``: finite FP64, integers among which may have been rounded to it; or INT64, or UINT64.
    """
    if datatype.is_float:
        try:
            # Integers become floats as Python's do, before they are rounded once more.
            return _rounded(numbers.astype(np.float64, copy=False), datatype)
        except FloatingPointError:
            return None
    if not datatype.is_integer:
        return None
    if numbers.dtype.kind == "f":
        if not (np.abs(numbers) < _LARGEST_EXACT).all() or (np.trunc(numbers) != numbers).any():
            return None
        numbers = numbers.astype(np.int64)
    bounds = np.iinfo(datatype.dtype)
    fits = bounds.min <= int(numbers.min()) and int(numbers.max()) <= bounds.max
    return numbers.astype(datatype.dtype, copy=False) if fits else None


def _rounded(elements: list[Any] | np.ndarray[Any, Any], datatype: Datatype) -> np.ndarray[Any, Any]:
    with np.errstate(over="raise"):
        if datatype is not Datatype.BF16:
            return np.asarray(elements, dtype=datatype.dtype)
        single = np.asarray(elements, dtype=np.float32)
        halved = bfloat16.from_float32(single)
        if np.any(np.isinf(bfloat16.to_float32(halved)) & np.isfinite(single)):
            raise FloatingPointError
        return halved


def tensor_of(data: Any) -> Tensor:
    """A nested list (or one scalar) as the tensor it is by nature. Raises ValueError as ``flatten`` and co. do."""
    elements, shape = flatten(data)
    datatype = natural_datatype(elements, shape)
    return Tensor(datatype, array_of(elements, datatype, shape))
