"""``warmup``: one call of a step before its model is ready, so that no caller waits for what is made at the first.

With zeros, where its model or the graph's schema tells what it takes; or with a request from a file that it names.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from pipeline.engine.place import alone
from pipeline.engine.step import Context, OpenStep
from pipeline.engine.thread_pool import ThreadPool
from pipeline.errors import InferError, told
from pipeline.graph.dag import Graph, needed_by
from pipeline.graph.edges import Interfaces
from pipeline.graph.reaching import reaching
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.tensors.message import InferRequest, Verb
from pipeline.tensors.sample import sample
from pipeline.tensors.signature import Expectation, Signature, TensorSpec
from pipeline.tensors.tensor import Raw, Value
from pipeline.wire.json_tensors import parse
from pipeline.wire.written import request_in, written_in

SECONDS = 60.0
"""What a warm-up gets: kernels are compiled within it, and whoever waits for a server waits no longer."""
# Zeros of more elements are no warm-up any more: 64 MiB of FP32.
_MOST_ELEMENTS = 2**24


class CannotWarmUp(Exception):
    """The request that a step's author gave to warm it up with failed: which, and why."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """How long the call took, and why it failed where it did."""

    seconds: float
    reason: str | None


def check_warmup(step: StepSpec, folder: Path, faults: list[Fault]) -> None:
    """Appends a fault where the file is not there, or holds no request."""
    if not isinstance(step.warmup, str):
        return
    try:
        text = (folder / step.warmup).read_bytes()
        body = parse(text)
        reason = "" if written_in(body) is not None else "is no inference request of any protocol"
    except InferError as error:
        reason = f"is no inference request: {error}"
    except (OSError, ValueError) as error:  # a NUL in the name
        reason = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if reason:
        faults.append(Fault(step.at("warmup"), f'step "{step.name}": warmup: "{step.warmup}" {reason}'))


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Warms up the steps of one graph. ``learned``: what their models told of themselves."""

    graph: Graph
    interfaces: Interfaces
    folder: Path
    opened: Mapping[str, OpenStep]
    learned: Mapping[str, Signature]
    threads: ThreadPool

    async def step(self, step: StepSpec) -> Warmed | None:
        """Calls the step once, where it is to be; None where it is not, or nothing is known of what it takes.

        Zeros may be nothing that the step was made for: a failure of them is told, no more. Raises CannotWarmUp where
        the author's own request fails. Cancelled, as the step; a thread is left to end by itself.
        """
        if step.warmup is False or (step.warmup is None and not self._by_default(step)):
            return None
        specs = self._specs(step)
        if not specs and not isinstance(step.warmup, str):
            return None
        # Megabytes of a file take long to read, and those of zeros to make; the models that serve answer meanwhile.
        given = await self.threads.run(lambda _: self._given(step, specs))
        if given is None:
            return None
        inputs, request = given
        warmed = await self._call(step, inputs, request)
        if warmed.reason is not None and isinstance(step.warmup, str):
            raise CannotWarmUp(f'step "{step.name}": warmup: "{step.warmup}" failed: {warmed.reason}')
        return warmed

    def _given(
        self, step: StepSpec, specs: Mapping[str, TensorSpec]
    ) -> tuple[Mapping[str, Value], InferRequest] | None:
        """What the step is called with, and the request that this is of; None where too little is known."""
        spec = self.graph.spec
        if isinstance(step.warmup, str):
            request = self._from_file(step, step.warmup, specs)
            return request.inputs, request
        zeros = _zeros(specs)
        if zeros is None:
            return None
        return zeros, InferRequest(model=spec.name, inputs=_zeros(spec.inputs) or zeros, id="warmup")

    def _by_default(self, step: StepSpec) -> bool:
        """A model is; other steps where they neither ask servers or other steps nor do what nobody waits for.

        What only handles call gets its inputs from code, and nobody declared those.
        """
        own = self.opened[step.name]
        within = own.where is None and own.handles is None and not step.detached and step in self.graph.planned
        return step.action == "model" or within

    def _verb(self, step: StepSpec) -> Verb:
        """What the step is asked for: an explanation only where it has part in no prediction."""
        graph = self.graph
        explains, predicts = (
            step.name in needed_by(graph.reads, graph.output.get(verb, ())) for verb in ("explain", "predict")
        )
        return "explain" if explains and not predicts else "predict"

    async def _call(self, step: StepSpec, inputs: Mapping[str, Value], request: InferRequest) -> Warmed:
        # The step's own timeout is for a step that is warm.
        own = replace(self.opened[step.name], timeout=None)
        start, reason = time.perf_counter(), None
        with trio.move_on_after(SECONDS) as scope:
            try:
                context = Context(request, scope.deadline, self._verb(step), trio.lowlevel.current_clock())
                outputs = await alone(own, inputs, context, self.threads)
                for value in outputs.values():
                    await _closed(value)
            except Exception as error:  # noqa: BLE001  # a library's or the author's; told, and judged by who asks
                reason = told(error)
        if scope.cancelled_caught:
            reason = f"it took longer than {SECONDS:.0f} s"
        return Warmed(time.perf_counter() - start, reason)

    def _from_file(self, step: StepSpec, file: str, specs: Mapping[str, TensorSpec]) -> InferRequest:
        parameters = self.interfaces[step.name].parameters
        known = [own.name for own in parameters if own.required] or [own.name for own in parameters]
        only = next(iter(specs)) if len(specs) == 1 else known[0] if len(known) == 1 else None
        spec = self.graph.spec
        try:
            text = (self.folder / file).read_bytes()
            description = written_in(parse(text))
            expectation = Expectation(Signature(specs), only_input=only)
            request = description and request_in(description, text, spec.name, spec.version, expectation)
        except (OSError, InferError) as error:
            raise CannotWarmUp(f'step "{step.name}": warmup: "{file}": {told(error)}') from error
        if not request:
            raise CannotWarmUp(f'step "{step.name}": warmup: "{file}" is no inference request of any protocol')
        return request

    def _specs(self, step: StepSpec) -> Mapping[str, TensorSpec]:
        """What the step takes: by what its model told, or by the schema; else by annotations, for who asked for it."""
        learned = self.learned.get(step.name, Signature()).inputs
        if step.action == "model" and learned:
            return learned
        found = reaching(step, self.graph, self.interfaces, self.learned)
        if found or not step.warmup:
            return found
        return learned or {own.name: own.spec for own in self.interfaces[step.name].parameters if own.spec is not None}


def _zeros(specs: Mapping[str, TensorSpec]) -> Mapping[str, Value] | None:
    return sample(Expectation(Signature(specs)), most=_MOST_ELEMENTS) if specs else None


async def _closed(value: object) -> None:
    match value:
        case Raw(data) if hasattr(data, "aclose"):
            await data.aclose()
