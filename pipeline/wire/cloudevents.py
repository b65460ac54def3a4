"""CloudEvents around a call and its reply: a call that comes as an event is opened, its reply is one too.

Source: CloudEvents 1.0, "HTTP Protocol Binding" and "JSON Event Format"; KServe's words for what a reply is. An event's
data is the call's body, its attributes are headers (``ce-type``, …) in both modes. Errors are no events.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from pipeline.errors import Code, InferError, InvalidInput
from pipeline.tensors.shown import kind, quoted, shown
from pipeline.wire.codec import Call, Reply
from pipeline.wire.json_tensors import dump, parse, parses
from pipeline.wire.media import JSON, is_json, media_of

STRUCTURED = "application/cloudevents+json"
_EVENTS = "application/cloudevents"
_PREFIX = "ce-"
_IS_EVENT = f"{_PREFIX}specversion"
_VERSION = "1.0"
_REQUIRED = ("specversion", "id", "source", "type")
_UNSAID = frozenset({*_REQUIRED, "time", "data"})
_NAME = re.compile(r"[a-z0-9]+")
_LINE = re.compile(r"[\x20-\x7e]*")
_DATA = ("data", "data_base64")
# A reply has these of its own.
_OWN = frozenset({"specversion", "id", "source", "type", "time", "datacontenttype"})
# Printable ASCII, but for a space, a double quote and a percent sign (HTTP binding, 3.1.3.2).
_AS_THEY_ARE = "!#$&'()*+,/:;<=>?@[\\]^`{|}"

Value = str | bool | int


class Event(msgspec.Struct, frozen=True):
    """What a call came in: ``attributes`` by name, those of the data's type aside; ``structured``: all in one body."""

    attributes: Mapping[str, Value]
    structured: bool


class Sender(msgspec.Struct, frozen=True):
    """What replies say of themselves. ``source`` None is one per model; ``merge``: the call's other attributes stay."""

    type: str = "io.kserve.inference.response"
    source: str | None = None
    merge: bool = False


class Stamp(msgspec.Struct, frozen=True):
    """What is new in every event: ``time`` as RFC 3339 writes it."""

    id: str
    time: str


def opened(call: Call) -> tuple[Call, Event | None]:
    """The call that an event holds, and what is left of the event; the call itself, and None, where it is none.

    Raises InvalidInput for an event that is broken, InferError (UNSUPPORTED_MEDIA) for several in one, and other forms.
    """
    media = media_of(call.headers)
    if media == STRUCTURED:
        body = parse(call.body)
        # As KServe: plain JSON that somebody calls an event is what it is.
        if isinstance(body, dict) and "specversion" not in body:
            return msgspec.structs.replace(call, json=True), None
        return _structured(call, body)
    if media.startswith(_EVENTS):
        told = f"no {quoted(media)}; an event comes by itself, as {STRUCTURED} or with its attributes in ce- headers"
        raise InferError(Code.UNSUPPORTED_MEDIA, told, headers={"accept": f"{JSON}, {STRUCTURED}"})
    if _IS_EVENT in call.headers:
        return _binary(call, media)
    return call, None


def data_of(body: Any) -> Any:
    """The data of JSON that is an event and does not say so, as KServe reads it; any other as it is."""
    return body["data"] if isinstance(body, dict) and is_unsaid(body) else body


def is_unsaid(body: Mapping[str, Any]) -> bool:
    """Whether it has all that KServe knows an event by, whatever its type says."""
    return body.keys() >= _UNSAID


def enclosed(reply: Reply, event: Event, model: str, sender: Sender, stamp: Stamp) -> Reply:
    """The reply as an event in the mode of the call's. Raises InferError (UNIMPLEMENTED) for a stream in a body."""
    merged = {name: own for name, own in event.attributes.items() if name not in _OWN} if sender.merge else {}
    attributes: dict[str, Value] = {
        "specversion": _VERSION,
        "id": stamp.id,
        "source": sender.source or f"io.kserve.inference.{model}",
        "type": sender.type,
        "time": stamp.time,
        **merged,
    }
    if not event.structured:
        return msgspec.structs.replace(reply, headers={**reply.headers, **_as_headers(attributes)})
    if reply.stream is not None:
        told = f'model "{model}" answers with a stream, which no structured event holds; send one with ce- headers'
        raise InferError(Code.UNIMPLEMENTED, told)
    data, media = b"".join(reply.body), media_of(reply.headers)
    if media == JSON:
        # As it is written already.
        last = b'"data":' + data
    else:
        if media:
            attributes["datacontenttype"] = reply.headers["content-type"]
        last = b'"data_base64":' + dump(base64.b64encode(data).decode())
    body = dump(attributes)[:-1] + b"," + last + b"}"
    return Reply(reply.status, {**reply.headers, "content-type": STRUCTURED}, (body,))


# ---- calls


def _structured(call: Call, body: Any) -> tuple[Call, Event]:
    if not isinstance(body, dict):
        raise InvalidInput(f"an event is an object, got {kind(body)}")
    found = {name: own for name, own in body.items() if name not in _DATA and own is not None}
    for name, value in found.items():
        if _NAME.fullmatch(name) is None:
            raise InvalidInput(f"event attribute {quoted(name)}: a name is of lower-case letters and digits")
        if not isinstance(value, str | bool | int):
            raise InvalidInput(
                f"event attribute {quoted(name)} is a text, a whole number or a boolean, got {kind(value)}"
            )
    _check(found)
    media = found.pop("datacontenttype", JSON)
    if not isinstance(media, str):
        raise InvalidInput(f'event attribute "datacontenttype" is a text, got {kind(media)}')
    if _LINE.fullmatch(media) is None:
        raise InvalidInput(f'event attribute "datacontenttype" is printable ASCII in one line, got {shown(media)}')
    headers = {**call.headers, **_as_headers(found), "content-type": media}
    return msgspec.structs.replace(call, headers=headers, body=_data(body, media_of(headers))), Event(found, True)


def _data(body: Mapping[str, Any], media: str) -> bytes:
    """The bytes of an event's data: its JSON, or the text of a type that is none."""
    match body:
        case {"data": _, "data_base64": _}:
            raise InvalidInput("an event has its data once, as data or as data_base64")
        case {"data_base64": str() as text}:
            try:
                return base64.b64decode(text, validate=True)
            except ValueError:
                raise InvalidInput("the data_base64 of the event is no base64") from None
        case {"data_base64": other}:
            raise InvalidInput(f"the data_base64 of an event is a text, got {kind(other)}")
        case {"data": str() as text} if not is_json(media):
            return text.encode(errors="replace")
        case {"data": value}:
            return dump(value)
        case _:
            raise InvalidInput("the event has no data, which is the request")


def _binary(call: Call, media: str) -> tuple[Call, Event]:
    """The data is the body, whose type says what it is; where it says JSON it must be that, else it may be."""
    named = ((name.removeprefix(_PREFIX), text) for name, text in call.headers.items() if name.startswith(_PREFIX))
    attributes: dict[str, Value] = {name: _unquoted(name, text) for name, text in named if _NAME.fullmatch(name)}
    _check(attributes)
    says_json = media.endswith("json")
    return msgspec.structs.replace(call, json=True if says_json else parses(call.body)), Event(attributes, False)


def _check(attributes: Mapping[str, Value]) -> None:
    for name in _REQUIRED:
        value = attributes.get(name)
        if not isinstance(value, str) or not value:
            came = "is missing" if value is None else f"is a text, and not empty; got {shown(value)}"
            raise InvalidInput(f'event attribute "{name}" {came}')
    if attributes["specversion"] != _VERSION:
        raise InvalidInput(f"events are read in version {_VERSION}, got {shown(attributes['specversion'])}")


def _unquoted(name: str, text: str) -> str:
    """The text of a header: quotes around it are none of it, what is percent-encoded is UTF-8."""
    inner = text.strip()
    if len(inner) > 1 and inner[0] == inner[-1] == '"':
        inner = re.sub(r"\\(.)", r"\1", inner[1:-1])
    try:
        return unquote(inner, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput(f'header "{_PREFIX}{name}" is percent-encoded, and not UTF-8') from None


def _as_headers(attributes: Mapping[str, Value]) -> dict[str, str]:
    return {f"{_PREFIX}{name}": _written(own) for name, own in attributes.items()}


def _written(value: Value) -> str:
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return quote(text, safe=_AS_THEY_ARE, errors="replace")
