"""What stands beside the data of a graph: steps called through handles, and steps that nobody waits for.

Neither is an edge. A handle makes its target used and never computed; a detached step joins the plans that compute all
that it reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import networkx as nx

from pipeline.graph.source import Fault
from pipeline.graph.spec import RESERVED, UNREAD, Reference, StepSpec
from pipeline.graph.words import HANDLES, listed, meant, near


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
    calls = nx.DiGraph((owner, target) for target, owner in found if target is not None)
    order = {step.name: position for position, step in enumerate(steps)}
    for knot in nx.strongly_connected_components(calls):
        if len(knot) > 1:
            start = min(knot, key=order.__getitem__)
            path = [edge[0] for edge in nx.find_cycle(calls.subgraph(knot), start)]
            way = " → ".join([*path, path[0]])
            faults.append(Fault(by_name[start].at(HANDLES), f"steps call each other through handles in a cycle: {way}"))
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


def refuse_waiting(steps: Iterable[StepSpec], answers: Iterable[Reference], faults: list[Fault]) -> None:
    """Appends a fault for whatever reads a step that nobody waits for."""
    own = list(steps)
    detached = {step.name for step in own if step.detached}
    if own and len(detached) == len(own):
        first = own[0]
        faults.append(Fault(first.at("detached"), "every step is detached: none is left to answer"))
        return
    for step in own:
        for reference in step.references:
            if reference.source in detached and reference.source != step.name:
                message = f'step "{step.name}" reads "{reference}", which is detached: nobody waits for it'
                faults.append(Fault(reference.place, f"{message}, so there is nothing to read"))
    for reference in answers:
        if reference.source in detached:
            message = f'output is "{reference}", which is detached: nobody waits for it'
            faults.append(Fault(reference.place, f"{message}, so it can answer nothing"))


def refuse_never(
    steps: Iterable[StepSpec], dag: nx.DiGraph[str], needed: Mapping[str, Collection[str]], faults: list[Fault]
) -> None:
    """Appends a fault for each detached step that no plan would start. ``needed``: verb → the steps it computes."""
    own_steps = list(steps)
    known = {*RESERVED, *(step.name for step in own_steps if not step.detached)}
    for step in own_steps:
        # What else it reads is told already.
        if not step.detached or not all(reference.source in known for reference in step.references):
            continue
        reads = {reference.source: reference for reference in step.references if reference.source in dag}
        missing = [name for name in reads if not any(name in own for own in needed.values())]
        if missing:
            reason = f'it reads "{reads[missing[0]]}", which no answer needs'
            faults.append(Fault(reads[missing[0]].place, f'step "{step.name}" would never start: {reason}'))
        elif not any(set(reads) <= set(own) for own in needed.values()):
            together = listed(f'"{name}"' for name in reads)
            reason = f"no answer needs all that it reads, {together}"
            faults.append(Fault(step.at("inputs"), f'step "{step.name}" would never start: {reason}'))
