"""BF16 numbers where they meet Python: the upper 16 bits of an IEEE single, rounded to nearest even.

The arithmetic is on bits, so it is the same with ``ml_dtypes`` and without, and no NaN warns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.tensors.datatype import Datatype

_QUIET_NAN = np.uint16(0x7FC0)


def from_float32(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """FP32 array → array of ``Datatype.BF16.dtype``, same shape."""
    # Arithmetic on an array without axes gives a number, which warns where an array wraps around.
    bits = np.atleast_1d(numbers).view(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)
    # Rounding would carry some NaNs over into infinity.
    return np.where(np.isnan(numbers), _QUIET_NAN, rounded.reshape(numbers.shape)).view(Datatype.BF16.dtype)


def to_float32(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Array of ``Datatype.BF16.dtype`` → FP32 array of the same numbers (exact)."""
    bits = array.view(np.uint16).astype(np.uint32)
    bits <<= np.uint32(16)
    return bits.view(np.float32)
