"""Universal Binary JSON, as xgboost writes its models: arrays of numbers stay numpy's, and are views of the bytes.

Source: https://ubjson.org/type-reference, without what xgboost does not read either (objects of one type, ``N``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

_NUMBERS = {"i": ">i1", "U": ">u1", "C": ">i1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
_WORDS = {"Z": None, "T": True, "F": False}
_DEEPEST = 64


def read_ubjson(data: bytes) -> Any:
    """The value that begins there. Raises ValueError where it is none, is cut short, or nests too deep."""
    try:
        return _Reader(data).value(_DEEPEST)
    except (IndexError, struct.error):
        raise ValueError("it was cut short") from None


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def value(self, deeper: int) -> Any:
        return self._of(self._mark(), deeper)

    def _of(self, mark: str, deeper: int) -> Any:
        if deeper == 0:
            raise ValueError(f"it nests more than {_DEEPEST} deep")
        match mark:
            case "{":
                return self._until("}", lambda: (self._text(), self.value(deeper - 1)), dict)
            case "[":
                return self._array(deeper - 1)
            case "S":
                return self._text()
            case _ if mark in _WORDS:
                return _WORDS[mark]
            case _:
                return self._numbers(mark, 1)[0].item()

    def _array(self, deeper: int) -> Any:
        match self._peek():
            case "$":
                self._at += 1
                kind, sign = self._mark(), self._mark()
                if sign != "#":
                    raise ValueError(f"an array of one type has no size at byte {self._at}")
                return self._numbers(kind, self._size())
            case "#":
                self._at += 1
                # An element takes a byte at least: no size lets this go on past the end.
                return [self.value(deeper) for _ in range(self._size())]
            case _:
                return self._until("]", lambda: self.value(deeper), list)

    def _until(self, end: str, read: Callable[[], Any], kind: Callable[[list[Any]], Any]) -> Any:
        found = []
        while self._peek() != end:
            found.append(read())
        self._at += 1
        return kind(found)

    def _numbers(self, mark: str, size: int) -> np.ndarray[Any, Any]:
        if mark not in _NUMBERS:
            raise ValueError(f"{mark!r} at byte {self._at - 1} is no type")
        dtype = np.dtype(_NUMBERS[mark])
        start, self._at = self._at, self._at + size * dtype.itemsize
        return np.frombuffer(self._slice(start), dtype)

    def _text(self) -> str:
        size = self._size()
        start, self._at = self._at, self._at + size
        return str(self._slice(start), "utf-8", "replace")

    def _size(self) -> int:
        size = self._numbers(self._mark(), 1)[0].item()
        if not isinstance(size, int) or size < 0:
            raise ValueError(f"{size} before byte {self._at} is no size")
        return size

    def _slice(self, start: int) -> memoryview:
        if self._at > len(self._data):
            raise ValueError("it was cut short")
        return memoryview(self._data)[start : self._at]

    def _peek(self) -> str:
        return chr(self._data[self._at])

    def _mark(self) -> str:
        self._at += 1
        return chr(self._data[self._at - 1])
