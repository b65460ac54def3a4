"""What a caller sees of a failure: what was raised for its eyes as it is, anything else as a request id; pure."""

from __future__ import annotations

from pipeline.errors import Code, InferenceError, InferError, WrongAnswer


def as_shown(error: Exception, request: str) -> InferError:
    """The error that the reply to that request tells.

    A step's author speaks to the caller through our errors, NotImplementedError (501, as KServe has it), and any
    exception with a ``status_code`` of an HTTP error.
    """
    match error:
        case WrongAnswer():
            return _hidden(request)
        case InferError():
            return error
        case NotImplementedError():
            return InferError(Code.UNIMPLEMENTED, _words(error) or "Not implemented.")
    status = getattr(error, "status_code", None)
    if type(status) is int and 400 <= status <= 599:
        detail = getattr(error, "detail", None)
        return InferError(Code.INTERNAL, detail if isinstance(detail, str) else _words(error), status=status)
    return _hidden(request)


def _words(error: Exception) -> str:
    """Its text; none where its author's ``__str__`` fails."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # an error about an error helps nobody
        return ""


def _hidden(request: str) -> InferError:
    return InferenceError(f"Internal server error. The log has the reason, under request id {request}.")
