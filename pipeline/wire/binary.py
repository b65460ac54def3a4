"""The binary tail of a version 2 body: JSON first, then tensors as raw bytes, in the order the JSON names them in.

Source: Triton's binary tensor data extension. Every byte belongs to a tensor: what is missing, too much or left over is
refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.errors import InvalidInput
from pipeline.tensors.buffers import tensor_from_buffer, tensor_to_buffer
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.shown import Named, dims, quoted, shown
from pipeline.tensors.tensor import Json, Said, Tensor, byte_strings
from pipeline.wire.json_tensors import dump_answer

HEADER = "inference-header-content-length"
MEDIA = "application/octet-stream"
_NOTHING = memoryview(b"")
_MOST_DIGITS = 15
_BYTES = Datatype.BYTES


class _Expected(msgspec.Struct, frozen=True):
    """``input "x" (FP32[2,4])``: put into words where an error is, as what it names."""

    what: str | Named
    datatype: Datatype
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.what} ({self.datatype.name}{dims(self.shape)})"


class Tail:
    """What follows the JSON, handed out slice by slice, without copies."""

    __slots__ = ("_last", "_rest")

    def __init__(self, buffer: memoryview) -> None:
        self._rest = buffer
        self._last: _Expected | str = "the JSON"

    def tensor(self, what: str | Named, size: Any, datatype: Datatype, shape: tuple[int, ...]) -> Tensor:
        """The next ``size`` bytes as a tensor. Raises InvalidInput that names ``what`` cannot be read from them."""
        rest, expected = self._rest, _Expected(what, datatype, shape)
        if type(size) is not int or size < 0:
            raise InvalidInput(f"{expected}: its binary_data_size is a whole number from 0, got {shown(size)}")
        if size > len(rest):
            raise InvalidInput(f"{expected}: its binary_data_size is {size}, and {len(rest)} bytes are left")
        try:
            tensor = tensor_from_buffer(rest[:size], datatype, shape)
        except ValueError as error:
            raise InvalidInput(f"{expected}: {error}") from None
        self._rest, self._last = rest[size:], expected
        return tensor

    def require_end(self) -> None:
        """Raises InvalidInput where bytes are left that no tensor claims."""
        if self._rest:
            what = f"{len(self._rest)} bytes after {self._last}"
            raise InvalidInput(f"{what} belong to no tensor; binary_data_size says how many are whose")


def split(headers: Mapping[str, str], body: bytes | memoryview) -> tuple[bytes | memoryview, memoryview]:
    """The JSON of a body and its tail, which is empty where no header says how long the JSON is."""
    text = headers.get(HEADER)
    if text is None:
        return body, _NOTHING
    whole = memoryview(body)
    word = text.strip()
    length = int(word) if len(word) <= _MOST_DIGITS and word.isascii() and word.isdigit() else -1
    if not 0 <= length <= len(whole):
        raise InvalidInput(f"the header {HEADER} is the length of the JSON, at most {len(whole)}, got {quoted(text)}")
    return whole[:length], whole[length:]


def raw(name: str, value: Said, parts: list[bytes | memoryview]) -> dict[str, Any]:
    """The entry of a tensor whose bytes are appended to ``parts``; JSON is one BYTES element."""
    match value:
        case Json(inner):
            value = Tensor(_BYTES, byte_strings([dump_answer(inner)], (1,)))
        case Tensor():
            pass
    part = tensor_to_buffer(value)
    parts.append(part)
    datatype, shape = value.datatype.word, value.array.shape
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": len(part)}}


def joined(head: bytes, parts: Sequence[bytes | memoryview]) -> tuple[dict[str, str], list[bytes | memoryview]]:
    """(headers, parts of the body) of JSON with its tail."""
    return {"content-type": MEDIA, HEADER: str(len(head))}, [head, *parts]
