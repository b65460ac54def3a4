"""Triton's model repository extension to version 2, in KServe's bodies: the index, load and unload.

Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

from pipeline.errors import InvalidInput
from pipeline.tensors.message import (
    AskIndex,
    Availability,
    Command,
    Index,
    InferResponse,
    Loaded,
    LoadModel,
    ModelState,
    Result,
    Unloaded,
    UnloadModel,
)
from pipeline.tensors.shown import kind, quoted
from pipeline.tensors.signature import Expectation
from pipeline.wire.codec import Call, Reply, Route
from pipeline.wire.fields import text_in
from pipeline.wire.json_tensors import dump, parse
from pipeline.wire.statuses import JSON, body_of, unreadable

_INDEX = "/v2/repository/index"
_MODEL = "/v2/repository/models/{model}"
ROUTES: Sequence[Route] = (
    Route("POST", _INDEX, AskIndex, has_body=True),
    Route("POST", f"{_MODEL}/load", LoadModel, has_body=True),
    Route("POST", f"{_MODEL}/unload", UnloadModel, has_body=True),
)
UNNAMED: Collection[str] = ()
# What Triton lets a caller send along: it replaces what lies in the repository, which only its owner may here.
_OVERRIDES = "config", "file:"
_STATES: Mapping[str, Availability] = {state: state for state in get_args(Availability)}


def decode(call: Call, route: Route, model: str, version: str, expectation: Expectation) -> tuple[Command, None]:
    """An empty body says nothing. Raises InvalidInput for one that asks for what there is not."""
    body = parse(call.body) if call.body else {}
    if not isinstance(body, dict):
        raise InvalidInput(f"a request to the repository is an object, got {kind(body)}")
    if route.asks is AskIndex:
        return AskIndex(_flag(body, "ready")), None
    parameters = body.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidInput(f'"parameters" is an object, got {kind(parameters)}')
    if route.asks is UnloadModel:
        # No model here depends on another: there is nothing else to unload.
        _flag(parameters, "unload_dependents")
        return UnloadModel(model), None
    if sent := [name for name in parameters if name.startswith(_OVERRIDES)]:
        told = "a load takes what lies in the repository: put files there, and leave the parameter out"
        raise InvalidInput(f"parameter {quoted(sent[0])}: {told}")
    return LoadModel(model), None


def takes_long(_: InferResponse, __: None) -> bool:
    return False


def encode(result: Result, options: None) -> Reply:
    """Whoever asked for a load is told in KServe's words; Triton's clients read the status alone."""
    match result:
        case Index(models):
            body: Any = [
                {"name": own.name, "version": own.version, "state": own.state, "reason": own.reason} for own in models
            ]
        case Loaded(name):
            body = {"name": name, "load": True}
        case Unloaded(name):
            body = {"name": name, "unload": True}
        case _:
            raise AssertionError(f"a repository is not asked for {type(result).__name__}")
    return Reply(200, JSON, (dump(body),))


def preferring(binary: bool) -> None:
    """There are no tensors."""


def travelling(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    return {}


def encode_request(command: Command, options: None = None) -> Call:
    """The call of a client. Raises InvalidInput for what is asked of no repository."""
    match command:
        case AskIndex(ready):
            return Call("POST", _INDEX, JSON, dump({"ready": True} if ready else {}))
        case LoadModel(model):
            return Call("POST", f"{_MODEL.format(model=model)}/load", JSON, b"{}")
        case UnloadModel(model):
            return Call("POST", f"{_MODEL.format(model=model)}/unload", JSON, b"{}")
        case _:
            raise InvalidInput(f"a repository has no word for {type(command).__name__}")


def decode_reply(reply: Reply, command: Command) -> Result:
    """What was answered; Triton answers a load with nothing. Raises the InferError it meant, or BAD_UPSTREAM."""
    match command:
        case LoadModel(model) | UnloadModel(model):
            if reply.status >= 400:
                body_of(reply, command)
            return Loaded(model) if isinstance(command, LoadModel) else Unloaded(model)
        case _:
            return _index(body_of(reply, command))


def _index(body: Any) -> Index:
    """Triton leaves out what it does not know: the version and the state of a model that it has never loaded."""
    if not isinstance(body, list) or not all(isinstance(entry, dict) for entry in body):
        raise unreadable("an index is a list of objects")
    try:
        return Index(
            tuple(
                ModelState(
                    text_in(entry, "name"),
                    text_in(entry, "version"),
                    _STATES.get(text_in(entry, "state"), "UNAVAILABLE"),
                    text_in(entry, "reason"),
                )
                for entry in body
            )
        )
    except InvalidInput as error:
        raise unreadable(error.reason) from None


def _flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        raise InvalidInput(f'"{key}" is true or false, got {kind(value)}')
    return value is True
