"""Rows and columns, in which version 1 has its data, to tensors. What forms none is left to who takes JSON.

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Specifying input tensors" and "Encoding binary values".
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pipeline.errors import InvalidInput
from pipeline.tensors.datatype import datatype_of
from pipeline.tensors.given import fitting
from pipeline.tensors.message import MAX_INPUTS
from pipeline.tensors.nested import cast, flatten, require_few_empty
from pipeline.tensors.shown import kind, quoted
from pipeline.tensors.signature import Expectation, TensorSpec
from pipeline.tensors.tensor import Json, Tensor, Value, locked
from pipeline.wire.large_json import Place
from pipeline.wire.numbers import Numbers

ROWS = "instances"
COLUMNS = "inputs"
B64 = "b64"
_SHOWN_KEYS = 4


def read(body: Any, expectation: Expectation) -> tuple[str | None, Mapping[str, Value]]:
    """(the key that holds the data, the inputs) of a body; the key is None where the body is of no form.

    Values that form no tensor, and a body of no form, are JSON for who takes it; else InvalidInput is raised.
    """
    takes_json = expectation.takes_json or expectation.takes_bytes
    form = _form_of(body)
    if form == ROWS and not isinstance(body[ROWS], list | Numbers):
        # Who takes anything looks at it for itself.
        if not expectation.takes_bytes:
            raise InvalidInput('Expected "instances" to be a list')
        form = None
    if form is None:
        if not takes_json:
            both = isinstance(body, dict) and ROWS in body
            raise InvalidInput(f'Expected "instances" or "inputs"{", not both" if both else ""}')
        return None, {expectation.only_input or ROWS: Json(body)}
    if takes_json and not expectation.takes_tensors:
        return form, _as_sent(form, body[form], expectation)
    try:
        return form, _read(form, body[form], expectation)
    except InvalidInput:
        if not takes_json:
            raise
        return form, _as_sent(form, body[form], expectation)


def places(body: Any) -> Iterator[Place]:
    """Where a body may have ``Numbers`` instead of lists of numbers."""
    if not isinstance(body, dict):
        return
    yield from ((body, form) for form in (ROWS, COLUMNS))
    columns = body.get(COLUMNS)
    if isinstance(columns, dict) and _is_record(columns):
        yield from ((columns, name) for name in columns)


def _read(form: str, data: Any, expectation: Expectation) -> dict[str, Value]:
    return from_rows(data, expectation) if form == ROWS else from_columns(data, expectation)


def _form_of(body: Any) -> str | None:
    """The key that holds the data, None where the body is of neither form, or of both."""
    if not isinstance(body, dict):
        return None
    match ROWS in body, COLUMNS in body:
        case True, False:
            return ROWS
        case False, True:
            return COLUMNS
        case _:
            return None


def _as_sent(form: str, data: Any, expectation: Expectation) -> dict[str, Value]:
    """JSON for steps that take it so; columns that have names keep them."""
    if form == COLUMNS and _is_record(data):
        _refuse_many(data)
        return {name: Json(value) for name, value in data.items()}
    return {expectation.only_input or form: Json(data)}


def from_rows(rows: list[Any] | Numbers, expectation: Expectation) -> dict[str, Value]:
    if isinstance(rows, list) and rows and all(_is_record(row) for row in rows):
        names = rows[0].keys()
        for position, row in enumerate(rows):
            if row.keys() != names:
                raise InvalidInput(f"row {position} has the keys {_keys(row)}, row 0 has {_keys(names)}")
        _refuse_many(names)
        return {name: _tensor(name, [row[name] for row in rows], expectation) for name in names}
    return _only(ROWS, rows, expectation)


def from_columns(columns: Any, expectation: Expectation) -> dict[str, Value]:
    if _is_record(columns):
        _refuse_many(columns)
        return {name: _tensor(name, data, expectation) for name, data in columns.items()}
    return _only(COLUMNS, columns, expectation)


def _only(form: str, data: Any, expectation: Expectation) -> dict[str, Value]:
    """One tensor, under the only name that it can have; what the only known input expects is expected of it."""
    if expectation.only_input is None and len(expectation.names) > 1:
        several = _keys(expectation.names)
        way_out = "send one object per instance" if form == ROWS else "send an object"
        raise InvalidInput(f'"{form}" is one tensor, and this model reads {several}; {way_out}, with a key for each')
    name, spec = sole(form, expectation)
    return {name: _tensor(name, data, expectation, spec)}


def sole(form: str, expectation: Expectation) -> tuple[str, TensorSpec | None]:
    """The name of the tensor that is all there is of a form, and what is expected of it."""
    name, specs = expectation.only_input, expectation.signature.inputs
    if name is None:
        return form, expectation.sole_spec or specs.get(form)
    return name, specs.get(name)


def _refuse_many(names: Collection[str]) -> None:
    if len(names) > MAX_INPUTS:
        raise InvalidInput(f"a request has at most {MAX_INPUTS} tensors, got {len(names)}")


def _keys(names: Iterable[str]) -> str:
    first = [quoted(name) for _, name in zip(range(_SHOWN_KEYS + 1), names, strict=False)]
    return ", ".join(first if len(first) <= _SHOWN_KEYS else [*first[:_SHOWN_KEYS], "…"]) or "none"


def _is_record(value: Any) -> bool:
    """An object that names tensors; ``{"b64": …}`` is a value."""
    return isinstance(value, dict) and value.keys() != {B64}


def _tensor(name: str, data: Any, expectation: Expectation, spec: TensorSpec | None = None) -> Tensor:
    """In the datatype that is expected, which the values must fit; where none is, in the one they have by nature."""
    spec = spec or expectation.signature.inputs.get(name)
    if isinstance(data, Numbers):
        datatype = spec.datatype if spec else datatype_of(data.array.dtype)
        if datatype is not None and (array := cast(data.array, datatype)) is not None:
            return Tensor(datatype, locked(array.reshape(data.shape)))
        data = data.listed()
    try:
        elements, shape = flatten(data)
        require_few_empty(shape)
        kinds = set(map(type, elements))
        if dict in kinds:
            elements = [_bytes(element) if isinstance(element, dict) else element for element in elements]
        return fitting(elements, shape, spec or (expectation.blank if kinds == {type(None)} else None))
    except ValueError as error:
        raise InvalidInput(f"{quoted(name)}: {error}") from None


def _bytes(element: dict[str, Any]) -> Any:
    """The bytes of ``{"b64": "…"}``; any other object is left for the checks of elements to refuse."""
    if element.keys() != {B64}:
        return element
    text = element[B64]
    if not isinstance(text, str):
        raise ValueError(f'in {{"b64": …}} stands a text, got {kind(text)}')
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError('the text of a {"b64": …} is no base64') from None
