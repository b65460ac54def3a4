"""What a caller sees of a failure: what was raised for its eyes as it is, anything else as a request id; pure.

A step's author speaks to the caller through our errors, NotImplementedError (501, as KServe has it), and any exception
with a ``status_code`` of an HTTP error, whose ``headers`` go along (``retry-after``). An author's exception may raise
whatever it likes when it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import Code, InferenceError, InferError, WrongAnswer, text_of
from pipeline.wire.codec import REQUEST_ID_HEADER
from pipeline.wire.statuses import http_status

# They describe the body and the connection, or are the server's own to say.
_OURS = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "date", "keep-alive", "server", "trailer"}
    | {"transfer-encoding", "upgrade", REQUEST_ID_HEADER}
)


def as_shown(error: BaseException, request: str) -> InferError:
    """The error that the reply to that request tells."""
    match error:
        case WrongAnswer():
            return _hidden(request)
        case InferError():
            return error
        case NotImplementedError():
            return InferError(Code.UNIMPLEMENTED, text_of(error) or "Not implemented.")
    status = http_status(_attribute(error, "status_code"))
    if status is not None:
        detail = _attribute(error, "detail")
        text = detail if isinstance(detail, str) else text_of(error)
        return InferError(Code.INTERNAL, text, status=status, headers=_headers(error))
    return _hidden(request)


def _headers(error: BaseException) -> Mapping[str, str]:
    """The ``headers`` beside a ``status_code``, as Starlette's errors have them; names in lower case."""
    given = _attribute(error, "headers")
    try:
        texts = {name: text for name, text in given.items() if isinstance(name, str) and isinstance(text, str)}
    except Exception:  # noqa: BLE001  # nor need they be a mapping
        return {}
    return {name.lower(): text for name, text in texts.items() if name.lower() not in _OURS}


def _attribute(error: BaseException, name: str) -> Any:
    try:
        return getattr(error, name, None)
    except Exception:  # noqa: BLE001  # so may an author's property
        return None


def _hidden(request: str) -> InferError:
    return InferenceError(f"Internal server error. The log has the reason, under request id {request}.")
