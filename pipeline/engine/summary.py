"""What is told of one request that has left its graph: which steps ran, and how long; pure."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.engine.run import Run
from pipeline.engine.step import Context
from pipeline.observe import Span

Part = tuple[str, str]
"""A step's name, and the part it plays."""


def spans(run: Run, parts: Sequence[Part], context: Context) -> Sequence[Span]:
    """``parts``: those of the plan's steps, in its order. What has hooks is told as these."""
    return context.tally.told([Span(*parts[step], began, ended) for step, began, ended in run.spans])
