"""The steps of a graph: opened in order, held to what their models tell, and warmed up before anybody asks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from pipeline.blueprint import Blueprint
from pipeline.engine.opening import Opening
from pipeline.engine.step import OpenStep
from pipeline.engine.thread_pool import ThreadPool
from pipeline.errors import noted
from pipeline.graph.each import told_of_items
from pipeline.graph.learned import require_agreement
from pipeline.graph.spec import StepSpec
from pipeline.observe import Event, StepWarmed
from pipeline.steps.catalog import harmless
from pipeline.steps.readiness import Standing
from pipeline.tensors.signature import Signature
from pipeline.warmup import WarmUp


@dataclass(frozen=True, slots=True)
class Loading:
    """Opens the steps of one graph; fills ``opened``, ``standing``, and ``learned``: what their models told."""

    drawn: Blueprint
    opening: Opening
    opened: dict[str, OpenStep]
    standing: Standing
    learned: dict[str, Signature] = field(default_factory=dict)
    certain: dict[str, Signature] = field(default_factory=dict)

    async def load(self, stack: AsyncExitStack, threads: ThreadPool, tell: Callable[[Event], None]) -> None:
        """Opens every step into ``stack``, warms up those that want it, and asks those that answer for themselves.

        Raises what the first step raises that cannot be opened, with a note that names it. Cancelled, what is open is
        in the stack.
        """
        drawn, spec = self.drawn, self.drawn.spec
        warm_up = WarmUp(drawn.graph, drawn.interfaces, drawn.home.folder, self.opened, self.learned, threads)
        for step in drawn.graph.steps:
            try:
                await self._open(step, stack)
            except Exception as error:
                noted(error, f'while opening step "{step.name}" of model "{spec.name}"')
                raise
        for step in drawn.graph.steps:
            if (warmed := await warm_up.step(step)) is not None:
                tell(StepWarmed(spec.name, spec.version, step.name, warmed.seconds, warmed.reason))
        await self.standing.look()

    async def _open(self, step: StepSpec, stack: AsyncExitStack) -> None:
        drawn = self.drawn
        home = replace(drawn.home, model=drawn.spec.name)
        with harmless(f'opening step "{step.name}"'):
            call = await stack.enter_async_context(drawn.kinds[step.action].open_step(step, home))
        self.learned[step.name] = own = told_of_items(step, call.signature)
        if call.certain:
            self.certain[step.name] = own
            require_agreement(drawn.graph, drawn.interfaces, self.certain)
        self.opened[step.name] = self.opening.step(step, call, own)
        if call.readiness is not None:
            self.standing.add(step.name, call.readiness)
