"""TensorFlow Serving's predict API as KServe speaks it, version 1: JSON in rows or in columns.

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Predict API"; the mapping to tensors is protocols.md's
"v1 and tensors", both ways.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from pipeline.errors import InvalidInput
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import (
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
from pipeline.tensors.signature import Expectation, TensorSpec
from pipeline.tensors.tensor import Json, Raw, Said, Tensor, Value
from pipeline.wire.cloudevents import data_of
from pipeline.wire.codec import Call, Reply, Route, beyond_one_hop
from pipeline.wire.json_tensors import dump, dump_answer, dump_asked, parse, parses
from pipeline.wire.large_json import parse_with_numbers
from pipeline.wire.long_arrays import any_long, dump_in_parts, in_parts
from pipeline.wire.loss import refuse_hidden_shape, refuse_infinite, refuse_infinity
from pipeline.wire.media import FORM, is_json, media_of
from pipeline.wire.raw import raw_or_said, raw_reply, said_inputs
from pipeline.wire.reply_headers import TYPE, with_added
from pipeline.wire.rows_and_columns import B64, COLUMNS, ROWS, from_columns, from_rows, places, read
from pipeline.wire.statuses import JSON, body_of, not_ready, unreadable
from pipeline.wire.usual_rows import usual_rows

ROUTES: Sequence[Route] = (
    Route("GET", "/", AskLive),
    Route("GET", "/v1/models", AskModels),
    Route("GET", "/v1/models/{model}", AskModelReady),
    Route("POST", "/v1/models/{model}:predict", "predict"),
    Route("POST", "/v1/models/{model}:explain", "explain"),
)
_OUTPUTS = "outputs"
# The key of an answer in row form.
_ANSWERS: Mapping[Verb, str] = {"predict": "predictions", "explain": "explanations"}
UNNAMED: Collection[str] = frozenset({*_ANSWERS.values(), _OUTPUTS})
_BYTES = Datatype.BYTES
_NAN = TensorSpec(Datatype.FP64, ())


class Options(msgspec.Struct, frozen=True):
    """``rows``: the request came in row form, and so goes the answer, under the key of its ``verb``."""

    rows: bool = True
    verb: Verb = "predict"


def decode(call: Call, route: Route, model: str, version: str, expectation: Expectation) -> tuple[Command, Options]:
    """A predict request. Values that form no tensor reach steps that take JSON as they are; else they are a 400.

    What is no JSON by its type reaches steps that take bytes.
    """
    form, body, inputs = _read_body(call, expectation)
    request = InferRequest(
        model=model,
        version=version,
        inputs=inputs,
        id=call.id,
        parameters=_beside(form, body) if form and len(body) > 1 else {},
        headers=call.headers,
        body=body if expectation.reads_body or expectation.takes_bytes else None,
        plain=True,
    )
    verb = route.verb or "predict"
    return Infer(request, verb), Options(rows=form != COLUMNS, verb=verb)


def _read_body(call: Call, expectation: Expectation) -> tuple[str | None, Any, Mapping[str, Value]]:
    """The form, None where it is of none; the body; the inputs. A body that nobody else looks at may come as none."""
    if not (expectation.reads_body or expectation.takes_json or expectation.takes_bytes):
        usual = usual_rows(call.body, expectation)
        if usual is not None:
            return ROWS, {}, usual
        told = parse_with_numbers(call.body, call.numbers, places)
    elif expectation.takes_bytes and not _is_json(call):
        body = bytes(call.body)
        return None, body, {expectation.only_input or ROWS: Raw(body)}
    else:
        told = parse(call.body)
    body = data_of(told)
    form, inputs = read(body, expectation)
    return form, body, inputs


def _beside(form: str, body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != form}


def _is_json(call: Call) -> bool:
    """By its type; where that tells nothing, by what it is."""
    if call.json is not None:
        return call.json
    media = media_of(call.headers)
    return parses(call.body) if media == FORM else is_json(media)


def takes_long(response: InferResponse, _: Options) -> bool:
    return any_long(response.outputs)


def encode(result: Result, options: Options) -> Reply:
    match result:
        case InferResponse():
            said = raw_or_said(result.outputs)
            if isinstance(said, Raw):
                return raw_reply(said, result.headers)
            headers = with_added(JSON, result.headers, TYPE) if result.headers else JSON
            return Reply(200, headers, _answer(said, options))
        case Live(False) | ModelReady(_, False):
            raise not_ready(result)
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
    return {name: value for name, value in beyond_one_hop(parameters).items() if name not in (ROWS, COLUMNS)}


def encode_request(command: Command, _: Options | None = None) -> Call:
    """The call of a client: rows for one tensor and for several of as many rows, else columns; a JSON object as it is.

    Rows are what every server of this protocol reads; KServe's models look for nothing else.

    Raises InvalidInput where JSON would not carry an input as it is.
    """
    match command:
        case Infer(request, verb):
            if request.outputs:
                raise InvalidInput("version 1 of the protocol chooses no outputs; it answers all of them")
            inputs = said_inputs(request.inputs)
            body = dump_asked("the request", _asked(inputs, request.parameters))
            refuse_infinite(request.parameters)
            for name, value in inputs.items():
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


# ---- tensors to JSON


def _answer(outputs: Mapping[str, Said], options: Options) -> Sequence[bytes | memoryview]:
    key = _ANSWERS[options.verb] if options.rows else _OUTPUTS
    if len(outputs) == 1:
        (only,) = outputs.values()
        written = _written(only)
        if isinstance(only, Json):
            return (dump_answer(written),)
        if any_long(outputs):
            return dump_in_parts({key: in_parts(written)})
        return (dump_answer({key: written}),)
    if options.rows and (records := _records(outputs)) is not None:
        return (dump_answer({key: records}),)
    return dump_in_parts({_OUTPUTS: {name: in_parts(_written(value)) for name, value in outputs.items()}})


def _records(outputs: Mapping[str, Said]) -> list[dict[str, Any]] | None:
    """One object per row, or None where the outputs have no common axis 0."""
    columns = [column for column in map(_rows, outputs.values()) if column is not None]
    if len(columns) != len(outputs) or len(set(map(len, columns))) != 1:
        return None
    return [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]


def _rows(value: Said) -> Sequence[Any] | None:
    written = _written(value)
    if isinstance(written, list):
        return written
    return list(written) if getattr(written, "ndim", 0) else None


def _asked(inputs: Mapping[str, Said], parameters: Mapping[str, Any]) -> Any:
    match list(inputs.values()):
        case [Json(dict() as body)]:
            return {**parameters, **body}
        case [Json(list() as rows)]:
            return {**parameters, ROWS: rows}
        case [Tensor(_, array) as only] if array.ndim:
            return {**parameters, ROWS: _written(only)}
        case [_, _, *_] if records := _records(inputs):
            return {**parameters, ROWS: records}
        case _:
            return {**parameters, COLUMNS: {name: _written(value) for name, value in inputs.items()}}


def _written(value: Said) -> Any:
    """What ``dump`` writes for it: arrays of numbers as they are, text as nested lists, a scalar as a number."""
    match value:
        case Tensor(datatype, array) if datatype is not _BYTES:
            numbers = value.numbers
            return numbers if array.ndim else numbers[()]
        case Tensor(_, array):
            return _texts(array.tolist())
        case Json(inner):
            return inner


def _texts(element: Any) -> Any:
    if isinstance(element, list):
        return [_texts(inner) for inner in element]
    try:
        return element.decode()
    except UnicodeDecodeError:
        return {B64: base64.b64encode(element).decode()}


def _read(body: Any, key: str) -> dict[str, Value]:
    """The outputs in a reply: one tensor under the form's own key, or one per name; what is neither stays JSON.

    ``key``: that of the verb's rows. NaN is written as null, and all numbers of a small answer can be that.
    """
    found = body if isinstance(body, dict) else {}
    try:
        if isinstance(rows := found.get(key), list):
            return dict(from_rows(rows, Expectation(only_input=key, blank=_NAN)))
        if _OUTPUTS in found:
            return dict(from_columns(found[_OUTPUTS], Expectation(only_input=_OUTPUTS, blank=_NAN)))
    except InvalidInput as error:
        return {key: Json(body, error.message)}
    return {key: Json(body, f'it has no list "{key}" and no "{_OUTPUTS}"')}
