"""TensorFlow Serving's predict API as KServe speaks it, version 1: JSON in rows or in columns.

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Predict API"; the mapping to tensors is protocols.md's
"v1 and tensors", both ways.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.errors import InferError, InvalidInput
from pipeline.tensors import bfloat16
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import (
    AskLive,
    AskModelReady,
    AskModels,
    Command,
    Infer,
    InferRequest,
    InferResponse,
    Live,
    ModelReady,
    Models,
    Result,
)
from pipeline.tensors.nested import array_of, flatten, natural_datatype
from pipeline.tensors.signature import Expectation, TensorSpec
from pipeline.tensors.tensor import Json, Tensor, Value
from pipeline.wire.codec import Call, Reply, Route
from pipeline.wire.json_tensors import dump, dump_answer, parse
from pipeline.wire.statuses import JSON, error_of, error_reply

ROUTES = (
    Route("GET", "/", command=AskLive),
    Route("GET", "/v1/models", command=AskModels),
    Route("GET", "/v1/models/{model}", command=AskModelReady),
    Route("POST", "/v1/models/{model}:predict", verb="predict"),
    Route("POST", "/v1/models/{model}:explain", verb="explain"),
)
_ROWS = "instances"
_COLUMNS = "inputs"
_B64 = "b64"


class Options(msgspec.Struct, frozen=True):
    """``rows``: the request came in row form, and so goes the answer."""

    rows: bool = True


def decode(call: Call, route: Route, model: str, _: str, expectation: Expectation) -> tuple[Command, Options]:
    """A predict request. Values that form no tensor reach steps that take JSON as they are; else they are a 400."""
    body = parse(call.body)
    form = _form(body)
    if form is None:
        if not expectation.takes_json:
            raise InvalidInput('Expected "instances" or "inputs"')
        inputs: Mapping[str, Value] = {expectation.only_input or _ROWS: Json(body)}
    elif expectation.takes_json and not expectation.takes_tensors:
        inputs = {expectation.only_input or form: Json(body[form])}
    else:
        try:
            inputs = (
                _from_rows(body[_ROWS], expectation) if form == _ROWS else _from_columns(body[_COLUMNS], expectation)
            )
        except InvalidInput:
            if not expectation.takes_json:
                raise
            inputs = {expectation.only_input or form: Json(body[form])}
    parameters = {key: value for key, value in body.items() if key != form} if form else {}
    request = InferRequest(
        model=model, inputs=inputs, id=call.id, parameters=parameters, headers=call.headers, body=body
    )
    return Infer(request, route.verb or "predict"), Options(rows=form != _COLUMNS)


def encode(result: Result, options: Options) -> Reply:
    match result:
        case InferResponse():
            return Reply(200, JSON, (_answer(result.outputs, rows=options.rows),))
        case Live():
            return Reply(200, JSON, (dump({"status": "alive"}),))
        case Models(names):
            return Reply(200, JSON, (dump({"models": names}),))
        case ModelReady(name, ready):
            return Reply(200, JSON, (dump({"name": name, "ready": ready}),))
        case _:
            raise InvalidInput(f"version 1 of the protocol has no {type(result).__name__}")


def encode_error(error: InferError) -> Reply:
    return error_reply(error)


def encode_request(command: Command, _: Options | None = None) -> Call:
    """The call of a client: rows for one tensor, columns for several."""
    match command:
        case Infer(request, verb):
            inputs = {name: _written(value) for name, value in request.inputs.items()}
            data = {_ROWS: next(iter(inputs.values()))} if len(inputs) == 1 else {_COLUMNS: inputs}
            body = dump({**request.parameters, **data}, _unwritable)
            return Call("POST", f"/v1/models/{request.model}:{verb}", JSON | dict(request.headers), body)
        case AskLive():
            return Call("GET", "/")
        case AskModels():
            return Call("GET", "/v1/models")
        case AskModelReady(model):
            return Call("GET", f"/v1/models/{model}")
        case _:
            raise InvalidInput(f"version 1 of the protocol has no {type(command).__name__}")


def decode_reply(reply: Reply, command: Command) -> Result:
    """What a server answered to ``command``. Raises the InferError it meant, InvalidInput where it is unreadable."""
    body = parse(b"".join(reply.body))
    if reply.status >= 400:
        text = body.get("error") if isinstance(body, dict) else None
        raise error_of(reply.status, str(text or ""), reply.headers)
    match command:
        case Infer(request):
            return InferResponse(model=request.model, outputs=_read(body), id=request.id)
        case AskLive():
            return Live(isinstance(body, dict) and body.get("status") == "alive")
        case AskModels():
            return Models(tuple(map(str, body["models"])) if isinstance(body, dict) and "models" in body else ())
        case AskModelReady(model):
            return ModelReady(model, isinstance(body, dict) and body.get("ready") is True)
        case _:
            raise InvalidInput(f"version 1 of the protocol has no {type(command).__name__}")


# ---- JSON to tensors


def _form(body: Any) -> str | None:
    """The key that holds the data, None where the body is of neither form."""
    if not isinstance(body, dict):
        return None
    match _ROWS in body, _COLUMNS in body:
        case True, True:
            raise InvalidInput('"instances" and "inputs" are two forms of one thing; send one of them')
        case True, False:
            if not isinstance(body[_ROWS], list):
                raise InvalidInput('Expected "instances" to be a list')
            return _ROWS
        case False, True:
            return _COLUMNS
        case _:
            return None


def _from_rows(rows: list[Any], expectation: Expectation) -> dict[str, Value]:
    specs = expectation.signature.inputs
    if rows and all(_is_record(row) for row in rows):
        names = rows[0].keys()
        for position, row in enumerate(rows):
            if row.keys() != names:
                has, first = ", ".join(row), ", ".join(names)
                raise InvalidInput(
                    f"instance {position} has the keys {has or 'none'}, instance 0 has {first or 'none'}"
                )
        return {name: _tensor(name, [row[name] for row in rows], specs.get(name)) for name in names}
    return _only(_ROWS, rows, expectation)


def _from_columns(columns: Any, expectation: Expectation) -> dict[str, Value]:
    if _is_record(columns):
        return {name: _tensor(name, data, expectation.signature.inputs.get(name)) for name, data in columns.items()}
    return _only(_COLUMNS, columns, expectation)


def _only(form: str, data: Any, expectation: Expectation) -> dict[str, Value]:
    """One tensor, under the only declared name; what the only known input expects is expected of it."""
    specs = list(expectation.signature.inputs.values())
    return {expectation.only_input or form: _tensor(form, data, specs[0] if len(specs) == 1 else None)}


def _is_record(value: Any) -> bool:
    """An object that names tensors; ``{"b64": …}`` is a value."""
    return isinstance(value, dict) and value.keys() != {_B64}


def _tensor(name: str, data: Any, spec: TensorSpec | None) -> Tensor:
    """In the datatype that is expected, where the values fit it; else in the one they have by nature."""
    try:
        elements, shape = flatten(data)
        if dict in set(map(type, elements)):
            elements = [_bytes(element) for element in elements]
        if spec is not None:
            try:
                return Tensor(spec.datatype, array_of(elements, spec.datatype, shape))
            except ValueError:
                natural = natural_datatype(elements)
                return Tensor(natural, array_of(elements, natural, shape))
        natural = natural_datatype(elements)
        return Tensor(natural, array_of(elements, natural, shape))
    except ValueError as error:
        raise InvalidInput(f'"{name}": {error}') from None


def _bytes(element: Any) -> Any:
    if not isinstance(element, dict):
        return element
    text = element.get(_B64)
    if element.keys() != {_B64} or not isinstance(text, str):
        raise ValueError('an object among the values is no tensor element; {"b64": "…"} is')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError('the text of a {"b64": "…"} is no base64') from None


# ---- tensors to JSON


def _answer(outputs: Mapping[str, Value], *, rows: bool) -> bytes:
    match list(outputs.values()):
        case [Json(value)]:
            return dump_answer(value)
        case [only]:
            return dump({"predictions" if rows else "outputs": _written(only)}, _unwritable)
    if rows and (records := _records(outputs)) is not None:
        return dump_answer({"predictions": records})
    return dump_answer({"outputs": {name: _written(value) for name, value in outputs.items()}})


def _records(outputs: Mapping[str, Value]) -> list[dict[str, Any]] | None:
    """One object per row, or None where the outputs have no common axis 0."""
    columns = [_rows(value) for value in outputs.values()]
    if any(column is None for column in columns) or len({len(column or ()) for column in columns}) != 1:
        return None
    return [dict(zip(outputs, row, strict=True)) for row in zip(*map(_listed, columns), strict=True)]


def _rows(value: Value) -> Sequence[Any] | None:
    written = _written(value)
    if isinstance(written, list):
        return written
    return written.tolist() if getattr(written, "ndim", 0) else None


def _listed(column: Sequence[Any] | None) -> Sequence[Any]:
    return column or ()


def _written(value: Value) -> Any:
    """What ``dump`` writes for it: arrays of numbers as they are, text as nested lists, a scalar as itself."""
    match value:
        case Json(inner):
            return inner
        case Tensor(Datatype.BYTES, array):
            return _texts(array.tolist())
        case Tensor(Datatype.BF16, array):
            single = bfloat16.to_float32(array)
            return single if single.ndim else single.item()
        case Tensor(_, array):
            return array if array.ndim else array.item()


def _texts(element: Any) -> Any:
    if isinstance(element, list):
        return [_texts(inner) for inner in element]
    try:
        return element.decode()
    except UnicodeDecodeError:
        return {_B64: base64.b64encode(element).decode()}


def _unwritable(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _read(body: Any) -> dict[str, Value]:
    """The outputs in a reply: one tensor under the form's own key, or one per name; what is neither stays JSON."""
    match body:
        case {"predictions": list() as rows}:
            try:
                return dict(_from_rows(rows, Expectation(only_input="predictions")))
            except InvalidInput:
                return {"predictions": Json(body)}
        case {"outputs": columns}:
            try:
                return dict(_from_columns(columns, Expectation(only_input="outputs")))
            except InvalidInput:
                return {"outputs": Json(body)}
        case _:
            return {"predictions": Json(body)}
