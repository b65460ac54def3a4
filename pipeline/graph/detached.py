"""Steps that nobody waits for: what may not read them, and plans that would never start them.

They join the plans that compute all that they read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pipeline.graph.source import Fault
from pipeline.graph.spec import RESERVED, Reference, StepSpec
from pipeline.graph.words import listed


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
    steps: Iterable[StepSpec], names: Collection[str], needed: Mapping[str, Collection[str]], faults: list[Fault]
) -> None:
    """Appends a fault for each detached step that no plan would start.

    ``names`` are those of all steps, ``needed``: verb → those it computes.
    """
    own_steps = list(steps)
    known = {*RESERVED, *(step.name for step in own_steps if not step.detached)}
    for step in own_steps:
        # What else it reads is told already.
        if not step.detached or not all(reference.source in known for reference in step.references):
            continue
        reads = {reference.source: reference for reference in step.references if reference.source in names}
        missing = [name for name in reads if not any(name in own for own in needed.values())]
        if missing:
            reason = f'it reads "{reads[missing[0]]}", which no answer needs'
            faults.append(Fault(reads[missing[0]].place, f'step "{step.name}" would never start: {reason}'))
        elif not any(set(reads) <= set(own) for own in needed.values()):
            together = listed(f'"{name}"' for name in reads)
            reason = f"no answer needs all that it reads, {together}"
            faults.append(Fault(step.at("inputs"), f'step "{step.name}" would never start: {reason}'))
