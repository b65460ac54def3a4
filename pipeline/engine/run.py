"""One request's way through a plan, without I/O: what is ready, what each step reads, what can be dropped.

The driver asks ``start``, runs each stage's steps (``inputs`` … ``put``), tells ``done``, and takes ``result``. Knows
no clock, no task and no protocol. ``inputs`` and ``put`` may be called in any thread, in several at once; ``start``,
``done`` and ``result`` belong to the loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.graph.plan import FROM_HEADERS, FROM_PARAMETERS, FROM_REQUEST, Pick, Plan
from pipeline.observe import Span
from pipeline.tensors.forms import Bound
from pipeline.tensors.message import InferRequest
from pipeline.tensors.tensor import Json, Value

# What stands in the place of a step's values while it runs, and once nobody reads them any more.
_BEGUN: Mapping[str, Value] = MappingProxyType({})
_READ: Mapping[str, Value] = MappingProxyType({})


class Run:
    """The state of one request: values by step, and how many readers and predecessors are still to come."""

    __slots__ = ("_plan", "_readers", "_request", "_values", "_waits", "spans")

    def __init__(self, plan: Plan, request: InferRequest) -> None:
        self._plan = plan
        self._request = request
        # By step, which any thread may set.
        self._values: list[Mapping[str, Value] | None] = [None] * len(plan.steps)
        # One token fewer than a step has readers: who finds none left is the last. A list's pop is atomic, and readers
        # may be in several threads.
        self._readers = [[None] * (count - 1) for count in plan.readers] if plan.shares else None
        self._waits = [stage.waits for stage in plan.stages] if plan.forks else None
        self.spans: list[Span] = []
        """Of the steps that ended, well or not, in that order."""

    def start(self) -> tuple[int, ...]:
        """The stages that can run at once."""
        return self._plan.start

    def inputs(self, step: int) -> Mapping[str, Bound]:
        """What the step reads, once: values that nothing else will read are dropped here.

        Raises InvalidInput where the request lacks something, WrongAnswer where a step does.
        """
        self._values[step] = _BEGUN
        source = self._plan.whole[step]
        if source is None:
            gathered = self._gathered(step)
            for read in self._plan.sources[step]:
                self._drop(read)
            return gathered
        if source < 0:
            return self._request.inputs
        values = self._values[source] or self._of(source)
        if self._readers is None:
            self._values[source] = _READ
        else:
            self._drop(source)
        return values

    def has(self, steps: Iterable[int]) -> bool:
        """Whether all of them ended well. Told of steps whose outputs somebody has still to read."""
        return all(map(self._is_done, steps))

    def _is_done(self, step: int) -> bool:
        values = self._values[step]
        return values is not None and values is not _BEGUN

    def put(self, step: int, outputs: Mapping[str, Value], start: float, end: float) -> None:
        """The step ended well; ``start`` and ``end`` in seconds of the driver's clock."""
        self._values[step] = outputs
        name, phase = self._plan.parts[step]
        self.spans.append(Span(name, phase, start, end))

    def ended(self, step: int, start: float, end: float) -> None:
        """The step failed or was cancelled: it has no outputs, and took its time all the same."""
        name, phase = self._plan.parts[step]
        self.spans.append(Span(name, phase, start, end))

    def under_way(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(steps that have begun and did not end well, steps that have all they read and have not begun)."""
        values, sources = self._values, self._plan.sources
        awaited = range(len(values) - len(self._plan.detached))
        running = tuple(step for step in awaited if values[step] is _BEGUN)
        return running, tuple(step for step in awaited if values[step] is None and self.has(sources[step]))

    def done(self, stage: int) -> tuple[int, ...]:
        """The stages that can run now that this one has ended."""
        dependents = self._plan.stages[stage].dependents
        if self._waits is None:
            return dependents
        ready = []
        for dependent in dependents:
            self._waits[dependent] -= 1
            if not self._waits[dependent]:
                ready.append(dependent)
        return tuple(ready)

    def result(self) -> Mapping[str, Value]:
        """The outputs of the plan, by name. Raises WrongAnswer where two outputs have one name."""
        source = self._plan.answer_whole
        if source is None:
            return self._merged(self._plan.answer, "the answer")
        return self._values[source] or self._of(source)

    def _drop(self, source: int) -> None:
        """One reader of that step has read it; the last one's reading drops its values."""
        if self._readers is not None:
            try:
                self._readers[source].pop()
            except IndexError:
                pass
            else:
                return
        self._values[source] = _READ

    def _gathered(self, step: int) -> Mapping[str, Bound]:
        picks = self._plan.picks[step]
        what = f'step "{self._plan.steps[step].name}"'
        named = all(pick.to is not None for pick in picks)
        return self._named(picks, what) if named else self._merged(picks, what)

    def _named(self, picks: tuple[Pick, ...], what: str) -> Mapping[str, Bound]:
        found = ((pick.to, self._all_of(pick) if pick.tensor is None else self._picked(pick, what)) for pick in picks)
        return {to: value for to, value in found if value is not None and to is not None}

    def _all_of(self, pick: Pick) -> Bound:
        values = self._of(pick.source)
        if len(values) == 1:
            return next(iter(values.values()))
        return values

    def _merged(self, picks: tuple[Pick, ...], what: str) -> Mapping[str, Value]:
        merged: dict[str, Value] = {}
        for pick in picks:
            if pick.tensor is None:
                found: Mapping[str, Value] = self._of(pick.source)
            else:
                value = self._picked(pick, what)
                found = {} if value is None else {pick.tensor: value}
            for name in found.keys() & merged.keys():
                clash = f'{what} gets the tensor "{name}" twice, the second from {pick.reference}'
                # The caller names the tensors of a request that is read whole, the author those of steps.
                named_by_caller = name in self._request.inputs and any(
                    own.source == FROM_REQUEST and own.tensor is None for own in picks
                )
                raise (InvalidInput if named_by_caller else WrongAnswer)(clash)
            merged |= found
        return merged

    def _of(self, source: int) -> Mapping[str, Value]:
        values = self._request.inputs if source == FROM_REQUEST else self._values[source]
        if values is None or values is _BEGUN or values is _READ:
            raise AssertionError(f"step {source} is read before it is done")
        return values

    def _picked(self, pick: Pick, what: str) -> Value | None:
        name = str(pick.tensor)
        match pick.source:
            case source if source >= 0:
                values = self._of(source)
                if name not in values:
                    has = ", ".join(f'"{have}"' for have in values)
                    raise WrongAnswer(f'{what} reads "{pick.reference}", and there is only {has}')
                return values[name]
            case source if source == FROM_REQUEST:
                found: Value | None = self._request.inputs.get(name)
            case source if source == FROM_HEADERS:
                text = self._request.headers.get(name)
                found = None if text is None else Json(text)
            case source if source == FROM_PARAMETERS:
                parameters = self._request.parameters
                found = Json(parameters[name]) if name in parameters else None
            case _:
                raise AssertionError(f"no source {pick.source}")
        if found is None and pick.required:
            kind = {FROM_HEADERS: "header", FROM_PARAMETERS: "parameter"}.get(pick.source, "input")
            raise InvalidInput(f'{kind} "{name}" is missing; {what} reads it')
        return found
