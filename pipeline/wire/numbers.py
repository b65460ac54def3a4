"""Text that is a JSON array of nothing but numbers, at any depth, to one array, without as many Python objects.

Only where it is sure to say what a reader of all JSON would: for anything odd it gives None, and that reader has the
value or the error. It works piece by piece, so that what it takes beside the result is small and stays in the
processor's cache, and a thread that does this can be interrupted between two pieces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import orjson

from pipeline.tensors.nested import MAX_RANK

Array = np.ndarray[Any, Any]
ReadPieces = Callable[[Iterable[bytes], np.dtype[Any]], Array | None]
"""The numbers of arrays that are nested alike, flat, in that dtype: FP64, INT64 or UINT64.

None where they are no JSON, hold anything but numbers, or numbers that are not of that dtype: a float is no integer, an
integer past 64 bits is none of them.
"""

# Of 16 KiB to 1 MiB, where numbers are read fastest, with either reader.
_PIECE = 1 << 16
_OPENING = re.compile(rb"(?:\[[ \t\n\r]*)+")
_MARKS = b"[],"
_UNMARKED = bytes(byte for byte in range(256) if byte not in _MARKS)
# Of texts, and of true, false and null: numpy makes numbers of them.
_TAKEN_FOR_NUMBERS = (b'"', b"u", b"l")
_SMALLEST = -(2**63)
_FLOAT, _SIGNED, _UNSIGNED = np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.uint64)


class Numbers(msgspec.Struct, frozen=True, eq=False):
    """``array``: flat and in row-major order; INT64 where all are integers, UINT64 where they are past that, else FP64.

    ``shape``: that of their nesting, which has no axis of size 0. ``text``: what they were read from.
    """

    array: Array
    shape: tuple[int, ...]
    text: memoryview

    @property
    def lists(self) -> int:
        """How many lists the text has."""
        count, rows = 1, 1
        for size in self.shape[:-1]:
            rows *= size
            count += rows
        return count

    def listed(self) -> Any:
        """The lists that the text says, for who explains what is wrong with an element."""
        return orjson.loads(self.text)


def read_numbers(body: bytes, start: int, end: int, read: ReadPieces) -> Numbers | None:
    """The numbers in ``body[start:end]``; None where that is no array of them, from its first bracket to its last."""
    opening = _OPENING.match(body, start, end)
    rank = opening[0].count(b"[") if opening else 0
    if not 0 < rank <= MAX_RANK or not body.endswith(b"]", start, end):
        return None
    # A flat array has one bracket, and as many elements as it says.
    shape = () if rank == 1 and body.find(b"[", start + 1, end) < 0 else rectangle(body, start, end)
    if shape is None:
        return None
    for dtype in _dtypes(body, start, end):
        array = read(_pieces(body, start, end, rank), dtype)
        if array is not None:
            break
    else:
        return None
    shape = shape or array.shape
    # A row of one element has the marks of an empty one.
    if not len(array) or len(array) != math.prod(shape):
        return None
    return Numbers(array, shape, memoryview(body)[start:end])


def _dtypes(body: bytes, start: int, end: int) -> tuple[np.dtype[Any], ...]:
    """What they are if they are numbers: one that is written with a fraction or an exponent makes all of them FP64."""
    if any(body.find(sign, start, end) >= 0 for sign in (b".", b"e", b"E")):
        return (_FLOAT,)
    return (_SIGNED,) if body.find(b"-", start, end) >= 0 else (_SIGNED, _UNSIGNED)


def _pieces(body: bytes, start: int, end: int, rank: int) -> Iterator[bytes]:
    """The array as arrays of some of its rows each, in turn: all of them are JSON if and only if it is."""
    view = memoryview(body)
    # Where a row of the first axis ends; what is written with spaces there is one piece.
    cut = b"]" * (rank - 1) + b","
    start, end = start + 1, end - 1
    while start <= end:
        found = body.find(cut, start + _PIECE, end)
        stop = end if found < 0 else found + rank - 1
        yield b"".join((b"[", view[start:stop], b"]"))
        start = stop + 1


def rectangle(body: bytes, start: int, end: int) -> tuple[int, ...] | None:
    """The shape that the brackets and commas of a JSON array of numbers draw, None where rows differ.

    An array without elements looks as one with one. Of text that is no such array it may say anything.
    """
    view = memoryview(body)
    marks = b"".join(
        bytes(view[at : min(at + _PIECE, end)]).translate(None, _UNMARKED) for at in range(start, end, _PIECE)
    )
    rank = len(marks) - len(marks.lstrip(b"["))
    sizes: list[int] = []
    inner = b""
    for level in range(1, rank + 1):
        stop = marks.find(b"]" * level)
        outer = marks[rank - level : stop + level]
        if stop < 0:
            return None
        count, rest = divmod(len(outer) - 1, len(inner) + 1)
        if rest or outer != b"[%b]" % b",".join([inner] * count):
            return None
        sizes.append(count)
        inner = outer
    return tuple(reversed(sizes)) if rank and inner == marks else None


def with_orjson(pieces: Iterable[bytes], dtype: np.dtype[Any]) -> Array | None:
    """``ReadPieces`` that everybody has: the numbers of one piece at a time are Python's."""
    read = []
    for piece in pieces:
        if any(sign in piece for sign in _TAKEN_FOR_NUMBERS):
            return None
        try:
            elements = orjson.loads(piece)
            while elements and isinstance(elements[0], list):
                elements = list(chain.from_iterable(elements))
            if not elements:
                return None
            numbers = np.fromiter(elements, dtype, len(elements))
        except (ValueError, TypeError, OverflowError):
            return None
        # Integers just below it are floats to orjson, which numpy takes for it.
        if dtype == _SIGNED and numbers.min() == _SMALLEST:
            return None
        read.append(numbers)
    return np.concatenate(read)


def quickest() -> ReadPieces:
    """With simdjson where that is installed."""
    try:
        from simdjson import Parser  # noqa: PLC0415  # optional: there is no wheel for every Python
    except ImportError:
        return with_orjson

    codes = {_FLOAT: "d", _SIGNED: "i", _UNSIGNED: "u"}

    def with_simdjson(pieces: Iterable[bytes], dtype: np.dtype[Any]) -> Array | None:
        # Not shared: a parser's document ends with the next one, and threads would meet in it.
        parser: Any = Parser()
        code = codes[dtype]
        read = []
        for piece in pieces:
            try:
                numbers = np.frombuffer(parser.parse(piece).as_buffer(of_type=code), dtype)
            except (ValueError, TypeError, RuntimeError):  # the last is a big integer's
                return None
            if not len(numbers):
                return None
            read.append(numbers)
        return np.concatenate(read)

    return with_simdjson
