"""What is told of one request that has left its graph: which steps ran, how long, and what they called; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.engine.run import Run
from pipeline.engine.step import Context
from pipeline.graph.plan import Plan
from pipeline.observe import HandleCalls, Span


def spans(plan: Plan, run: Run, phases: Mapping[str, str], context: Context) -> Sequence[Span]:
    """``phases``: step name → the part it plays. What has hooks is told as these."""
    names = [step.name for step in plan.steps]
    return [
        span
        for number, began, ended in run.spans
        for span in context.tally.spans(names[number], phases[names[number]], began, ended)
    ]


def handle_calls(context: Context) -> Sequence[HandleCalls]:
    return [HandleCalls(*who, *how_often) for who, how_often in context.tally.calls.items()]
