"""A graph compiled for the outputs that a request asks for: what to run, in which order, bound to what.

Everything that is the same for every request is decided here, once: chains are laid out as stages, so that a step in
the middle of one costs no scheduling, and each step knows where its inputs come from and who reads them last.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.graph.dag import Graph, needed_by, readings_of
from pipeline.graph.edges import Interfaces, fed_parameter
from pipeline.graph.phases import phases
from pipeline.graph.spec import HEADERS, PARAMETERS, REQUEST, Reference, StepSpec

# Sources that are no step; steps are numbered from 0.
FROM_REQUEST, FROM_HEADERS, FROM_PARAMETERS = -1, -2, -3
_NO_STEP = {REQUEST: FROM_REQUEST, HEADERS: FROM_HEADERS, PARAMETERS: FROM_PARAMETERS}


@dataclass(frozen=True, slots=True)
class Pick:
    """One thing a step reads. ``to``: the parameter it is bound to (None: it keeps its own name).

    ``tensor`` None is all that the source has. ``required``: its absence is the caller's error.
    """

    source: int
    tensor: str | None
    to: str | None
    required: bool
    reference: Reference


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps in a row between which nothing else can start.

    ``hops`` groups them: neighbours in one group are synchronous and share one thread; any other step is alone.
    """

    hops: tuple[tuple[int, ...], ...]
    waits: int
    dependents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """``readers[i]`` counts who reads step i's outputs (the answer included); at 0 they are dropped.

    ``parts``: the name of each step, and the part it plays (``phases``).
    ``forks``: some stages can run beside each other; ``line``: where none can, the hops of all of them in their order.
    ``shares``: some outputs have several readers.
    ``whole[i]`` is the one source a step reads entirely (the common case: its mapping is passed on untouched), or None;
    ``answer_whole`` the one that the answer is.
    ``detached``: the steps that nobody waits for; they come last in ``steps``, and stand in no stage.
    """

    steps: tuple[StepSpec, ...]
    parts: tuple[tuple[str, str], ...]
    picks: tuple[tuple[Pick, ...], ...]
    whole: tuple[int | None, ...]
    readers: tuple[int, ...]
    sources: tuple[tuple[int, ...], ...]
    stages: tuple[Stage, ...]
    start: tuple[int, ...]
    answer: tuple[Pick, ...]
    answer_whole: int | None
    forks: bool
    line: tuple[tuple[int, ...], ...]
    shares: bool
    detached: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a step runs, as far as the layout of stages depends on it. ``alone``: it shares no thread with another."""

    threaded: bool
    alone: bool


def compile_plan(
    graph: Graph, interfaces: Interfaces, manners: Mapping[str, Manner], wanted: Sequence[Reference]
) -> Plan:
    """The plan that computes what is ``wanted`` and what that needs, nothing else.

    Detached steps whose inputs are all among that join it.
    """
    needed = needed_by(graph.reads, wanted)
    waited = [step for step in graph.steps if step.name in needed]
    joining = [step for step in graph.steps if step.detached and set(graph.reads[step.name]) <= needed]
    steps = (*waited, *joining)
    played = phases(graph)
    number = {step.name: position for position, step in enumerate(steps)}
    picks = tuple(_picks(step, number, interfaces) for step in steps)
    sources = tuple(tuple(sorted({pick.source for pick in own if pick.source >= 0})) for own in picks)
    answer = tuple(Pick(number[reference.source], reference.name, None, True, reference) for reference in wanted)
    readers = [0] * len(steps)
    for own in (*sources, {pick.source for pick in answer}):
        for source in own:
            readers[source] += 1
    stages = _stages(sources[: len(waited)], [manners[step.name] for step in waited])
    start = tuple(position for position, stage in enumerate(stages) if stage.waits == 0)
    forks = len(start) > 1 or any(len(stage.dependents) > 1 for stage in stages)
    return Plan(
        steps=steps,
        parts=tuple((step.name, played[step.name]) for step in steps),
        picks=picks,
        whole=tuple(_whole(own) for own in picks),
        readers=tuple(readers),
        sources=sources,
        stages=stages,
        start=start,
        answer=answer,
        answer_whole=_whole(answer),
        shares=any(count > 1 for count in readers),
        forks=forks,
        line=() if forks else tuple(hop for stage in stages for hop in stage.hops),
        detached=tuple(range(len(waited), len(steps))),
    )


def _picks(step: StepSpec, number: Mapping[str, int], interfaces: Interfaces) -> tuple[Pick, ...]:
    interface = interfaces[step.name]
    keyed = readings_of(step)
    picks = []
    for to, reference in keyed:
        source = number[reference.source] if reference.source in number else _NO_STEP[reference.source]
        parameter = fed_parameter(interface, to or reference.name or "", alone=len(keyed) == 1)
        required = parameter.required if parameter else not interface.takes_all
        picks.append(Pick(source, reference.name, to, required, reference))
    return tuple(picks)


def _whole(picks: tuple[Pick, ...]) -> int | None:
    match picks:
        case (Pick(source, None, None),):
            return source
        case _:
            return None


def _stages(sources: tuple[tuple[int, ...], ...], manners: list[Manner]) -> tuple[Stage, ...]:
    """Steps are joined to the one before them where that can never delay or reorder anything else."""
    dependents: list[set[int]] = [set() for _ in sources]
    ancestors: list[int] = []  # a bit per step: sets of thousands of steps would be millions of entries
    for step, own in enumerate(sources):
        for source in own:
            dependents[source].add(step)
        ancestors.append(_bits(own) | functools.reduce(operator.or_, (ancestors[source] for source in own), 0))
    chains: list[list[int]] = []
    chain_of: dict[int, int] = {}
    for step, own in enumerate(sources):
        before = own[-1] if own else None  # the others can only stand before it
        if before is not None and dependents[before] == {step} and not _bits(own[:-1]) & ~ancestors[before]:
            chain_of[step] = chain_of[before]
            chains[chain_of[step]].append(step)
        else:
            chain_of[step] = len(chains)
            chains.append([step])
    after: list[set[int]] = [set() for _ in chains]
    waits = [0] * len(chains)
    for chain, members in enumerate(chains):
        for source in sources[members[0]]:
            after[chain_of[source]].add(chain)
        waits[chain] = len({chain_of[source] for source in sources[members[0]]})
    return tuple(
        Stage(_hops(members, manners), waits[chain], tuple(sorted(after[chain])))
        for chain, members in enumerate(chains)
    )


def _bits(steps: Iterable[int]) -> int:
    return sum(1 << step for step in steps)


def _hops(members: list[int], manners: list[Manner]) -> tuple[tuple[int, ...], ...]:
    """Adjacent synchronous steps share one thread, but for those that are to be alone."""
    hops: list[tuple[int, ...]] = []
    shared = False
    for step in members:
        can_share = manners[step].threaded and not manners[step].alone
        if can_share and shared:
            hops[-1] = (*hops[-1], step)
        else:
            hops.append((step,))
        shared = can_share
    return tuple(hops)
