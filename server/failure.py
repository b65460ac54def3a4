"""What a caller sees of a failure: what was raised for its eyes as it is, anything else as a request id; pure.

A step's author speaks to the caller through our errors, NotImplementedError (501, as KServe has it), and any exception
with a ``status_code`` of an HTTP error. An author's exception may raise whatever it likes when it is looked at.
"""

from __future__ import annotations

from typing import Any

from pipeline.errors import Code, InferenceError, InferError, WrongAnswer, text_of
from pipeline.wire.statuses import http_status


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
        return InferError(Code.INTERNAL, detail if isinstance(detail, str) else text_of(error), status=status)
    return _hidden(request)


def _attribute(error: BaseException, name: str) -> Any:
    try:
        return getattr(error, name, None)
    except Exception:  # noqa: BLE001  # so may an author's property
        return None


def _hidden(request: str) -> InferError:
    return InferenceError(f"Internal server error. The log has the reason, under request id {request}.")
