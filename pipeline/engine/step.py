"""A step as the engine sees it, opened and ready to be called, and the context it is called with."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import trio

from pipeline.engine.limit import Limit
from pipeline.tensors.forms import Bound
from pipeline.tensors.message import InferRequest
from pipeline.tensors.tensor import Value


class Context:
    """What a step may know of its request besides the tensors; ask for it with a parameter of this type."""

    __slots__ = ("_deadline", "request")

    def __init__(self, request: InferRequest, deadline: float) -> None:
        self.request = request
        self._deadline = deadline

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers, names in lower case."""
        return self.request.headers

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The request's parameters, as JSON values."""
        return self.request.parameters

    @property
    def id(self) -> str:
        """The request's id: the caller's, or one that was made for it."""
        return self.request.id

    def remaining(self) -> float:
        """Seconds until the request's deadline: negative past it, ``math.inf`` without one."""
        if self._deadline == math.inf:
            return math.inf
        try:
            now = trio.current_time()
        except RuntimeError:
            now = trio.from_thread.run_sync(trio.current_time)
        return self._deadline - now


class AsyncCall(Protocol):
    """A step on the loop. Cancelled, it stops at its own next checkpoint and leaves nothing running."""

    def __call__(self, inputs: Mapping[str, Bound], context: Context, /) -> Awaitable[Mapping[str, Value]]: ...


BlockingCall = Callable[[Mapping[str, Bound], Context], Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class LoopStep:
    """Awaited in the request's own task. ``timeout`` (seconds) covers waiting for the limit and the call."""

    name: str
    call: AsyncCall
    timeout: float | None
    limit: Limit | None


@dataclass(frozen=True, slots=True)
class ThreadStep:
    """Called in a worker thread, so that it delays nobody else."""

    name: str
    call: BlockingCall
    timeout: float | None
    limit: Limit | None


OpenStep = LoopStep | ThreadStep
