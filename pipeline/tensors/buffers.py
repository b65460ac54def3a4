"""Tensors as raw bytes: little-endian and row-major, BYTES as a 32 bit length before each element.

Source: Triton's binary tensor data extension of the Open Inference Protocol; gRPC's raw contents are the same bytes. No
byte of a fixed-size tensor is copied, in either direction.
"""

from __future__ import annotations

import math
import struct
import sys
from typing import Any

import numpy as np

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.tensor import Tensor, byte_strings, frozen

_LENGTH = struct.Struct("<I")
_BYTES, _BOOL = Datatype.BYTES, Datatype.BOOL
# Up to here a copy is made ten times as fast as a view of the bytes.
_SMALL = 4096
_SWAPPED = sys.byteorder == "big"


def tensor_from_buffer(buffer: memoryview, datatype: Datatype, shape: tuple[int, ...]) -> Tensor:
    """A tensor that is a view of ``buffer`` (BYTES: whose elements are copies). Every byte must belong to it.

    Raises ValueError that says what was expected and what came.
    """
    count = math.prod(shape)
    if datatype is _BYTES:
        return Tensor(datatype, frozen(_elements(buffer, count, shape)))
    dtype = datatype.dtype
    expected = count * dtype.itemsize
    if len(buffer) != expected:
        raise ValueError(f"expected {expected} bytes, got {len(buffer)}")
    if datatype is _BOOL:
        raw: Any = np.frombuffer(buffer, dtype=np.uint8)
        largest = raw.max(initial=0)
        if largest > 1:
            raise ValueError(f"a BOOL is a byte 0 or 1, got {largest}")
    # Not np.ndarray(shape, dtype, buffer), whose base is what the view is of: then anybody can make it writeable.
    array = np.frombuffer(buffer, dtype=dtype).reshape(shape)
    return Tensor(datatype, frozen(array.byteswap() if _SWAPPED else array))


def tensor_to_buffer(tensor: Tensor) -> bytes | memoryview:
    """The tensor's bytes: a view of its memory, but for BYTES, which are joined."""
    array = tensor.array
    if tensor.datatype is _BYTES:
        return b"".join(part for element in array.ravel().tolist() for part in (_LENGTH.pack(len(element)), element))
    if _SWAPPED:
        array = array.byteswap()
    if array.nbytes <= _SMALL:
        return array.tobytes()
    raw: Any = array.reshape(-1).view(np.uint8)
    return memoryview(raw)


def _elements(buffer: memoryview, count: int, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    elements: list[bytes] = []
    position, end = 0, len(buffer)
    while position < end:
        if len(elements) == count:
            raise ValueError(f"expected {count} elements, got {end - position} bytes more")
        start = position + _LENGTH.size
        if start > end:
            raise ValueError(f"element {len(elements)} ends inside its length, at byte {end}")
        position = start + _LENGTH.unpack_from(buffer, position)[0]
        if position > end:
            raise ValueError(f"element {len(elements)} has {position - start} bytes, and {end - start} are left")
        elements.append(bytes(buffer[start:position]))
    if len(elements) != count:
        raise ValueError(f"expected {count} elements, got {len(elements)}")
    return byte_strings(elements, shape)
