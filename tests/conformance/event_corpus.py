"""Requests that are CloudEvents, which KServe and we are both asked, and where our answers differ, with the reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.conformance import reasons
from tests.conformance.reasons import Ask, Why, status, text

JSON = {"content-type": "application/json"}
EVENT = {"content-type": "application/cloudevents+json"}
ATTRIBUTES = {"specversion": "1.0", "id": "a", "source": "/here", "type": "t", "time": "2026-01-01T00:00:00Z"}
BINARY = {f"ce-{name}": value for name, value in ATTRIBUTES.items()}
TENSOR = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [2], "data": [1, 2]}]}


def ask(what: str, body: Any, sent: Mapping[str, str], *why: Why, path: str = "/v1/models/raw:predict") -> Ask:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Ask(f"event: {what}", "POST", path, data, sent, why)


def events() -> Iterator[Ask]:
    echo, fails, infer = "/v1/models/echo:predict", "/v1/models/fails:predict", "/v2/models/echo/infer"
    for name, data in {"rows": {"instances": [1, 2]}, "any object": {"a": [None, "ä", 1.5]}, "a list": [1]}.items():
        yield ask(f"structured, {name}", {**ATTRIBUTES, "data": data}, EVENT)
        yield ask(f"binary, {name}", data, BINARY | JSON)
        yield ask(f"binary without a type, {name}", data, BINARY)
        yield ask(f"not said to be one, {name}", {**ATTRIBUTES, "data": data}, JSON)
    for sent, body in ((EVENT, {**ATTRIBUTES, "data": {"instances": [[1, 2]]}}), (BINARY, {"instances": [[1, 2]]})):
        yield ask(f"answered by a function: {len(sent)}", body, sent, path=echo)
    for kind in ("invalid", "inference", "todo"):
        yield ask(f"structured, {kind}", {**ATTRIBUTES, "data": {"instances": [kind]}}, EVENT, path=fails)
        yield ask(f"binary, {kind}", {"instances": [kind]}, BINARY | JSON, path=fails)
    refused, plain = status(400, reasons.EVENTS, "content-type"), text(reasons.EVENTS, "content-type")
    less = {name: value for name, value in ATTRIBUTES.items() if name != "time"}
    yield ask("structured without its time", {**less, "data": {"a": 1}}, EVENT, text(reasons.EVENTS))
    yield ask("binary without its time", {"a": 1}, {f"ce-{name}": value for name, value in less.items()} | JSON)
    for name in ("id", "type", "source", "specversion"):
        part = {own: value for own, value in ATTRIBUTES.items() if own != name}
        # What has no version is no event, to both; KServe's answer is one all the same.
        differs = plain if name == "specversion" else refused
        yield ask(f"structured without its {name}", {**part, "data": {"a": 1}}, EVENT, differs)
    yield ask("structured, no JSON", b"{", EVENT)
    yield ask("binary, no JSON that it says it is", b"{", BINARY | JSON, status(400, reasons.EVENTS))
    yield ask("binary of another version", {"a": 1}, {**BINARY, "ce-specversion": "7.0"} | JSON, text(reasons.EVENTS))
    batch = {"content-type": "application/cloudevents-batch+json"}
    yield ask("several in one", [ATTRIBUTES], batch, status(415, reasons.EVENTS))
    written = text(reasons.EVENTS, "content-type", "content-length")
    yield ask("binary, version 2", TENSOR, BINARY | JSON, written, path=infer)
    taken = status(200, reasons.EVENTS, "content-type")
    yield ask("structured, version 2", {**ATTRIBUTES, "data": TENSOR}, EVENT, taken, path=infer)
    yield ask("with more attributes", {"a": 1}, BINARY | JSON | {"ce-subject": "s", "x-secret": "s"})
    yield ask("plain JSON that is said to be one", {"instances": [1]}, EVENT, plain, path=echo)
