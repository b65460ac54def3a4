"""Handles: steps that others call. They are no edges: a handle makes its target used, and never computed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pipeline.graph.circles import circles
from pipeline.graph.source import Fault
from pipeline.graph.spec import RESERVED, UNREAD, Reference, StepSpec
from pipeline.graph.words import HANDLES, meant, near


def handled(steps: Sequence[StepSpec], names: Collection[str], faults: list[Fault]) -> list[tuple[str | None, str]]:
    """(target, owner) of every handle, a misspelt one as it was meant; faults are appended.

    The target is None where a fault hides which step it is. Handles in a circle are a fault too: steps could call each
    other without end.
    """
    by_name = {step.name: step for step in steps}
    found: list[tuple[str | None, str]] = []
    for step in steps:
        for name, reference in step.handles.items():
            problem = _problem(step, reference, by_name)
            if problem:
                faults.append(Fault(reference.place, f'step "{step.name}": handle "{name}" is "{reference}"{problem}'))
            target = reference.source if reference.source in by_name else near(reference.source, names)
            found.append((None if target == step.name else target, step.name))
    calls = [(owner, target) for target, owner in found if target is not None]
    order = {step.name: position for position, step in enumerate(steps)}
    for _, way in circles(calls, order):
        message = f"steps call each other through handles in a cycle: {' → '.join(way)}"
        faults.append(Fault(by_name[way[0]].at(HANDLES), message))
    return found


def _problem(step: StepSpec, reference: Reference, steps: Mapping[str, StepSpec]) -> str:
    """The end of a sentence, empty where there is nothing to say."""
    source = reference.source
    if source == UNREAD or reference.guessed:
        return ""
    if source in RESERVED:
        return ": a handle calls a step, not what was asked"
    if source not in steps:
        return f": no such step{meant(source, steps)}"
    if reference.name is not None:
        return f': a handle calls a whole step; write "{source}"'
    if source == step.name:
        return ": a step that calls itself would never end"
    if steps[source].detached:
        return ", which is detached: nobody waits for it, and a handle would"
    return ""
