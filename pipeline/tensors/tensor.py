"""A tensor: a datatype and one array; and what else flows along an edge: JSON, and what goes out as it is.

The shape is the array's and the name is the key it stands under, so neither can disagree with a second copy. An array
in a tensor is C-contiguous, in native byte order and read-only: steps share it without copies, and a step that wants to
write copies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np

from pipeline.tensors import bfloat16
from pipeline.tensors.datatype import Datatype, datatype_of, plain_datatype

# To look a member up on its enum is a tenth of a microsecond, which each request would pay several times.
_BF16 = Datatype.BF16


class Tensor(msgspec.Struct, frozen=True, eq=False):
    """``array.dtype`` is ``datatype.dtype``; BYTES is an object array of ``bytes``."""

    datatype: Datatype
    array: np.ndarray[Any, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def numbers(self) -> np.ndarray[Any, Any]:
        """The array as numpy and Python compute with it: BF16 as FP32 (exact), any other as it is."""
        return bfloat16.to_float32(self.array) if self.datatype is _BF16 else self.array

    def __repr__(self) -> str:
        return f"Tensor({self.describe()})"

    def describe(self) -> str:
        """``FP32[2,4]``, as the graph file and error messages write it."""
        return f"{self.datatype.name}[{','.join(map(str, self.array.shape))}]"


class Json(msgspec.Struct, frozen=True, eq=False):
    """One JSON value that is no tensor. It passes between steps, and to the wire, as it is.

    ``reason``: why it is none, where it should have been one; for the log.
    """

    value: Any
    reason: str = ""

    def describe(self) -> str:
        """``JSON (dict)``, as error messages write it."""
        what = f"JSON ({type(self.value).__name__})"
        return f"{what}, since {self.reason}" if self.reason else what


class Raw(msgspec.Struct, frozen=True, eq=False):
    """An answer that is neither tensor nor JSON, and goes out as it is: bytes, or a stream of them.

    A stream is one request's answer: it is consumed and closed before that request ends. It may give text too.
    """

    data: bytes | AsyncIterator[bytes | str]

    def describe(self) -> str:
        """``raw bytes (12)``, as error messages write it."""
        return f"raw bytes ({len(self.data)})" if isinstance(self.data, bytes) else "a stream"


Said = Tensor | Json
"""What a protocol has words for."""
Value = Said | Raw


def tensor(array: np.ndarray[Any, Any]) -> Tensor:
    """The array as a tensor: a read-only view where it can be, a copy where layout or byte order ask for one.

    Text (``U``, ``S`` and object arrays of ``str`` or ``bytes``) becomes BYTES, datetimes their ISO text. Raises
    TypeError for an array the protocol has no datatype for, naming its dtype.
    """
    dtype = array.dtype
    datatype = plain_datatype(dtype)
    if datatype is not None:
        return Tensor(datatype, frozen(array))
    datatype = datatype_of(dtype)
    if datatype is None:
        array, datatype = _as_text(array), Datatype.BYTES
    elif datatype is Datatype.BYTES:
        array = _all_bytes(array)
    elif not dtype.isnative:
        array = array.astype(dtype.newbyteorder("="))
    return Tensor(datatype, frozen(array))


def frozen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A read-only C-contiguous array of the same values; the caller's own array keeps its flags."""
    flags = array.flags
    if not flags.c_contiguous:
        # Not ascontiguousarray: it makes a scalar one-dimensional.
        return locked(array.copy(order="C"))
    if not flags.writeable:
        return array
    array = array.view()
    array.setflags(write=False)
    return array


def locked(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array that nobody else has, read-only for good: a view of it cannot be made writeable again."""
    owner = array if array.base is None else array.base
    owner.setflags(write=False)
    array.setflags(write=False)
    return array


def byte_strings(elements: list[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """An object array of that shape over a flat list of ``bytes``; numpy never looks inside the elements."""
    array = np.empty(len(elements), dtype=np.object_)
    array[:] = elements
    return array.reshape(shape)


def _as_text(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    match array.dtype.kind:
        case "U":
            return byte_strings(_encoded(array.ravel().tolist()), array.shape)
        case "S":
            return byte_strings(array.ravel().tolist(), array.shape)
        case "M":
            return _as_text(np.datetime_as_string(array))
        case _:
            raise TypeError(f"numpy dtype {array.dtype} has no datatype in the Open Inference Protocol")


def _all_bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    elements = array.ravel().tolist()
    kinds = set(map(type, elements))
    if kinds <= {bytes}:
        return array
    if kinds <= {bytes, str, np.str_, np.bytes_}:
        return byte_strings(_encoded(elements), array.shape)
    odd = next(e for e in elements if not isinstance(e, (str, bytes)))
    raise TypeError(f"an object array is BYTES and holds str or bytes; this one holds a {type(odd).__name__}")


def _encoded(elements: list[Any]) -> list[bytes]:
    try:
        return [element.encode() if isinstance(element, str) else bytes(element) for element in elements]
    except UnicodeEncodeError:
        raise TypeError("BYTES are UTF-8, and a text with a lone surrogate has no UTF-8 form") from None
