"""What a protocol says of itself in an OpenAPI 3.1 document: its operations, with bodies typed for one model.

A description is a file beside its codec that names it as ``CODEC``; a protocol without one is left out of the document.
What all operations of the server share (paths, tags, request ids, errors) is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from pipeline.plugins import plugins
from pipeline.tensors.signature import Expectation, TensorSpec
from pipeline.wire.codec import Codec, Route
from pipeline.wire.schemas import Schema

Content = Mapping[str, Any]
"""Media type → Media Type Object."""


class Subject(msgspec.Struct, frozen=True):
    """A model as far as its bodies go. ``outputs``: None where not all of them are known."""

    name: str
    expectation: Expectation
    outputs: Mapping[str, TensorSpec] | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """``name``: unlike that of any other route. ``body``: None where there is none. ``reply``: of a 200.

    ``path``: what the caller chooses in it, where the route is of no model that is served. ``reply_headers``: name →
    Header Object, of the protocol's own.
    """

    name: str
    summary: str
    reply: Content
    body: Content | None = None
    path: Mapping[str, Schema] = {}
    note: str = ""
    reply_headers: Mapping[str, Any] = {}


class Description(Protocol):
    """Pure, as a codec is."""

    CODEC: Codec

    def operation(self, route: Route, model: Subject | None, /) -> Operation:
        """What is asked and answered on a route of the codec; ``model`` where the route names one."""
        ...

    def is_written_in(self, body: Any, /) -> bool:
        """Whether that JSON value is an inference request of this protocol, and of no other."""
        ...


def descriptions() -> dict[str, Description]:
    """Name → description, for every file of this folder that describes a codec."""
    import pipeline.wire as folder  # noqa: PLC0415  # the descriptions import this file

    return plugins(folder, "CODEC")


def json_content(schema: Schema) -> Content:
    return {"application/json": {"schema": schema}}


def record(properties: Mapping[str, Schema], *, optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object that has these properties; what else it has is not said."""
    return {"type": "object", "properties": {**properties, **(optional or {})}, "required": list(properties)}
