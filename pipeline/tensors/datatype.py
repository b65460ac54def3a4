"""The datatypes of the Open Inference Protocol and what numpy calls them.

Source: Open Inference Protocol, "Tensor Data Types"; BF16 from Triton's extension of it. BF16 is ``ml_dtypes.bfloat16``
where that package is present, else its raw 16 bits in a ``uint16`` array. Its dtype has metadata that says what they
are, so that views and copies of such an array stay BF16.
"""

from __future__ import annotations

import enum
import functools
from typing import Any

import numpy as np


class Datatype(enum.Enum):
    """A tensor's element type; the value is its name in the protocol."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    BF16 = "BF16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"

    # One datatype exists once, so identity is equality; Enum's own __hash__ is a Python call on the request path.
    __hash__ = object.__hash__

    @functools.cached_property
    def word(self) -> str:
        """Its ``name``, which on the request path is not to be asked for: that is a Python call."""
        return self.name

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype of an array of this datatype (``object`` for BYTES: elements of any length)."""
        return _dtype_of(self)

    @functools.cached_property
    def is_float(self) -> bool:
        return self.name.startswith(("FP", "BF"))

    @functools.cached_property
    def is_integer(self) -> bool:
        return "INT" in self.name

    @functools.cached_property
    def is_number(self) -> bool:
        return self.is_float or self.is_integer


# What ``__members__`` is, without a call of Python's on the way of every tensor.
_BY_NAME = dict(Datatype.__members__)
_PLAIN = {
    Datatype.BOOL: np.bool_,
    Datatype.UINT8: np.uint8,
    Datatype.UINT16: np.uint16,
    Datatype.UINT32: np.uint32,
    Datatype.UINT64: np.uint64,
    Datatype.INT8: np.int8,
    Datatype.INT16: np.int16,
    Datatype.INT32: np.int32,
    Datatype.INT64: np.int64,
    Datatype.FP16: np.float16,
    Datatype.FP32: np.float32,
    Datatype.FP64: np.float64,
    Datatype.BYTES: np.object_,
}


# Equal to plain uint16, and not the same object.
_RAW_BF16: np.dtype[Any] = np.dtype(np.uint16, metadata={"datatype": "BF16"})


def _dtype_of(datatype: Datatype) -> np.dtype[Any]:
    if datatype is Datatype.BF16:
        return _bfloat16() or _RAW_BF16
    return np.dtype(_PLAIN[datatype])


@functools.cache
def _bfloat16() -> np.dtype[Any] | None:
    try:
        import ml_dtypes  # noqa: PLC0415  # optional: only BF16 needs it
    except ImportError:
        return None
    bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return bfloat16


# Keyed by numpy's character code: a dict of dtypes hashes each dtype anew, a dict of one-letter strings does not.
_BY_CHAR = {np.dtype(scalar).char: datatype for datatype, scalar in _PLAIN.items()}
# C's `long long` and `unsigned long long` are the 64 bit integers under a second code on Linux and macOS.
_BY_CHAR |= {np.dtype(np.longlong).char: Datatype.INT64, np.dtype(np.ulonglong).char: Datatype.UINT64}


# numpy has one object per native plain dtype, so most arrays are known by identity, which a request path feels.
_BY_IDENTITY = {id(np.dtype(scalar)): datatype for datatype, scalar in _PLAIN.items() if scalar is not np.object_}


def plain_datatype(dtype: np.dtype[Any]) -> Datatype | None:
    """The datatype of numbers and booleans in native byte order, found quickly; None means ask ``datatype_of``."""
    return _BY_IDENTITY.get(id(dtype))


def datatype_of(dtype: np.dtype[Any]) -> Datatype | None:
    """The datatype whose elements an array of ``dtype`` holds, or None where the protocol has none (complex, …)."""
    found = _BY_CHAR.get(dtype.char)
    if found is Datatype.UINT16 and dtype.metadata == _RAW_BF16.metadata:
        return Datatype.BF16
    if found is None and dtype.name == "bfloat16":
        return Datatype.BF16
    return found


def datatype_named(name: str) -> Datatype | None:
    """The datatype of that protocol name, in any case; None where there is none."""
    return _BY_NAME.get(name) or _BY_NAME.get(name.upper())
