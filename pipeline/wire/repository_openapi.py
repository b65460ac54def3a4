"""The repository extension in OpenAPI's terms. A model that is loaded is none yet: its name is a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pipeline.tensors.message import AskIndex, Availability, LoadModel, UnloadModel
from pipeline.wire import repository
from pipeline.wire.codec import Codec, Route
from pipeline.wire.openapi import Operation, Subject, json_content, record
from pipeline.wire.schemas import Schema

CODEC: Codec = repository

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_NAMED: Mapping[str, Schema] = {"model": {"type": "string", "minLength": 1}}


def operation(route: Route, model: Subject | None) -> Operation:
    match route.asks:
        case command if command is AskIndex:
            known = {"name": _TEXT, "version": _TEXT, "state": {"enum": list(get_args(Availability))}, "reason": _TEXT}
            return Operation(
                name="repository_index",
                summary="The models there are, and those that could be loaded",
                body=json_content(_object(ready=_FLAG)),
                reply=json_content({"type": "array", "items": record(known)}),
            )
        case command if command is LoadModel:
            return Operation(
                name="repository_load",
                summary="Serve what lies in the repository under that name now",
                note="What is served under it answers until then, and after a load that fails.",
                path=_NAMED,
                body=json_content({"type": "object"}),
                reply=json_content(record({"name": _TEXT, "load": {"const": True}})),
            )
        case command if command is UnloadModel:
            return Operation(
                name="repository_unload",
                summary="Serve that model no more",
                note="The reply comes when its last request has been answered.",
                path=_NAMED,
                body=json_content(_object(parameters=_object(unload_dependents=_FLAG))),
                reply=json_content(record({"name": _TEXT, "unload": {"const": True}})),
            )
    raise AssertionError(f"{route.template} is no route of the repository")


def is_written_in(body: Any) -> bool:
    """It has no inference requests."""
    return False


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}
