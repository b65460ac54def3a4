"""``check --remotes``: what the servers that graphs call tell of their models, compared along the edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import trio

from pipeline.blueprint import Blueprint
from pipeline.errors import InferError
from pipeline.graph.learned import disagreements
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.steps.catalog import Home, Learns, learner
from pipeline.tensors.signature import Signature

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
        wrong, odd, interfaces = disagreements(own.graph, own.interfaces, found)
        faults += wrong
        notes += odd
        learned.append(replace(own, interfaces=interfaces))
    return Compared(learned, faults, notes)


async def _asked(drawn: Sequence[Blueprint]) -> Mapping[tuple[int, str], Signature | str]:
    """By blueprint and step: what its server told, or why it did not. Cancelled, every connection is closed."""
    told: dict[tuple[int, str], Signature | str] = {}

    async def ask(own: Blueprint, step: StepSpec, kind: Learns) -> None:
        told[id(own), step.name] = await _told(kind, step, own.home)

    async with trio.open_nursery() as nursery:
        for own in drawn:
            for step in own.graph.steps:
                if (kind := learner(own.kinds[step.action])) is not None:
                    nursery.start_soon(ask, own, step, kind)
    return told


async def _told(kind: Learns, step: StepSpec, home: Home) -> Signature | str:
    with trio.move_on_after(_PATIENCE):
        try:
            return await kind.learn(step, home) or "the protocol of its server has no metadata to compare with"
        except (InferError, ValueError) as error:
            return f"its server told nothing of its model: {error}"
    return f"its server told nothing of its model within {_PATIENCE:.0f} s"
