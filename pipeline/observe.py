"""What happened, as frozen events for whoever wants to know: metrics, logs, the ``run`` command.

An observer is called in the loop, right where it happened; it must be quick and must not raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pipeline.errors import Code


class Span(msgspec.Struct, frozen=True):
    """One step of one request. ``start`` and ``end`` in seconds of ``time.perf_counter``.

    ``phase`` is the part it plays: preprocess, predict, postprocess or explain.
    """

    step: str
    phase: str
    start: float
    end: float


def walls(spans: Sequence[Span]) -> dict[str, tuple[float, float]]:
    """Phase → when its first step began and its last one ended."""
    if len(spans) == 1:
        (only,) = spans
        return {only.phase: (only.start, only.end)}
    found: dict[str, tuple[float, float]] = {}
    for span in spans:
        first = found.get(span.phase)
        found[span.phase] = (
            (span.start, span.end) if first is None else (min(first[0], span.start), max(first[1], span.end))
        )
    return found


class RequestDone(msgspec.Struct, frozen=True):
    """A request left the graph. ``code`` None is success; ``spans`` are the steps that ended, well or not, in order.

    What they called through handles is in ``calls``.
    """

    model: str
    version: str
    verb: str
    id: str
    seconds: float
    code: Code | None
    spans: Sequence[Span]
    calls: Sequence[HandleCalls] = ()


class HandleCalls(msgspec.Struct, frozen=True):
    """What one step of a request called through a handle: which step, how often, and how many seconds that took."""

    step: str
    called: str
    count: int
    seconds: float


class DetachedDone(msgspec.Struct, frozen=True, eq=False):
    """A detached step ended, perhaps long after its request, whose ``id`` it has. ``error`` None is success."""

    model: str
    version: str
    step: str
    id: str
    seconds: float
    error: BaseException | None


class LimitReached(msgspec.Struct, frozen=True):
    """Requests wait for a step that its default limit holds at one at a time; told once per step."""

    model: str
    step: str
    limit: int


class StepWarmed(msgspec.Struct, frozen=True):
    """A step was called once before its model is ready; ``reason``: why that failed, where zeros did not suit it."""

    model: str
    version: str
    step: str
    seconds: float
    reason: str | None


class ModelLoaded(msgspec.Struct, frozen=True):
    model: str
    version: str
    seconds: float


class ModelFailed(msgspec.Struct, frozen=True, eq=False):
    """``version`` is empty where the failure is that of a name, under which nothing could be found."""

    model: str
    version: str
    error: BaseException


class ModelNotClosed(msgspec.Struct, frozen=True, eq=False):
    """A step's ``close`` failed; the model is gone all the same."""

    model: str
    version: str
    error: BaseException


class ModelUnloaded(msgspec.Struct, frozen=True):
    """It has answered its last request and is closed. ``replaced``: another of its name is served."""

    model: str
    version: str
    replaced: bool


class RemoteTurned(msgspec.Struct, frozen=True):
    """The server that a step counts on became ready, or is so no more: then ``reason`` says why, with its URL."""

    model: str
    version: str
    step: str
    reason: str | None


class ModelTurned(msgspec.Struct, frozen=True):
    """A model that says itself whether it is healthy became so, or is so no more: then ``reason`` says why."""

    model: str
    version: str
    step: str
    reason: str | None


Event = (
    RequestDone
    | DetachedDone
    | LimitReached
    | StepWarmed
    | ModelLoaded
    | ModelFailed
    | ModelNotClosed
    | ModelUnloaded
    | RemoteTurned
    | ModelTurned
)
Observer = Callable[[Event], None]
