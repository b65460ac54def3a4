"""BF16 numbers where they meet Python: the upper 16 bits of an IEEE single, rounded to nearest even.

``ml_dtypes`` does it where it is present; the arithmetic below is for the raw ``uint16`` arrays of where it is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.tensors.datatype import Datatype

_QUIET_NAN = np.uint16(0x7FC0)


def from_float32(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """FP32 array → array of ``Datatype.BF16.dtype``, same shape."""
    dtype = Datatype.BF16.dtype
    if dtype != np.uint16:
        return numbers.astype(dtype)
    bits = numbers.view(np.uint32)
    rounded = ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)
    # Rounding would carry some NaNs over into infinity.
    return np.where(np.isnan(numbers), _QUIET_NAN, rounded)


def to_float32(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Array of ``Datatype.BF16.dtype`` → FP32 array of the same numbers (exact)."""
    if array.dtype != np.uint16:
        return array.astype(np.float32)
    return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
