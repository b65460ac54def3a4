"""Codes to HTTP statuses and back: the one table that the HTTP codecs share, and the error body they share.

Source: KServe's ``{"error": …}`` and the table of protocols.md.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import Any

from pipeline.errors import (
    Code,
    DeadlineExceeded,
    InferenceError,
    InferError,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    Overloaded,
    ServerNotReady,
    retold,
)
from pipeline.tensors.message import (
    AskModel,
    AskModelReady,
    Command,
    Infer,
    Live,
    LoadModel,
    ModelReady,
    Ready,
    UnloadModel,
)
from pipeline.wire.codec import Reply
from pipeline.wire.json_tensors import dump, parse
from pipeline.wire.reply_headers import sendable

STATUS: Mapping[Code, int] = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA: 415,
    Code.UNIMPLEMENTED: 501,
    Code.RESOURCE_EXHAUSTED: 503,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
    # What nginx logs for a client that left before its reply; nobody is sent it.
    Code.CANCELLED: 499,
    Code.BAD_UPSTREAM: 502,
    Code.INTERNAL: 500,
}
JSON = {"content-type": "application/json"}
_FULL = (STATUS[Code.RESOURCE_EXHAUSTED], 429)
# RFC 9110, 10.2.3 and 5.6.7: seconds, here less than 32 years of them, or a date in the one form that may be sent.
_AGAIN = re.compile(r"[0-9]{1,9}|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")


def error_reply(error: InferError) -> Reply:
    """``{"error": "…"}`` under the status that the code, or the step's author, chose. Never raises.

    What an author chose that is no status, text or header of a reply is a slip: the code's own is taken.
    """
    status = http_status(error.status) or STATUS[error.code]
    try:
        # The text may be an author's: any object, or text that has no UTF-8 form.
        text = str(error.message).encode(errors="replace").decode()
        headers = sendable(error.headers)
    except Exception:  # noqa: BLE001  # or an object that has no text
        text, headers = error.code.value, {}
    return Reply(status, {**JSON, **headers}, (dump({"error": text}),))


def http_status(value: Any) -> int | None:
    """The status of an HTTP error that an author's value is (an enum's and numpy's integers too), or None."""
    try:
        status = operator.index(value)
    except Exception:  # noqa: BLE001  # a value may be anything
        return None
    return status if 400 <= status <= 599 else None


def not_ready(result: Live | Ready | ModelReady) -> InferError:
    """KServe says no with an error, never with a false in a 200."""
    match result:
        case Live():
            return InferError(Code.UNAVAILABLE, "Server is not live.")
        case Ready():
            return ServerNotReady()
        case ModelReady(name):
            return ModelNotReady(name)


def error_of(status: int, text: str, headers: Mapping[str, str], command: Command | None = None) -> InferError:
    """The error a reply of that status to ``command`` means, of the class that says whose fault it is.

    503 with ``retry-after`` is a full server (as is 429 of what stands between), without it one not ready. It
    goes along where it is one: seconds or a date.
    """
    again = headers.get("retry-after", "").strip()
    kept = {"retry-after": again} if _AGAIN.fullmatch(again) else {}
    if status in _FULL and kept:
        code = Code.RESOURCE_EXHAUSTED
    elif status == STATUS[Code.UNAVAILABLE]:
        code = Code.UNAVAILABLE
    else:
        by_status = {known: code for code, known in STATUS.items()}
        code = by_status.get(status, Code.INVALID_ARGUMENT if status < 500 else Code.INTERNAL)
    return retold(_class_of(code, command), code, text, status=status, headers=kept)


def _class_of(code: Code, command: Command | None) -> type[InferError]:
    match code, command:
        case Code.INVALID_ARGUMENT, _:
            return InvalidInput
        case Code.NOT_FOUND, Infer() | AskModel() | AskModelReady() | LoadModel() | UnloadModel():
            return ModelNotFound
        case Code.UNAVAILABLE, Infer() | AskModel() | AskModelReady() | LoadModel() | UnloadModel():
            return ModelNotReady
        case Code.UNAVAILABLE, _:
            return ServerNotReady
        case Code.RESOURCE_EXHAUSTED, _:
            return Overloaded
        case Code.DEADLINE_EXCEEDED, _:
            return DeadlineExceeded
        case Code.INTERNAL, _:
            return InferenceError
        case _:
            return InferError


def body_of(reply: Reply, command: Command) -> Any:
    """Client side: the JSON of a reply that went well. Raises the InferError the server meant, or ``unreadable``."""
    if reply.status >= 400:
        text = said(reply)
        raise error_of(reply.status, bare(reply.status) if text is None else text, reply.headers, command)
    try:
        return _parsed(reply)
    except InvalidInput as error:
        raise unreadable(error.reason) from None


def said(reply: Reply) -> str | None:
    """The text of its ``{"error"}``; None where it has none: what stands between may answer in a page of its own."""
    try:
        body = _parsed(reply)
    except InvalidInput:
        return None
    match body:
        case {"error": str(text)}:
            return text
        case _:
            return None


def _parsed(reply: Reply) -> Any:
    return parse(reply.body[0] if len(reply.body) == 1 else b"".join(reply.body))


def bare(status: int) -> str:
    """The text of an error whose reply has none of the protocol's."""
    return f"HTTP status {status}"


def unreadable(reason: str) -> InferError:
    """A reply that is not what the protocol says: the answering server's fault, not the caller's."""
    return InferError(Code.BAD_UPSTREAM, f"the reply is unreadable: {reason}")
