"""JSON bodies, and tensors as they stand in them. The one place where a tensor is made of, or into, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.nested import array_of, cast, flatten
from pipeline.tensors.shown import dims, quoted, shown
from pipeline.tensors.tensor import Json, Said, Tensor, locked
from pipeline.wire.depth import deeper_than
from pipeline.wire.numbers import Numbers

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_LARGEST_INT = 2**64 - 1
# orjson reads 1,024 levels and writes 254: what is read can be written, with room for what a step puts around it.
_MAX_DEPTH = 200
_SMALLEST_INT = -(2**63)
# A list takes three bytes of JSON and some hundred in memory, and a few bytes of gzip can be millions of lists.
MOST_LISTS = 2**21
_BYTES = Datatype.BYTES
# UTF-8's byte order mark, with which some editors and shells on Windows begin a file.
_MARK = b"\xef\xbb\xbf"


def parse(body: bytes | memoryview) -> Any:
    """The JSON value in a body. ``NaN`` and ``Infinity`` are read though strict JSON has no such words.

    Integers past 64 bits are floats. Raises InvalidInput with the position, never with the body.
    """
    text = bytes(body)
    if len(text) > MOST_LISTS and text.count(b"[") + text.count(b"{") > MOST_LISTS:
        raise InvalidInput(
            f"the body has more than {MOST_LISTS} lists and objects; send its tensors flat, or in binary"
        )
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        refusal = InvalidInput(f"Unrecognized request format: {error}")
        text = text.removeprefix(_MARK)
        if len(text) == len(body) and b"NaN" not in text and b"Infinity" not in text:
            raise refusal from None
        try:
            value = _lenient(text)
        except (ValueError, RecursionError):
            raise refusal from None
    # Nothing shorter can be: it has as many brackets as levels, twice.
    if len(text) > 2 * _MAX_DEPTH and deeper_than(text, _MAX_DEPTH):
        raise InvalidInput(f"Unrecognized request format: it nests deeper than {_MAX_DEPTH} levels")
    return value


def parses(body: bytes | memoryview) -> bool:
    """Whether that is a JSON value."""
    try:
        parse(body)
    except InvalidInput:
        return False
    return True


def _lenient(text: bytes) -> Any:
    """As ``orjson.loads``, and ``NaN`` and ``Infinity`` too. Raises ValueError or RecursionError."""
    value = json.loads(text.decode(), parse_int=_integer, parse_float=_finite)
    # Half of a surrogate pair, spelled as an escape, is no text that a reply could carry.
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _integer(text: str) -> int | float:
    number = _finite(text)
    if abs(number) <= 2.0**64 and _SMALLEST_INT <= (exact := int(text)) <= _LARGEST_INT:
        return exact
    return number


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number past the range of FP64")
    return number


def dump(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Strict JSON, compact; NaN and infinities are null, numpy arrays and numbers are what they hold."""
    return orjson.dumps(value, default, _OPTIONS)


def dump_answer(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """JSON that a step returned. Raises WrongAnswer where it holds what JSON cannot say."""
    try:
        return orjson.dumps(value, default or plain, _OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongAnswer(f"the answer is no JSON: {error}") from None


def dump_asked(what: str, value: Any) -> bytes:
    """JSON that a caller gave. Raises InvalidInput naming ``what`` holds something that JSON cannot say."""
    try:
        return dump(value, plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is no JSON: {error}") from None


def plain(value: Any) -> Any:
    """What orjson does not know but steps return: bytes that are text, arrays it cannot walk, tuples' like."""
    match value:
        case bytes() | bytearray():
            return value.decode()
        case np.ndarray() | np.generic():
            return value.tolist()
        case set() | frozenset():
            return list(value)
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON")


def tensor_from(name: str, data: Any, datatype: Datatype, shape: tuple[int, ...]) -> Tensor:
    """The tensor of that datatype and shape; ``data`` is flat in row-major order, or nested exactly as the shape.

    It is a JSON value, or ``Numbers`` that were read from its text. Raises InvalidInput naming the tensor, what was
    expected and what came.
    """
    if isinstance(data, Numbers):
        if data.shape in ((math.prod(shape),), shape) and (array := cast(data.array, datatype)) is not None:
            return Tensor(datatype, locked(array.reshape(shape)))
        data = data.listed()
    try:
        elements, nesting = flatten(data)
        count = math.prod(shape)
        # Lists end at an axis of size 0: [[],[]] is all there is to say of [2,0,3].
        nested = shape[: shape.index(0) + 1] if 0 in shape else shape
        if nesting not in ((len(elements),), nested):
            raise ValueError(f"its data is flat, or nested as its shape, got {_nesting(data, nesting)}")
        if len(elements) != count:
            raise ValueError(f"expected {shown(count)} elements, got {len(elements)}")
        return Tensor(datatype, array_of(elements, datatype, shape))
    except ValueError as error:
        raise InvalidInput(f"{quoted(name)} ({datatype.name}{dims(shape)}): {error}") from None


def _nesting(data: Any, nesting: tuple[int, ...]) -> str:
    return f"nesting {dims(nesting)}" if isinstance(data, list) else shown(data)


def flat_data(name: str, value: Said, role: str = "output") -> tuple[Datatype, tuple[int, ...], Any]:
    """(datatype, shape, data for ``dump``) of a tensor; JSON is one BYTES element that holds it.

    Raises InvalidInput for BYTES that are no text: JSON cannot carry them, the caller can ask for binary, or send it.
    """
    match value:
        case Tensor() if value.datatype is not _BYTES:
            array = value.numbers
            return value.datatype, array.shape, array.ravel()
        case Json(inner):
            return _BYTES, (1,), [dump_answer(inner).decode()]
        case Tensor(_, array):
            try:
                return _BYTES, array.shape, [element.decode() for element in array.ravel().tolist()]
            except UnicodeDecodeError:
                way_out = "ask for" if role == "output" else "send"
                reason = f"is BYTES that are not UTF-8, which JSON cannot carry; {way_out} it in binary"
                raise InvalidInput(f"{role} {quoted(name)} {reason}") from None
