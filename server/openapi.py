"""The OpenAPI 3.1 document of a server: one operation per model and route, made from the models as they are now; pure.

What a protocol says of itself comes from its description in ``pipeline/wire/``; here is what all operations share.
Source: https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pipeline.errors import InferError
from pipeline.pipeline import Pipeline, State
from pipeline.repository import Repository
from pipeline.tensors.message import AskModelReady, AskReady, Verb
from pipeline.tensors.signature import TensorSpec
from pipeline.wire.codec import REQUEST_ID_HEADER, TIMEOUT_HEADER, Route
from pipeline.wire.openapi import Content, Operation, Subject, descriptions, record
from server.examples import example, requests_to

_SERVER = "server"
_ID: Mapping[str, Any] = {"type": "string", "pattern": "^[!-~]{1,128}$"}
_ID_NOTE = (
    "Comes back in the reply, and stands in the log; one that is not of 1 to 128 visible ASCII characters is replaced."
)
_TIME_NOTE = (
    f"A header {TIMEOUT_HEADER} gives the request less time than the model's own deadline: seconds, or a unit: 300ms."
)
_ERRORS = {
    "400": "The request is not what the model takes, or no request at all",
    "404": "No model of that name, or not in that version",
    "413": "The body is larger than --max-body",
    "415": "The body has a content-encoding that is neither gzip nor deflate",
    "500": "The model failed; its log has the reason under the request id",
    "501": "Known, but not implemented by the model",
    "503": "Not ready, or at its limit: then Retry-After says when to come again",
    "504": "The request took longer than its deadline",
    "default": "A status that the model's author chose",
}
_OF_A_MODEL = ("404",)
_OF_READINESS = ("503",)
_OF_BODIES = ("400", "413", "415")
_OF_CHANGES = ("400", "404", "413", "415", "503", "504")
_OF_INFERENCE = ("400", "404", "413", "415", "500", "501", "503", "504", "default")

Examples = Mapping[tuple[str, str], Sequence[bytes]]
"""(Model name, version) → bodies of requests that its author wrote."""


def document(repository: Repository, *, title: str, version: str, examples: Examples) -> dict[str, Any]:
    """The document, as JSON values. ``examples`` that do not fit their model are passed over."""
    paths: dict[str, dict[str, Any]] = {}
    taken: set[str] = set()
    written = {
        (model.name, model.version): list(requests_to(model, examples.get((model.name, model.version), ())))
        for model in repository
    }
    for description in descriptions().values():
        for route in description.CODEC.ROUTES:
            for path, model in _places(route, repository):
                operation = description.operation(route, _subject(model) if model else None)
                found = _operation(operation, route, model, _identifier(operation, route, model, taken))
                if model is not None and route.verb is not None and operation.body is not None:
                    shown = example(description, model, route.verb, written[model.name, model.version])
                    found["requestBody"] = {"required": True, "content": _with_example(operation.body, shown)}
                elif operation.body is not None:
                    found["requestBody"] = {"content": operation.body}
                paths.setdefault(path, {})[route.method.lower()] = found
    for path, operation in _own_pages():
        paths[path] = {"get": _operation(operation, None, None, operation.name)}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "tags": [{"name": _SERVER}, *map(_tag, _by_name(repository))],
        "paths": paths,
        "components": _components(),
    }


# ---- where


def _places(route: Route, repository: Repository) -> Iterator[tuple[str, Pipeline | None]]:
    """The concrete paths of a route, each with the model that is asked there now."""
    if "{model}" not in route.template or route.has_body:
        yield route.template, None
        return
    for name in repository.names():
        versions = repository.versions(name) if "{version}" in route.template else ("",)
        for version in versions:
            model = repository.get(name, version)
            if route.verb is None or _answers(model, route.verb):
                yield route.template.format(model=quote(name), version=quote(version, safe="")), model


def _answers(model: Pipeline, verb: Verb) -> bool:
    try:
        model.require(verb)
    except InferError:
        return False
    return True


def _identifier(operation: Operation, route: Route, model: Pipeline | None, taken: set[str]) -> str:
    """A name that generated clients can have, unlike any other."""
    words = [operation.name]
    if model is not None:
        words += [model.name, model.version] if "{version}" in route.template else [model.name]
    name = re.sub(r"\W+", "_", "_".join(words))
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _own_pages() -> Iterable[tuple[str, Operation]]:
    text = {"schema": {"type": "string"}}
    prometheus = {"text/plain": text, "application/openmetrics-text": text}
    openapi = {"application/json": {"schema": record({"openapi": {"const": "3.1.0"}})}}
    return [
        ("/metrics", Operation(name="metrics", summary="What Prometheus scrapes", reply=prometheus)),
        ("/openapi.json", Operation(name="openapi", summary="This document", reply=openapi)),
    ]


# ---- what


def _operation(operation: Operation, route: Route | None, model: Pipeline | None, identifier: str) -> dict[str, Any]:
    """``route``: None for a page of ours."""
    headers = {**operation.reply_headers, REQUEST_ID_HEADER: _reference("headers", REQUEST_ID_HEADER)}
    responses = {status: _reference("responses", status) for status in (_statuses(route) if route else ())}
    return {
        "operationId": identifier,
        "summary": operation.summary,
        **({"description": note} if (note := _note(operation, route)) else {}),
        "tags": [model.name if model else _SERVER],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": own} for name, own in operation.path.items()),
            _reference("parameters", REQUEST_ID_HEADER),
        ],
        "responses": {"200": {"description": "Success", "headers": headers, "content": operation.reply}, **responses},
    }


def _note(operation: Operation, route: Route | None) -> str:
    """The deadline is told in words: of a parameter, every generator of requests tries one of no time at all."""
    if route is None or route.verb is None:
        return operation.note
    return f"{operation.note} {_TIME_NOTE}".strip()


def _statuses(route: Route) -> Sequence[str]:
    if route.verb is not None:
        return _OF_INFERENCE
    ready = _OF_READINESS if route.asks in (AskReady, AskModelReady) else ()
    if route.has_body:
        return _OF_CHANGES if "{model}" in route.template else _OF_BODIES
    return [*(_OF_A_MODEL if "{model}" in route.template else ()), *ready]


def _subject(model: Pipeline) -> Subject:
    return Subject(model.name, model.expectation, _all_outputs(model))


def _all_outputs(model: Pipeline) -> Mapping[str, TensorSpec] | None:
    """The outputs, where all are known: declared in the schema, or told by the one step that answers."""
    graph = model.blueprint.graph
    known = model.signature.outputs
    return known if known and (graph.spec.outputs or len(graph.output["predict"]) == 1) else None


def _components() -> dict[str, Any]:
    error = {"application/json": {"schema": _reference("schemas", "Error")}}
    of_all = {REQUEST_ID_HEADER: _reference("headers", REQUEST_ID_HEADER)}
    retry = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer", "minimum": 0}}}
    return {
        "schemas": {"Error": record({"error": {"type": "string"}})},
        "parameters": {
            REQUEST_ID_HEADER: _header(REQUEST_ID_HEADER, _ID_NOTE, {"type": "string"}),
        },
        "headers": {
            REQUEST_ID_HEADER: {"description": "The caller's, or one made here.", "required": True, "schema": _ID}
        },
        "responses": {
            status: {
                "description": text,
                "headers": {**of_all, **(retry if status in _OF_READINESS else {})},
                "content": error,
            }
            for status, text in _ERRORS.items()
        },
    }


def _header(name: str, text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": text, "schema": schema}


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


# ---- models, for the page


def _by_name(repository: Repository) -> Iterator[list[Pipeline]]:
    for name in repository.names():
        yield [repository.get(name, version) for version in repository.versions(name)]


def _tag(versions: list[Pipeline]) -> dict[str, Any]:
    """A model's tag; ``x-versions`` is what the page shows of it."""
    return {"name": versions[0].name, "x-versions": [_shown(model) for model in versions]}


def _shown(model: Pipeline) -> dict[str, Any]:
    return {
        "version": model.version,
        "state": model.state.value,
        "reason": model.failure if model.state is State.FAILED else None,
        "inputs": _tensors(model.signature.inputs),
        "outputs": _tensors(model.signature.outputs),
    }


def _tensors(specs: Mapping[str, TensorSpec]) -> list[dict[str, Any]]:
    return [
        {"name": name, "datatype": spec.datatype.name, "dims": spec.dims, "optional": spec.optional}
        for name, spec in specs.items()
    ]


def _with_example(content: Content, shown: Any) -> Content:
    """The example of the JSON body: the one media type that a person can write."""
    return {
        media: {**how, "example": shown} if media == "application/json" and shown is not None else how
        for media, how in content.items()
    }
