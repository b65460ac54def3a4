"""One request's way through a plan, without I/O: what is ready, what each step reads, what can be dropped.

The driver asks ``start``, runs each stage's steps (``inputs`` … ``put``), tells ``done``, and takes ``result``. Knows
no clock, no task and no protocol. ``inputs`` and ``put`` of one hop may be called in a worker thread; ``release``,
``done`` and ``result`` belong to the loop.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.graph.plan import FROM_HEADERS, FROM_PARAMETERS, FROM_REQUEST, Pick, Plan
from pipeline.tensors.forms import Bound
from pipeline.tensors.message import InferRequest
from pipeline.tensors.tensor import Json, Value


class Run:
    """The state of one request: values by step, and how many readers and predecessors are still to come."""

    __slots__ = ("_plan", "_readers", "_request", "_values", "_waits", "spans")

    def __init__(self, plan: Plan, request: InferRequest) -> None:
        self._plan = plan
        self._request = request
        self._values: list[Mapping[str, Value] | None] = [None] * len(plan.steps)
        self._readers = list(plan.readers) if plan.shares else None
        self._waits = [stage.waits for stage in plan.stages] if plan.forks else None
        self.spans: list[tuple[int, float, float]] = []
        """(step, start, end) in seconds of the driver's clock, in order of ending."""

    def start(self) -> tuple[int, ...]:
        """The stages that can run at once."""
        return self._plan.start

    def inputs(self, step: int) -> Mapping[str, Bound]:
        """What the step reads. Raises InvalidInput where the request lacks it, WrongAnswer where a step does."""
        source = self._plan.whole[step]
        if source is None:
            return self._gathered(step)
        if source >= 0:
            return self._taken(source)
        return self._request.inputs

    def put(self, step: int, outputs: Mapping[str, Value]) -> None:
        self._values[step] = outputs

    def release(self, step: int) -> None:
        """The step has its inputs: values that nothing else will read are dropped."""
        if self._readers is None:
            return
        for source in self._plan.sources[step]:
            self._readers[source] -= 1
            if not self._readers[source]:
                self._values[source] = None

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
        match self._plan.answer:
            case (Pick(source=source, tensor=None),):
                return self._values[source] or {}
            case picks:
                return self._merged(picks, "the answer")

    def _taken(self, source: int) -> Mapping[str, Value]:
        values = self._values[source]
        if values is None:
            raise AssertionError(f"step {source} is read before it is done")
        if self._plan.readers[source] == 1:
            # Its only reader has it now; nobody else looks, so this is safe in a worker thread too.
            self._values[source] = None
        return values

    def _gathered(self, step: int) -> Mapping[str, Bound]:
        picks = self._plan.picks[step]
        what = f'step "{self._plan.steps[step].name}"'
        named = all(pick.to is not None for pick in picks)
        gathered = self._named(picks, what) if named else self._merged(picks, what)
        for source in self._plan.sources[step]:
            if self._plan.readers[source] == 1:
                self._values[source] = None
        return gathered

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
                # The caller names the tensors of a request, the author those of steps.
                raise (InvalidInput if name in self._request.inputs else WrongAnswer)(clash)
            merged |= found
        return merged

    def _of(self, source: int) -> Mapping[str, Value]:
        values = self._request.inputs if source == FROM_REQUEST else self._values[source]
        if values is None:
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
