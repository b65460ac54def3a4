"""The forms in which a step function may ask for what it reads: ``np.ndarray``, ``list``, ``str``, a DataFrame, …

One converter per form, from a value on an edge to what the function gets. A converter raises ValueError that says what
was expected and what came; whose fault that is depends on where the value came from, and is not known here.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.frames import pandas
from pipeline.tensors.tensor import Json, Raw, Said, Tensor, Value

Bound = Value | Mapping[str, Value]
"""What a parameter is bound to: one value, or all outputs of a step by name."""


class Form(enum.Enum):
    """How a parameter wants its value; the value is how the graph's documentation writes it."""

    ANY = "anything"
    ARRAY = "np.ndarray"
    LIST = "list"
    TEXTS = "list[str]"
    DICT = "dict"
    ARRAYS = "dict[str, np.ndarray]"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    STR = "str"
    BYTES = "bytes"
    FRAME = "pandas.DataFrame"
    REQUEST = "InferRequest"
    CONTEXT = "Context"
    HANDLE = "a handle"

    __hash__ = object.__hash__


# Forms that take all tensors there are, and those that see a request's JSON as it was sent.
TAKES_ALL = frozenset({Form.DICT, Form.ARRAYS, Form.FRAME})
TAKES_JSON = frozenset({Form.DICT, Form.LIST, Form.REQUEST})


def convert(form: Form, value: Bound) -> Any:
    """The value in that form. Raises ValueError."""
    match value:
        case Tensor(_, array) if form is Form.ANY or form is Form.ARRAY:
            # A view each: who sets the shape of the array it was given changes nobody else's.
            return array.view()
        case Raw():
            return _raw(form, value)
        case Tensor() | Json():
            return _ONE[form](value)
        case _ if form in _ALL:
            return _ALL[form](value)
        case _ if len(value) == 1:
            return convert(form, next(iter(value.values())))
        case _:
            raise ValueError(f"expected one tensor, got {len(value)}: {_names(value)}; say which one, as step.tensor")


def _raw(form: Form, value: Raw) -> bytes:
    match value.data:
        case bytes() as data if form in (Form.ANY, Form.BYTES):
            return data
        case bytes():
            raise _wrong(form, value)
        case _:
            raise ValueError(f"expected {form.value}, got a stream, which can be nothing but the answer of a graph")


def _names(values: Mapping[str, Value]) -> str:
    return ", ".join(f'"{name}"' for name in values)


def describe(value: Bound) -> str:
    """What came, for an error message."""
    match value:
        case Tensor() | Json() | Raw():
            return value.describe()
        case _:
            return f"the tensors {_names(value)}"


def to_json(value: Said) -> Any:
    """Nested lists of Python numbers and text; BYTES are text where they are UTF-8, else stay ``bytes``."""
    match value:
        case Json(inner):
            return inner
        case Tensor(Datatype.BYTES, array):
            return _texts(array.tolist())
        case Tensor():
            return value.numbers.tolist()


def _texts(element: Any) -> Any:
    match element:
        case list():
            return [_texts(inner) for inner in element]
        case bytes():
            try:
                return element.decode()
            except UnicodeDecodeError:
                return element
        case _:
            return element


def _wrong(form: Form, value: Bound) -> ValueError:
    return ValueError(f"expected {form.value}, got {describe(value)}")


def _any(value: Said) -> Any:
    return value.array.view() if isinstance(value, Tensor) else value.value


def _array(value: Said) -> Any:
    raise _wrong(Form.ARRAY, value)  # a tensor was answered by convert already


def _list(value: Said) -> list[Any]:
    found = to_json(value)
    if not isinstance(found, list):
        raise _wrong(Form.LIST, value)
    return found


def _text_list(value: Said) -> list[str]:
    match value:
        case Tensor(Datatype.BYTES, array):
            return [_decoded(element) for element in array.ravel().tolist()]
        case Json(list() as elements) if all(isinstance(element, str) for element in elements):
            return elements
        case _:
            raise _wrong(Form.TEXTS, value)


def _decoded(element: bytes) -> str:
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise ValueError("expected text, got bytes that are not UTF-8; take np.ndarray or bytes") from None


def _dict(value: Said) -> Any:
    match value:
        case Json(dict() as inner):
            return inner
        case _:
            raise _wrong(Form.DICT, value)


def _named(value: Said) -> Any:
    raise _wrong(Form.ARRAYS, value)  # one value by itself has no name


def _single(form: Form, value: Said) -> Any:
    """The one element of a tensor, or the scalar that JSON, a header or a parameter holds."""
    match value:
        case Tensor(_, array) if array.size == 1:
            return value.numbers.item()
        case Json(int() | float() | str() | bytes() as inner):
            return inner
        case _:
            raise ValueError(f"expected {form.value} (one element), got {describe(value)}")


# Past it no datatype of integers goes, and JSON's numbers are floats that only look whole.
_TOO_LARGE = 2.0**64


def _int(value: Said) -> int:
    match _single(Form.INT, value):
        case bool():
            raise _wrong(Form.INT, value)
        case int() as number:
            return number
        case float() as number if number.is_integer() and abs(number) < _TOO_LARGE:
            return int(number)
        case str() as text:
            return int(_parsed(int, Form.INT, text))
        case _:
            raise _wrong(Form.INT, value)


def _float(value: Said) -> float:
    match _single(Form.FLOAT, value):
        case bool():
            raise _wrong(Form.FLOAT, value)
        case int() | float() as number:
            try:
                return float(number)
            except OverflowError:
                raise _wrong(Form.FLOAT, value) from None
        case str() as text:
            return float(_parsed(float, Form.FLOAT, text))
        case _:
            raise _wrong(Form.FLOAT, value)


def _parsed(parse: Callable[[str], Any], form: Form, text: str) -> Any:
    try:
        number = parse(text)
    except ValueError:
        raise ValueError(f'expected {form.value}, got the text "{text[:40]}"') from None
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f'expected {form.value}, got the text "{text[:40]}"')
    return number


def _bool(value: Said) -> bool:
    match _single(Form.BOOL, value):
        case bool() as truth:
            return truth
        case str() as text if text.lower() in ("true", "1"):
            return True
        case str() as text if text.lower() in ("false", "0"):
            return False
        case _:
            raise _wrong(Form.BOOL, value)


def _str(value: Said) -> str:
    match _single(Form.STR, value):
        case str() as text:
            return text
        case bytes() as raw:
            return _decoded(raw)
        case _:
            raise _wrong(Form.STR, value)


def _bytes(value: Said) -> bytes:
    match _single(Form.BYTES, value):
        case bytes() as raw:
            return raw
        case str() as text:
            return text.encode()
        case _:
            raise _wrong(Form.BYTES, value)


def _arrays(values: Mapping[str, Value]) -> dict[str, np.ndarray[Any, Any]]:
    return {name: convert(Form.ARRAY, value) for name, value in values.items()}


def _anything(values: Mapping[str, Value]) -> dict[str, Any]:
    if len(values) == 1:
        (only,) = values.values()
        if isinstance(only, Json) and isinstance(only.value, dict):
            return only.value
    return {name: convert(Form.ANY, value) for name, value in values.items()}


def _frame(values: Mapping[str, Value]) -> Any:
    """One column per tensor of shape [n] or [n,1]; a tensor [n,k] by itself is k columns, numbered."""
    data_frame = pandas().DataFrame
    for name, value in values.items():
        match value:
            case Json(list() as rows) if len(values) == 1:
                return data_frame(rows)
            case Json(inner):
                raise ValueError(f'expected columns, got JSON ({type(inner).__name__}) in "{name}"')
            case Raw():
                raise ValueError(f'expected columns, got {value.describe()} in "{name}"')
    arrays = {name: _column(value) for name, value in values.items() if isinstance(value, Tensor)}
    if len(arrays) == 1:
        (only,) = arrays.values()
        if only.ndim == 2 and only.shape[1] != 1:
            return data_frame(only)
    columns = {name: array.reshape(-1) for name, array in arrays.items() if array.size == len(np.atleast_1d(array))}
    odd = [name for name in arrays if name not in columns]
    if odd or len(set(map(len, columns.values()))) > 1:
        shapes = ", ".join(f'"{name}" {list(array.shape)}' for name, array in arrays.items())
        raise ValueError(f"expected columns of equal length, got {shapes}")
    return data_frame(columns)


def _column(tensor: Tensor) -> np.ndarray[Any, Any]:
    match tensor.datatype:
        case Datatype.BYTES:
            column = np.empty(tensor.array.size, dtype=np.object_)
            column[:] = [_texts(element) for element in tensor.array.ravel().tolist()]
            return column.reshape(tensor.array.shape)
        case _:
            return tensor.numbers


def _frame_of_one(value: Said) -> Any:
    return _frame({"0": value})


_ONE: Mapping[Form, Callable[[Said], Any]] = {
    Form.ANY: _any,
    Form.ARRAY: _array,
    Form.LIST: _list,
    Form.TEXTS: _text_list,
    Form.DICT: _dict,
    Form.ARRAYS: _named,
    Form.INT: _int,
    Form.FLOAT: _float,
    Form.BOOL: _bool,
    Form.STR: _str,
    Form.BYTES: _bytes,
    Form.FRAME: _frame_of_one,
}
_ALL: Mapping[Form, Callable[[Mapping[str, Value]], Any]] = {
    Form.DICT: _anything,
    Form.ARRAYS: _arrays,
    Form.FRAME: _frame,
}
