"""How the outputs that requests ask for are come by: plans, each compiled once, with the opened steps they name."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.blueprint import Blueprint
from pipeline.engine.step import OpenStep, ThreadStep
from pipeline.graph.plan import Manner, Plan, compile_plan
from pipeline.tensors.message import Verb

# One for each set of outputs asked for; callers choose the sets, so the store of them is bounded.
_MOST = 64


class Way(NamedTuple):
    """A plan; its ``steps``, opened, stand in its order."""

    plan: Plan
    steps: Sequence[OpenStep]


class Ways:
    """Those of one graph, while its steps are ``opened``."""

    def __init__(self, drawn: Blueprint, opened: Mapping[str, OpenStep]) -> None:
        self._drawn = drawn
        self._opened = opened
        self.to = functools.lru_cache(maxsize=_MOST)(self._to)
        """To what these steps give, of those that answer the verb: ``to(verb, outputs)``."""

    def forget(self) -> None:
        """Other steps are opened, or none."""
        self.to.cache_clear()

    def _to(self, verb: Verb, outputs: frozenset[str]) -> Way:
        graph, interfaces = self._drawn.graph, self._drawn.interfaces
        manners = {
            name: Manner(threaded=isinstance(step, ThreadStep), alone=bool(step.timeout or step.handles))
            for name, step in self._opened.items()
        }
        wanted = [reference for reference in graph.output[verb] if reference.source in outputs]
        plan = compile_plan(graph, interfaces, manners, wanted)
        return Way(plan, [self._opened[step.name] for step in plan.steps])
