"""What an ONNX file tells of its graph, without onnxruntime, which takes seconds and the memory of the whole model.

A reader of the few fields of ModelProto that say it; all others, weights above all, are passed over unread. The file
may be anybody's: reads are bounded by a number of fields, not by what it claims of itself. Only what no reader of
protobuf takes, or has no graph, is no model.
Source: the messages and field numbers of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, and the encoding of
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.runtimes.catalog import CannotOpen, Told
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.nested import MAX_RANK
from pipeline.tensors.signature import TensorSpec

# TensorProto.DataType. Complex numbers, and those of 8 bits and less that are no integers, are not in the protocol.
DATATYPES = {
    1: Datatype.FP32, 2: Datatype.UINT8, 3: Datatype.INT8, 4: Datatype.UINT16, 5: Datatype.INT16, 6: Datatype.INT32,
    7: Datatype.INT64, 8: Datatype.BYTES, 9: Datatype.BOOL, 10: Datatype.FP16, 11: Datatype.FP64, 12: Datatype.UINT32,
    13: Datatype.UINT64, 16: Datatype.BF16,
}  # fmt: skip


class _In:
    """The numbers of the fields that are read."""

    MODEL_GRAPH = 7
    GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_SPARSE = 5, 11, 12, 15
    WEIGHT_NAME = 8
    SPARSE_VALUES = 1
    VALUE_NAME, VALUE_TYPE = 1, 2
    TYPE_TENSOR = 1
    TENSOR_ELEMENT, TENSOR_SHAPE = 1, 2
    SHAPE_DIM = 1
    DIM_VALUE = 1


# A graph of a hundred thousand nodes and weights; a second of reading.
_MOST_FIELDS = 1_000_000
_LONGEST_NAME = 1_000
# Weights lie between the fields that are read, and each brings a chunk with it.
_CHUNK = 8 * 1024
# What onnxruntime's own format has after its first four bytes; it is loaded as well, and tells nothing here.
_ORT = b"ORTM"


def tell(path: Path) -> Told | None:
    """The inputs that a caller has to give (those with a value in the file are none) and the outputs.

    Symbolic dimensions are -1: their names mean something inside the model alone. None where it cannot be read, or told
    of. Raises CannotOpen where it is no ONNX model.
    """
    try:
        with path.open("rb", buffering=0) as file:
            return told_in(file, path.stat().st_size)
    except OSError:
        return None
    except _NoModel as error:
        raise CannotOpen(f"{path.name} is no ONNX model: {error}") from None


def told_in(file: BinaryIO, size: int) -> Told | None:
    """As ``tell``, of that many bytes; raises _NoModel, which says why."""
    try:
        return _model(_Message(file), size)
    except _Unreadable:
        return None


class _Unreadable(Exception):
    """It may be a model, and is not worth reading."""


class _NoModel(Exception):
    """It is none, and why: a clause."""


class _Part(NamedTuple):
    """A field that is a message, or text: where it starts and stops."""

    number: int
    start: int
    stop: int


class _Number(NamedTuple):
    """A field that is a number."""

    number: int
    value: int


class _Message:
    """A protobuf message in a file, a chunk of it in memory at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._chunk = b""
        self._from = 0
        self._left = _MOST_FIELDS

    def fields(self, within: _Part) -> Iterator[_Part | _Number]:
        """The fields of the message that stands there, but for fractions. Raises _Unreadable."""
        at, stop = within.start, within.stop
        while at < stop:
            self._left -= 1
            if self._left < 0:
                raise _Unreadable
            start = at
            key, at = self._varint(at, stop)
            number, wire = key >> 3, key & 7
            if not number:
                raise _no_field(start)
            match wire:
                case 0:
                    value, at = self._varint(at, stop)
                    yield _Number(number, value)
                case 2:
                    length, at = self._varint(at, stop)
                    if length > stop - at:
                        raise _cut(start)
                    yield _Part(number, at, at + length)
                    at += length
                case 1 | 5:
                    at += 8 if wire == 1 else 4
                case _:  # groups, which ONNX has nowhere, and what is none
                    raise _no_field(start)
            if at > stop:
                raise _cut(start)

    def parts(self, within: _Part, number: int) -> Iterator[_Part]:
        """Those fields of the message that have this number."""
        return (field for field in self.fields(within) if isinstance(field, _Part) and field.number == number)

    def starts_as_orts(self, size: int) -> bool:
        return size >= 8 and self._bytes(4, 4) == _ORT

    def text(self, field: _Part) -> str:
        if field.stop - field.start > _LONGEST_NAME:
            raise _Unreadable
        try:
            return self._bytes(field.start, field.stop - field.start).decode()
        except UnicodeDecodeError:
            raise _Unreadable from None

    def _varint(self, at: int, stop: int) -> tuple[int, int]:
        found = 0
        for position, byte in enumerate(self._bytes(at, min(10, stop - at))):
            found |= (byte & 0x7F) << (7 * position)
            if byte < 0x80:
                return found & 0xFFFF_FFFF_FFFF_FFFF, at + position + 1
        raise _no_field(at) if stop - at >= 10 else _cut(at)

    def _bytes(self, at: int, size: int) -> bytes:
        offset = at - self._from
        if offset < 0 or offset + size > len(self._chunk):
            self._file.seek(at)
            self._chunk, self._from, offset = self._file.read(_CHUNK), at, 0
        found = self._chunk[offset : offset + size]
        if len(found) < size:
            raise _Unreadable  # it became shorter under our hands
        return found


def _no_field(at: int) -> _NoModel:
    return _NoModel(f"what stands at byte {at} is no field of protobuf")


def _cut(at: int) -> _NoModel:
    return _NoModel(f"the field at byte {at} goes on past its end; it was cut short, or is something else")


def _model(message: _Message, size: int) -> Told | None:
    if message.starts_as_orts(size):
        return None
    has_graph = False
    inputs: dict[str, TensorSpec | None] = {}
    outputs: dict[str, TensorSpec | None] = {}
    weights: set[str] = set()
    for graph in message.parts(_Part(0, 0, size), _In.MODEL_GRAPH):
        has_graph = True
        for field in message.fields(graph):
            match field:
                case _Part(_In.GRAPH_INPUT):
                    inputs |= _value(message, field)
                case _Part(_In.GRAPH_OUTPUT):
                    outputs |= _value(message, field)
                case _Part(_In.GRAPH_INITIALIZER):
                    weights.update(_names(message, field))
                case _Part(_In.GRAPH_SPARSE):
                    for values in message.parts(field, _In.SPARSE_VALUES):
                        weights.update(_names(message, values))
    if not has_graph:
        raise _NoModel("it has no graph" if size else "it is empty")
    # Until version 4 of the format, weights stood among the inputs; since then, that is an input with a default.
    inputs = {name: spec for name, spec in inputs.items() if name not in weights}
    return Told(inputs, outputs) if outputs else None


def _names(message: _Message, tensor: _Part) -> Iterator[str]:
    return (message.text(field) for field in message.parts(tensor, _In.WEIGHT_NAME))


def _value(message: _Message, value: _Part) -> dict[str, TensorSpec | None]:
    name, spec = "", None
    for field in message.fields(value):
        match field:
            case _Part(_In.VALUE_NAME):
                name = message.text(field)
            case _Part(_In.VALUE_TYPE):
                for tensor in message.parts(field, _In.TYPE_TENSOR):
                    spec = _spec(message, tensor)
    return {name: spec}


def _spec(message: _Message, tensor: _Part) -> TensorSpec | None:
    """None where it has no shape (which is any) or a datatype that the protocol lacks."""
    datatype, dims = None, None
    for field in message.fields(tensor):
        match field:
            case _Number(_In.TENSOR_ELEMENT, element):
                datatype = DATATYPES.get(element)
            case _Part(_In.TENSOR_SHAPE):
                dims = [_dim(message, dim) for dim in message.parts(field, _In.SHAPE_DIM)]
    if datatype is None or dims is None or len(dims) > MAX_RANK:
        return None
    return TensorSpec(datatype, tuple(dims))


def _dim(message: _Message, dim: _Part) -> int:
    size = -1
    for field in message.fields(dim):
        match field:
            case _Number(_In.DIM_VALUE, value):
                # A negative one is a number past the sign of 64 bits, and any size to onnxruntime.
                size = value if value < 1 << 63 else -1
    return size
