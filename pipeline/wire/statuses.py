"""Codes to HTTP statuses and back: the one table that the HTTP codecs share, and the error body they share.

Source: KServe's ``{"error": …}`` and the table of protocols.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import Code, InferError
from pipeline.wire.codec import Reply
from pipeline.wire.json_tensors import dump

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
    Code.BAD_UPSTREAM: 502,
    Code.INTERNAL: 500,
}
JSON = {"content-type": "application/json"}


def error_reply(error: InferError) -> Reply:
    """``{"error": "…"}`` under the status that the code, or the step's author, chose."""
    return Reply(error.status or STATUS[error.code], {**JSON, **error.headers}, (dump({"error": error.message}),))


def error_of(status: int, text: str, headers: Mapping[str, str]) -> InferError:
    """The error a reply of that status means. 503 with ``retry-after`` is a full server, without it one not ready."""
    if status == STATUS[Code.RESOURCE_EXHAUSTED]:
        code = Code.RESOURCE_EXHAUSTED if "retry-after" in headers else Code.UNAVAILABLE
    else:
        by_status = {known: code for code, known in STATUS.items()}
        code = by_status.get(status, Code.INVALID_ARGUMENT if status < 500 else Code.INTERNAL)
    kept = {name: text for name, text in headers.items() if name == "retry-after"}
    return InferError(code, text, status=status, headers=kept)
