"""KServe's errors. Where this project has the same one, it is that one, and KServe's base class too.

Model code catches them as KServe's classes are caught (``except ValueError``), and they become the replies that ours
become: ``InvalidInput`` 400, ``ModelNotFound`` 404, what is not ready 503, ``InferenceError`` 500, with their texts.
"""

from __future__ import annotations

from typing import Any

from pipeline import errors as ours
from pipeline.errors import Code, InferError, NoModelReady
from pipeline.errors import ModelNotFound as _ModelNotFound


class InvalidInput(ours.InvalidInput, ValueError):
    """The caller's fault: 400."""


class ModelNotFound(_ModelNotFound):
    """No such model: 404."""

    @property
    def reason(self) -> str:
        return self.message


class InferenceError(ours.InferenceError, RuntimeError):
    """The model's fault, in its author's words: 500.

    A ``status`` that is text stands before them in brackets, as KServe has it; a number is the HTTP status of the
    reply. ``debug_details`` go to the log.
    """

    def __init__(self, reason: str, status: str | int | None = None, debug_details: Any = None) -> None:
        text = f"[{status}] {reason}" if isinstance(status, str) else reason
        super().__init__(text)
        self._reason = reason
        self.status = status  # type: ignore[assignment]  # text is no HTTP status to the wire
        self.debug_details = debug_details
        self.internals = None if debug_details is None else str(debug_details)

    @property
    def reason(self) -> str:
        return self._reason


class ModelNotReady(ours.ModelNotReady, RuntimeError):
    """The model is there and cannot answer: 503."""

    def __init__(self, model_name: str, detail: str | None = None) -> None:
        super().__init__(model_name, detail)
        self.model_name = model_name

    @property
    def error_msg(self) -> str:
        return self.message


class ServerNotReady(ours.ServerNotReady, RuntimeError):
    """503."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(_with("Server is not ready.", detail))

    @property
    def error_msg(self) -> str:
        return self.message


class ServerNotLive(InferError, RuntimeError):
    """503."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(Code.UNAVAILABLE, _with("Server is not live.", detail))

    @property
    def error_msg(self) -> str:
        return self.message


class UnsupportedProtocol(InferError):
    """501."""

    def __init__(self, protocol_version: Any = None) -> None:
        super().__init__(Code.UNIMPLEMENTED, f"Unsupported protocol {protocol_version}.")

    @property
    def reason(self) -> str:
        return self.message


class ModelMissingError(Exception):
    """A model's files are not where they should be; for the log."""

    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return str(self.path)


class WorkersShouldBeLessThanMaxWorkersError(Exception):
    """A server is to have more workers than its model allows; for who starts it."""

    def __init__(self, max_workers: int | None = None) -> None:
        self.reason = f"Workers cannot be greater than {max_workers}"
        super().__init__(self.reason)


def _with(text: str, detail: str | None) -> str:
    return f"{text} {detail}" if detail else text


__all__ = [
    "InferenceError",
    "InvalidInput",
    "ModelMissingError",
    "ModelNotFound",
    "ModelNotReady",
    "NoModelReady",
    "ServerNotLive",
    "ServerNotReady",
    "UnsupportedProtocol",
    "WorkersShouldBeLessThanMaxWorkersError",
]
