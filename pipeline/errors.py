"""What can go wrong with a request, by blame.

One enum says what happened; each codec has one table from it to its protocol's status. The subclasses exist for the
people who raise: a step's author, the engine, the server. Nothing here knows a protocol.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

# The longest that a model or a version may have, so that only what names nothing is cut.
_LONGEST_NAME = 128


class Code(enum.Enum):
    """What happened, in the words of the canonical RPC codes and of what HTTP distinguishes besides."""

    INVALID_ARGUMENT = "invalid argument"
    NOT_FOUND = "not found"
    METHOD_NOT_ALLOWED = "method not allowed"
    TOO_LARGE = "too large"
    UNSUPPORTED_MEDIA = "unsupported media"
    UNIMPLEMENTED = "unimplemented"
    RESOURCE_EXHAUSTED = "resource exhausted"
    UNAVAILABLE = "unavailable"
    DEADLINE_EXCEEDED = "deadline exceeded"
    CANCELLED = "cancelled"
    BAD_UPSTREAM = "bad upstream"
    INTERNAL = "internal"


class InferError(Exception):
    """A failure whose text is meant for the caller.

    ``status`` overrides the HTTP status that the code stands for (400 to 599; chosen by a step's author), ``headers``
    travel with an HTTP reply (``retry-after``, ``allow``). ``internals`` is for the log, and for who catches the error
    in process, as a note of it: what no caller on the wire is shown.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        internals: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers or {}
        self.internals = internals
        if internals is not None:
            noted(self, internals)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """To be pickled: a subclass makes its text of other arguments, and worker processes hand errors back."""
        return retold, (type(self), self.code, self.message), self.__dict__


Told = TypeVar("Told", bound=InferError)


def retold(
    kind: type[Told],
    code: Code,
    message: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    internals: str | None = None,
) -> Told:
    """An error of that class in words that were made elsewhere: by another server, in another process."""
    error = kind.__new__(kind, message)
    InferError.__init__(error, code, message, status=status, headers=headers, internals=internals)
    return error


def text_of(error: BaseException) -> str:
    """The error's text. An author's error may refuse to give one: then its type is all there is."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # an error about an error helps nobody
        return f"(a {type(error).__name__} without a text)"


def told(error: BaseException) -> str:
    """``ValueError: its text``"""
    return f"{type(error).__name__}: {text_of(error)}"


def noted(error: Exception, note: str) -> None:
    """An error object that is raised again is noted once, one that cannot be changed not at all."""
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except Exception:  # noqa: BLE001  # a frozen dataclass, or a `__getattr__` that raises what it likes
        return


# ---- the caller's fault


class InvalidInput(InferError):
    """The request cannot be served as it is: 400."""

    def __init__(self, reason: str) -> None:
        super().__init__(Code.INVALID_ARGUMENT, reason)

    @property
    def reason(self) -> str:
        return self.message


class ModelNotFound(InferError):
    """No model of that name, or not in that version: 404."""

    def __init__(self, model_name: str | None = None, *, version: str | None = None) -> None:
        what = f"Model with name {_short(model_name)}" + (f" and version {_short(version)}" if version else "")
        super().__init__(Code.NOT_FOUND, f"{what} does not exist.")


def _short(name: str | None) -> str:
    """A name that a caller chose, of any length."""
    text = str(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"


# ---- the model's fault


class InferenceError(InferError):
    """The model failed and its author chose the words: 500, or ``status``."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(Code.INTERNAL, reason, status=status)

    @property
    def reason(self) -> str:
        return self.message


class WrongAnswer(InferError):
    """A step answered something that the graph cannot carry, or not what it declared: 500, shown in the log only.

    The text is about the author's code, not about the request, so the caller gets the request id instead.
    """

    def __init__(self, message: str) -> None:
        super().__init__(Code.INTERNAL, message)


class NotInstalled(InferError):
    """The server lacks a library that the request needs: 500. How it is installed is for the log."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        way_out = f'pip install "pipeline-serve[{extra}]"'
        super().__init__(Code.INTERNAL, f"This server lacks {library}, which {purpose}.", internals=way_out)


# ---- the server's state


class ModelNotReady(InferError):
    """The model is loading, failed to load, or is leaving: 503."""

    def __init__(self, model_name: str, detail: str | None = None, *, internals: str | None = None) -> None:
        text = f"Model with name {model_name} is not ready."
        super().__init__(Code.UNAVAILABLE, f"{text} {detail}" if detail else text, internals=internals)


class ServerNotReady(InferError):
    """The server has not loaded what it was started for, or is draining: 503."""

    def __init__(self, reason: str = "Server is not ready.") -> None:
        super().__init__(Code.UNAVAILABLE, reason)


class NoModelReady(RuntimeError):
    """None of the models that a script's server is to start with is ready; for who starts it. KServe's words."""

    def __init__(self, models: Sequence[Any], detail: str | None = None) -> None:
        self.models = models
        self.detail = detail
        names = [model.name for model in models]
        told = f"Model with name {names[0]} is" if len(names) == 1 else f"Models with names {','.join(names)} are"
        self.error_msg = f"{told} not ready. {detail}" if detail else f"{told} not ready."
        super().__init__(self.error_msg)


class Overloaded(InferError):
    """No place inside and none in the queue: 503 with ``Retry-After`` (seconds)."""

    def __init__(self, what: str, *, retry_after: int = 1) -> None:
        super().__init__(
            Code.RESOURCE_EXHAUSTED,
            f"{what} is at its limit and its queue is full; try again in {retry_after} s",
            headers={"retry-after": str(retry_after)},
        )


class DeadlineExceeded(InferError):
    """Time is up: 504."""

    def __init__(self, message: str, *, internals: str | None = None) -> None:
        super().__init__(Code.DEADLINE_EXCEEDED, message, internals=internals)
