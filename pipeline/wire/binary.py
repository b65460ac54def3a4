"""The binary tail of a version 2 body: JSON first, then tensors as raw bytes, in the order the JSON names them in.

Source: Triton's binary tensor data extension. Every byte belongs to a tensor: what is missing, too much or left over is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import InvalidInput
from pipeline.tensors.buffers import tensor_from_buffer, tensor_to_buffer
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.shown import Named, dims, quoted, shown
from pipeline.tensors.tensor import Json, Said, Tensor, byte_strings
from pipeline.wire.json_tensors import dump_answer

HEADER = "inference-header-content-length"
MEDIA = "application/octet-stream"
_NOTHING = memoryview(b"")
_LENGTH = re.compile(r"[0-9]{1,15}")


class Tail:
    """What follows the JSON, handed out slice by slice, without copies."""

    __slots__ = ("_last", "_rest")

    def __init__(self, buffer: memoryview) -> None:
        self._rest = buffer
        self._last = "the JSON"

    def tensor(self, what: str | Named, size: Any, datatype: Datatype, shape: tuple[int, ...]) -> Tensor:
        """The next ``size`` bytes as a tensor. Raises InvalidInput that names ``what`` cannot be read from them."""
        expected = f"{what} ({datatype.name}{dims(shape)})"
        if type(size) is not int or size < 0:
            raise InvalidInput(f"{expected}: its binary_data_size is a whole number from 0, got {shown(size)}")
        if size > len(self._rest):
            raise InvalidInput(f"{expected}: its binary_data_size is {size}, and {len(self._rest)} bytes are left")
        try:
            tensor = tensor_from_buffer(self._rest[:size], datatype, shape)
        except ValueError as error:
            raise InvalidInput(f"{expected}: {error}") from None
        self._rest, self._last = self._rest[size:], expected
        return tensor

    def require_end(self) -> None:
        """Raises InvalidInput where bytes are left that no tensor claims."""
        if self._rest:
            what = f"{len(self._rest)} bytes after {self._last}"
            raise InvalidInput(f"{what} belong to no tensor; binary_data_size says how many are whose")


def split(headers: Mapping[str, str], body: bytes | memoryview) -> tuple[bytes | memoryview, Tail]:
    """The JSON of a body and its tail, which is empty where no header says how long the JSON is."""
    text = headers.get(HEADER)
    if text is None:
        return body, Tail(_NOTHING)
    whole = memoryview(body)
    length = int(text) if _LENGTH.fullmatch(text.strip()) else -1
    if not 0 <= length <= len(whole):
        raise InvalidInput(f"the header {HEADER} is the length of the JSON, at most {len(whole)}, got {quoted(text)}")
    return whole[:length], Tail(whole[length:])


def raw(name: str, value: Said, parts: list[bytes | memoryview]) -> dict[str, Any]:
    """The entry of a tensor whose bytes are appended to ``parts``; JSON is one BYTES element."""
    match value:
        case Json(inner):
            value = Tensor(Datatype.BYTES, byte_strings([dump_answer(inner)], (1,)))
        case Tensor():
            pass
    part = tensor_to_buffer(value)
    parts.append(part)
    size = len(part)
    return {
        "name": name,
        "shape": value.shape,
        "datatype": value.datatype.name,
        "parameters": {"binary_data_size": size},
    }


def joined(head: bytes, parts: Sequence[bytes | memoryview]) -> tuple[dict[str, str], list[bytes | memoryview]]:
    """(headers, parts of the body) of JSON with its tail."""
    return {"content-type": MEDIA, HEADER: str(len(head))}, [head, *parts]
