"""BYTES as raw bytes: a little-endian 32 bit length before each element."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from pipeline.tensors.tensor import byte_strings
from pipeline_serve.kserve.errors import InferenceError

_LENGTH = struct.Struct("<I")


def serialize_byte_tensor(input_tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """All elements in row-major order, as one ``bytes`` in an object array without dimensions.

    An empty tensor is an empty array of objects. Raises InferenceError for an array that holds neither objects nor
    ``bytes``.
    """
    if input_tensor.size == 0:
        return np.empty([0], dtype=np.object_)
    if input_tensor.dtype.kind not in "OS":
        raise InferenceError("cannot serialize bytes tensor: invalid datatype")
    elements = (each if isinstance(each, bytes) else str(each).encode() for each in input_tensor.ravel().tolist())
    joined = b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))
    return np.asarray(joined, dtype=np.object_)


def deserialize_bytes_tensor(encoded_tensor: bytes) -> np.ndarray[Any, Any]:
    """The elements, as ``bytes`` in an array of one dimension. Raises struct.error where one is cut short."""
    elements, position = [], 0
    while position < len(encoded_tensor):
        (length,) = _LENGTH.unpack_from(encoded_tensor, position)
        (element,) = struct.unpack_from(f"<{length}s", encoded_tensor, position + _LENGTH.size)
        elements.append(element)
        position += _LENGTH.size + length
    return byte_strings(elements, (len(elements),))
