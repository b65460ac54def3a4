"""TensorFlow Serving's predict API as KServe speaks it, version 1: JSON in rows or in columns.

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Predict API"; the mapping to tensors is protocols.md's
"v1 and tensors", both ways.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from pipeline.errors import InvalidInput
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.given import fitting
from pipeline.tensors.message import (
    MAX_INPUTS,
    AskLive,
    AskModelReady,
    AskModels,
    AskReady,
    Command,
    Infer,
    InferRequest,
    InferResponse,
    Live,
    ModelReady,
    Models,
    Result,
    Verb,
)
from pipeline.tensors.nested import flatten
from pipeline.tensors.shown import kind, quoted
from pipeline.tensors.signature import Expectation, TensorSpec
from pipeline.tensors.tensor import Json, Tensor, Value
from pipeline.wire.codec import Call, Reply, Route, beyond_one_hop
from pipeline.wire.json_tensors import dump, dump_answer, dump_asked, parse
from pipeline.wire.loss import refuse_hidden_shape, refuse_infinite, refuse_infinity
from pipeline.wire.statuses import JSON, body_of, not_ready, unreadable

ROUTES: Sequence[Route] = (
    Route("GET", "/", AskLive),
    Route("GET", "/v1/models", AskModels),
    Route("GET", "/v1/models/{model}", AskModelReady),
    Route("POST", "/v1/models/{model}:predict", "predict"),
    Route("POST", "/v1/models/{model}:explain", "explain"),
)
_ROWS = "instances"
_COLUMNS = "inputs"
_OUTPUTS = "outputs"
_B64 = "b64"
# The key of an answer in row form.
_ANSWERS: Mapping[Verb, str] = {"predict": "predictions", "explain": "explanations"}
UNNAMED: Collection[str] = frozenset({*_ANSWERS.values(), _OUTPUTS})
_SHOWN_KEYS = 4
_NAN = TensorSpec(Datatype.FP64, ())


class Options(msgspec.Struct, frozen=True):
    """``rows``: the request came in row form, and so goes the answer, under the key of its ``verb``."""

    rows: bool = True
    verb: Verb = "predict"


def decode(call: Call, route: Route, model: str, version: str, expectation: Expectation) -> tuple[Command, Options]:
    """A predict request. Values that form no tensor reach steps that take JSON as they are; else they are a 400."""
    body = parse(call.body)
    form = _form(body)
    if form is None:
        if not expectation.takes_json:
            both = isinstance(body, dict) and _ROWS in body
            raise InvalidInput(f'Expected "instances" or "inputs"{", not both" if both else ""}')
        inputs: Mapping[str, Value] = {expectation.only_input or _ROWS: Json(body)}
    elif expectation.takes_json and not expectation.takes_tensors:
        inputs = _as_sent(form, body[form], expectation)
    else:
        try:
            inputs = (
                _from_rows(body[_ROWS], expectation) if form == _ROWS else _from_columns(body[_COLUMNS], expectation)
            )
        except InvalidInput:
            if not expectation.takes_json:
                raise
            inputs = _as_sent(form, body[form], expectation)
    parameters = {key: value for key, value in body.items() if key != form} if form else {}
    request = InferRequest(
        model=model,
        version=version,
        inputs=inputs,
        id=call.id,
        parameters=parameters,
        headers=call.headers,
        body=body if expectation.reads_body else None,
    )
    verb = route.verb or "predict"
    return Infer(request, verb), Options(rows=form != _COLUMNS, verb=verb)


def encode(result: Result, options: Options) -> Reply:
    match result:
        case Live(False) | ModelReady(_, False):
            raise not_ready(result)
        case InferResponse():
            return Reply(200, JSON, (_answer(result.outputs, options),))
        case Live():
            return Reply(200, JSON, (dump({"status": "alive"}),))
        case Models(names):
            return Reply(200, JSON, (dump({"models": names}),))
        case ModelReady(name):
            return Reply(200, JSON, (dump({"name": name, "ready": True}),))
        case _:
            raise InvalidInput(f"version 1 of the protocol has no {type(result).__name__}")


def preferring(_: bool) -> Options:
    return Options()


def travelling(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """All that can stand beside the data."""
    return {name: value for name, value in beyond_one_hop(parameters).items() if name not in (_ROWS, _COLUMNS)}


def encode_request(command: Command, _: Options | None = None) -> Call:
    """The call of a client: rows for one tensor and for several of as many rows, else columns; a JSON object as it is.

    Rows are what every server of this protocol reads; KServe's models look for nothing else.

    Raises InvalidInput where JSON would not carry an input as it is.
    """
    match command:
        case Infer(request, verb):
            if request.outputs:
                raise InvalidInput("version 1 of the protocol chooses no outputs; it answers all of them")
            body = dump_asked("the request", _asked(request.inputs, request.parameters))
            refuse_infinite(request.parameters)
            for name, value in request.inputs.items():
                refuse_infinity(name, value)
                refuse_hidden_shape(name, value)
            return Call("POST", f"/v1/models/{request.model}:{verb}", {**request.headers, **JSON}, body)
        case AskLive():
            return Call("GET", "/")
        case AskModels():
            return Call("GET", "/v1/models")
        case AskModelReady(model):
            return Call("GET", f"/v1/models/{model}")
        case _:
            raise InvalidInput(f'version 1 of the protocol has no {_unasked(command)}; protocol="v2" has')


def decode_reply(reply: Reply, command: Command) -> Result:
    """What a server answered to ``command``. Raises the InferError it meant, BAD_UPSTREAM where it is unreadable."""
    body = body_of(reply, command)
    match command:
        case Infer(request, verb):
            return InferResponse(model=request.model, outputs=_read(body, _ANSWERS[verb]), id=request.id)
        case AskLive():
            return Live(isinstance(body, dict) and body.get("status") == "alive")
        case AskModels():
            names = body.get("models") if isinstance(body, dict) else None
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise unreadable('"models" is a list of texts')
            return Models(tuple(names))
        case AskModelReady(model):
            return ModelReady(model, isinstance(body, dict) and body.get("ready") is True)
        case _:
            raise InvalidInput(f'version 1 of the protocol has no {_unasked(command)}; protocol="v2" has')


def _unasked(command: Command) -> str:
    return "readiness of a server, only of a model" if isinstance(command, AskReady) else "metadata"


# ---- JSON to tensors


def _form(body: Any) -> str | None:
    """The key that holds the data, None where the body is of neither form, or of both."""
    if not isinstance(body, dict):
        return None
    match _ROWS in body, _COLUMNS in body:
        case True, False:
            if not isinstance(body[_ROWS], list):
                raise InvalidInput('Expected "instances" to be a list')
            return _ROWS
        case False, True:
            return _COLUMNS
        case _:
            return None


def _as_sent(form: str, data: Any, expectation: Expectation) -> dict[str, Value]:
    """JSON for steps that take it so; columns that have names keep them."""
    if form == _COLUMNS and _is_record(data):
        _refuse_many(data)
        return {name: Json(value) for name, value in data.items()}
    return {expectation.only_input or form: Json(data)}


def _from_rows(rows: list[Any], expectation: Expectation) -> dict[str, Value]:
    if rows and all(_is_record(row) for row in rows):
        names = rows[0].keys()
        for position, row in enumerate(rows):
            if row.keys() != names:
                raise InvalidInput(f"row {position} has the keys {_keys(row)}, row 0 has {_keys(names)}")
        _refuse_many(names)
        return {name: _tensor(name, [row[name] for row in rows], expectation) for name in names}
    return _only(_ROWS, rows, expectation)


def _from_columns(columns: Any, expectation: Expectation) -> dict[str, Value]:
    if _is_record(columns):
        _refuse_many(columns)
        return {name: _tensor(name, data, expectation) for name, data in columns.items()}
    return _only(_COLUMNS, columns, expectation)


def _only(form: str, data: Any, expectation: Expectation) -> dict[str, Value]:
    """One tensor, under the only name that it can have; what the only known input expects is expected of it."""
    name = expectation.only_input
    if name is None and len(expectation.names) > 1:
        several = _keys(expectation.names)
        way_out = "send one object per instance" if form == _ROWS else "send an object"
        raise InvalidInput(f'"{form}" is one tensor, and this model reads {several}; {way_out}, with a key for each')
    spec = expectation.sole_spec if name is None else expectation.signature.inputs.get(name)
    return {name or form: _tensor(name or form, data, expectation, spec)}


def _refuse_many(names: Collection[str]) -> None:
    if len(names) > MAX_INPUTS:
        raise InvalidInput(f"a request has at most {MAX_INPUTS} tensors, got {len(names)}")


def _keys(names: Iterable[str]) -> str:
    first = [quoted(name) for _, name in zip(range(_SHOWN_KEYS + 1), names, strict=False)]
    return ", ".join(first if len(first) <= _SHOWN_KEYS else [*first[:_SHOWN_KEYS], "…"]) or "none"


def _is_record(value: Any) -> bool:
    """An object that names tensors; ``{"b64": …}`` is a value."""
    return isinstance(value, dict) and value.keys() != {_B64}


def _tensor(name: str, data: Any, expectation: Expectation, spec: TensorSpec | None = None) -> Tensor:
    """In the datatype that is expected, which the values must fit; where none is, in the one they have by nature."""
    spec = spec or expectation.signature.inputs.get(name)
    try:
        elements, shape = flatten(data)
        kinds = set(map(type, elements))
        if dict in kinds:
            elements = [_bytes(element) if isinstance(element, dict) else element for element in elements]
        return fitting(elements, shape, spec or (expectation.blank if kinds == {type(None)} else None))
    except ValueError as error:
        raise InvalidInput(f"{quoted(name)}: {error}") from None


def _bytes(element: dict[str, Any]) -> Any:
    """The bytes of ``{"b64": "…"}``; any other object is left for the checks of elements to refuse."""
    if element.keys() != {_B64}:
        return element
    text = element[_B64]
    if not isinstance(text, str):
        raise ValueError(f'in {{"b64": …}} stands a text, got {kind(text)}')
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError('the text of a {"b64": …} is no base64') from None


# ---- tensors to JSON


def _answer(outputs: Mapping[str, Value], options: Options) -> bytes:
    key = _ANSWERS[options.verb] if options.rows else _OUTPUTS
    match list(outputs.values()):
        case [Json(value)]:
            return dump_answer(value)
        case [only]:
            return dump({key: _written(only)})
    if options.rows and (records := _records(outputs)) is not None:
        return dump_answer({key: records})
    return dump_answer({_OUTPUTS: {name: _written(value) for name, value in outputs.items()}})


def _records(outputs: Mapping[str, Value]) -> list[dict[str, Any]] | None:
    """One object per row, or None where the outputs have no common axis 0."""
    columns = [column for column in map(_rows, outputs.values()) if column is not None]
    if len(columns) != len(outputs) or len(set(map(len, columns))) != 1:
        return None
    return [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]


def _rows(value: Value) -> Sequence[Any] | None:
    written = _written(value)
    if isinstance(written, list):
        return written
    return list(written) if getattr(written, "ndim", 0) else None


def _asked(inputs: Mapping[str, Value], parameters: Mapping[str, Any]) -> Any:
    match list(inputs.values()):
        case [Json(dict() as body)]:
            return {**parameters, **body}
        case [Json(list() as rows)]:
            return {**parameters, _ROWS: rows}
        case [Tensor(_, array) as only] if array.ndim:
            return {**parameters, _ROWS: _written(only)}
        case [_, _, *_] if records := _records(inputs):
            return {**parameters, _ROWS: records}
        case _:
            return {**parameters, _COLUMNS: {name: _written(value) for name, value in inputs.items()}}


def _written(value: Value) -> Any:
    """What ``dump`` writes for it: arrays of numbers as they are, text as nested lists, a scalar as a number."""
    match value:
        case Json(inner):
            return inner
        case Tensor(Datatype.BYTES, array):
            return _texts(array.tolist())
        case Tensor():
            return value.numbers if value.shape else value.numbers[()]


def _texts(element: Any) -> Any:
    if isinstance(element, list):
        return [_texts(inner) for inner in element]
    try:
        return element.decode()
    except UnicodeDecodeError:
        return {_B64: base64.b64encode(element).decode()}


def _read(body: Any, key: str) -> dict[str, Value]:
    """The outputs in a reply: one tensor under the form's own key, or one per name; what is neither stays JSON.

    ``key``: that of the verb's rows. NaN is written as null, and all numbers of a small answer can be that.
    """
    found = body if isinstance(body, dict) else {}
    try:
        if isinstance(rows := found.get(key), list):
            return dict(_from_rows(rows, Expectation(only_input=key, blank=_NAN)))
        if _OUTPUTS in found:
            return dict(_from_columns(found[_OUTPUTS], Expectation(only_input=_OUTPUTS, blank=_NAN)))
    except InvalidInput as error:
        return {key: Json(body, error.message)}
    return {key: Json(body, f'it has no list "{key}" and no "{_OUTPUTS}"')}
