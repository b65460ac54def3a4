"""What is told of one request that has left its graph: which steps ran, how long, and what they called; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.engine.run import Run
from pipeline.engine.step import Context
from pipeline.graph.plan import Plan
from pipeline.observe import HandleCalls, Span


def spans(plan: Plan, run: Run, phases: Mapping[str, str]) -> Sequence[Span]:
    """``phases``: step name → the part it plays."""
    names = [step.name for step in plan.steps]
    return [Span(names[number], phases[names[number]], began, ended) for number, began, ended in run.spans]


def handle_calls(context: Context) -> Sequence[HandleCalls]:
    return [HandleCalls(*who, *how_often) for who, how_often in context.tally.calls.items()]
