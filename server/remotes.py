"""``check --remotes``: what the servers that graphs call tell of their models, compared along the edges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import trio

from pipeline.blueprint import Blueprint
from pipeline.errors import InferError
from pipeline.graph.agree import check_edges
from pipeline.graph.edges import Interfaces
from pipeline.graph.interface import Parameter
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.steps.catalog import Home
from pipeline.tensors.signature import Signature

Learn = Callable[[StepSpec, Home], Awaitable[Signature | None]]
"""What a step kind offers as ``learn``, beside what every kind does, where its steps are other servers."""
# Longer than any metadata takes that is there, and short enough to wait for.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Compared:
    """``drawn``: the blueprints with what was learned; ``notes``: what is told beside faults, and is none."""

    drawn: list[Blueprint]
    faults: Sequence[Fault]
    notes: Sequence[Fault]


def compared(drawn: Sequence[Blueprint]) -> Compared:
    """Asks every server at once, each for some seconds."""
    told = trio.run(_asked, drawn)
    learned: list[Blueprint] = []
    faults: list[Fault] = []
    notes: list[Fault] = []
    for own in drawn:
        found: dict[str, Signature] = {}
        for step in own.graph.steps:
            match told.get((id(own), step.name)):
                case Signature() as signature:
                    found[step.name] = signature
                case str() as reason:
                    notes.append(Fault(step.at(step.action), f'note: step "{step.name}": {reason}'))
        wrong, odd, interfaces = disagreements(own, found)
        faults += wrong
        notes += odd
        learned.append(replace(own, interfaces=interfaces))
    return Compared(learned, faults, notes)


def disagreements(own: Blueprint, found: Mapping[str, Signature]) -> tuple[list[Fault], list[Fault], Interfaces]:
    """(faults, notes, interfaces) with the signatures of these steps; pure.

    Datatypes and dimensions that disagree are faults. Names are notes: metadata may lack a tensor, and many servers
    take one under any name.
    """
    faults: list[Fault] = []
    notes: list[Fault] = []
    interfaces = dict(own.interfaces)
    seen: set[Fault] = set()
    for step, signature in found.items():
        source = f'; so says the metadata of the server that step "{step}" calls'
        interface = interfaces[step]
        # With names alone first: what does not fit then are the names.
        interfaces[step] = replace(interface, gives=dict.fromkeys(signature.outputs) or None)
        odd = [fault for fault in _faults(own, interfaces) if fault not in seen]
        takes = tuple(Parameter(name, spec=spec, required=False) for name, spec in signature.inputs.items())
        interfaces[step] = replace(interface, parameters=takes, gives=dict(signature.outputs) or None)
        wrong = [fault for fault in _faults(own, interfaces) if fault not in seen and fault not in odd]
        notes += [Fault(fault.place, f"note: {fault.message}{source}") for fault in odd]
        faults += [Fault(fault.place, fault.message + source) for fault in wrong]
        seen.update(odd, wrong)
    return faults, notes, interfaces


def _faults(own: Blueprint, interfaces: Interfaces) -> list[Fault]:
    faults: list[Fault] = []
    check_edges(own.graph, interfaces, faults)
    return faults


async def _asked(drawn: Sequence[Blueprint]) -> Mapping[tuple[int, str], Signature | str]:
    """By blueprint and step: what its server told, or why it did not. Cancelled, every connection is closed."""
    told: dict[tuple[int, str], Signature | str] = {}

    async def ask(own: Blueprint, step: StepSpec, learn: Learn) -> None:
        told[id(own), step.name] = await _told(learn, step, own.home)

    async with trio.open_nursery() as nursery:
        for own in drawn:
            for step in own.graph.steps:
                if (learn := getattr(own.kinds[step.action], "learn", None)) is not None:
                    nursery.start_soon(ask, own, step, cast("Learn", learn))
    return told


async def _told(learn: Learn, step: StepSpec, home: Home) -> Signature | str:
    with trio.move_on_after(_PATIENCE):
        try:
            return await learn(step, home) or "the protocol of its server has no metadata to compare with"
        except (InferError, ValueError) as error:
            return f"its server told nothing of its model: {error}"
    return f"its server told nothing of its model within {_PATIENCE:.0f} s"
