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

    __slots__ = ("_clock", "_deadline", "request")

    def __init__(self, request: InferRequest, deadline: float) -> None:
        """``deadline`` in seconds of the loop's clock, ``math.inf`` for none; with one, this is made on the loop."""
        self.request = request
        self._deadline = deadline
        # The clock itself can be read in any thread, be it abandoned or the user's own; trio.current_time cannot.
        self._clock = None if deadline == math.inf else trio.lowlevel.current_clock()

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
        """Seconds until the request's deadline: negative past it, ``math.inf`` without one. In any thread."""
        return math.inf if self._clock is None else self._deadline - self._clock.current_time()


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
