"""A step as the engine sees it, opened and ready to be called, and the context it is called with."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
import trio

from pipeline.engine.limit import Limit
from pipeline.graph.words import listed
from pipeline.observe import HandleCalls, Span
from pipeline.tensors.forms import Bound
from pipeline.tensors.message import InferRequest, InferResponse, Verb
from pipeline.tensors.tensor import Value

Place = Literal["loop", "thread", "asyncio"]
"""Where a step's own code runs: on trio's loop, in a worker thread, or on the loop of asyncio."""
_NONE: Mapping[str, Callable[..., Any]] = MappingProxyType({})


class Answering(msgspec.Struct, eq=False):
    """What the steps of a request add to its reply, beside the outputs; of two under one name the later stays.

    ``headers`` are the transport's, names in lower case; ``output_parameters`` are by the name of their output. ``id``
    stands in the place of the request's, where it is not empty.
    """

    id: str = ""
    headers: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    output_parameters: dict[str, Mapping[str, Any]] = {}

    def response(self, model: str, version: str, request: InferRequest, outputs: Mapping[str, Value]) -> InferResponse:
        """The answer of that model to the request."""
        return InferResponse(
            model=model,
            outputs=outputs,
            id=self.id or request.id,
            version=version,
            headers=self.headers,
            parameters=self.parameters,
            output_parameters=self.output_parameters,
        )


class Tally(msgspec.Struct, eq=False):
    """What one request made steps do: which they called through handles, and the hooks of those that have such."""

    calls: dict[tuple[str, str], tuple[int, float]] = {}
    """(owner, step) → how often it was called, and how many seconds that took."""
    hooks: dict[str, list[Span]] = {}
    """Step → its hooks that ran."""

    def add(self, owner: str, target: str, seconds: float) -> None:
        """One more call that took so long. In any thread, but of one owner's calls one at a time."""
        count, total = self.calls.get((owner, target), (0, 0.0))
        self.calls[owner, target] = count + 1, total + seconds

    def ran(self, step: str, hook: str, start: float, end: float) -> None:
        """A hook of the step ran, which is a phase of its own. In any thread."""
        self.hooks.setdefault(step, []).append(Span(f"{step}.{hook}", hook, start, end))

    def told(self, spans: Sequence[Span]) -> Sequence[Span]:
        """The spans of steps; of one in which hooks ran, the hooks."""
        return [own for span in spans for own in self.hooks.get(span.step, (span,))]

    def told_calls(self) -> Sequence[HandleCalls]:
        # A copy is made at once; a thread that nobody waits for any more may add to what it is made of.
        return [HandleCalls(*who, *how_often) for who, how_often in self.calls.copy().items()]


class Context(msgspec.Struct, eq=False):
    """What a step may know of its request besides the tensors; ask for it with a parameter of this type.

    ``deadline`` in seconds of the ``clock``, which is the loop's; ``math.inf`` for none, and then no clock is needed.
    """

    # A struct, since every request makes one, and each of its copies is made by C.
    request: InferRequest
    deadline: float
    verb: Verb = "predict"
    """What the model is asked for."""
    # The clock itself can be read in any thread, be it abandoned or the user's own; trio.current_time cannot.
    clock: trio.abc.Clock | None = None
    handles: Mapping[str, Callable[..., Any]] = _NONE
    """The steps that this one may call, under the names that its ``handles`` give them."""
    caller: str | None = None
    """The step that called this one through a handle; None where the graph did."""
    term: Term | None = None
    """How long the step that called this one lasts; None where the graph called it."""
    whole: Whole | None = None
    """What the step loops over, for who is called with one item of it."""
    answer: Answering = msgspec.field(default_factory=Answering)
    """What goes into the reply beside the outputs: headers, and parameters."""
    tally: Tally = msgspec.field(default_factory=Tally)

    def __repr__(self) -> str:
        return f"<Context of request {self.id}>"

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
        return math.inf if self.clock is None else self.deadline - self.clock.current_time()

    def having(self, handles: Mapping[str, Callable[..., Any]]) -> Context:
        """The same, for a step with these handles."""
        own = copy(self)
        own.handles = handles
        return own

    def looping(self, name: str, value: Bound) -> Context:
        """The same, for the items of that value, which each call reads as its input ``name``."""
        own = copy(self)
        own.whole = Whole(name, value)
        return own

    def called_by(self, step: str, term: Term | None = None) -> Context:
        """The same, for what that step calls through a handle, for so long as ``term`` says."""
        own = copy(self)
        own.caller, own.term, own.handles, own.whole = step, term, _NONE, None
        return own


class Term(Protocol):
    """The time of a call that others hang on. For code in a thread, be it trio's or the user's own."""

    def check(self) -> object:
        """Raises once that is over: trio.Cancelled in a thread of trio's, InferError (CANCELLED) in any other."""
        ...


class Whole(NamedTuple):
    """The input that a step loops over, and under which name each call reads an item of it."""

    name: str
    value: Bound


class AsyncCall(Protocol):
    """A step on the loop. Cancelled, it stops at its own next checkpoint and leaves nothing running."""

    def __call__(self, inputs: Mapping[str, Bound], context: Context, /) -> Awaitable[Mapping[str, Value]]: ...


BlockingCall = Callable[[Mapping[str, Bound], Context], Mapping[str, Value]]


class Lends(Protocol):
    """The handles of a step, which are good while one of its calls lasts."""

    def lent(self, context: Context, /) -> AbstractContextManager[Context]:
        """The context of one call, with the handles in it. On the loop; at the end what they still run is cancelled."""
        ...

    @property
    def asks(self) -> Collection[str]:
        """What the steps behind the handles ask, as their ``where``."""
        ...


@dataclass(frozen=True, slots=True)
class LoopStep:
    """Awaited in the request's own task. ``timeout`` (seconds) covers waiting for the limit and the call.

    ``where``: what it asks, for the log, without a secret in it.
    """

    name: str
    call: AsyncCall
    timeout: float | None
    limit: Limit | None
    handles: Lends | None = None
    where: str | None = None
    is_bare: bool = field(init=False)
    """Whether there is nothing to it but its call."""

    def __post_init__(self) -> None:
        bare = self.limit is None and self.timeout is None and self.handles is None
        object.__setattr__(self, "is_bare", bare)


@dataclass(frozen=True, slots=True)
class ThreadStep:
    """Called in a worker thread, so that it delays nobody else."""

    name: str
    call: BlockingCall
    timeout: float | None
    limit: Limit | None
    handles: Lends | None = None
    where: str | None = None


OpenStep = LoopStep | ThreadStep


def asks(step: OpenStep) -> str | None:
    """What a step asks, by itself or by its handles, for the log; None where that is nobody."""
    behind = step.handles.asks if step.handles else ()
    return step.where or (f"it calls {listed(behind)}" if behind else None)
