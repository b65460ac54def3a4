"""A spec's steps as a graph: references resolved, every fault that its shape alone can have; and as networkx has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.graph.circles import circles
from pipeline.graph.detached import refuse_never, refuse_waiting
from pipeline.graph.handles import handled
from pipeline.graph.order import in_order, with_all_before
from pipeline.graph.source import Fault
from pipeline.graph.spec import REQUEST, RESERVED, UNREAD, GraphSpec, Reference, Step, StepSpec
from pipeline.graph.words import listed, meant, near

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph whose references all lead somewhere, unless a fault says otherwise.

    ``reads``: step → the steps that it reads; ``steps`` are in an order in which each stands after those, ties as they
    were declared.
    ``output``: verb → what it answers with, for the verbs that the graph has; predict is one of them. ``planned`` are
    the steps that some request runs by itself; what is not among them runs when a handle calls it.
    """

    spec: GraphSpec
    reads: Mapping[str, Collection[str]]
    steps: tuple[StepSpec, ...]
    output: Mapping[str, tuple[Reference, ...]]
    planned: tuple[StepSpec, ...]

    @property
    def dag(self) -> nx.DiGraph[str]:
        """Made anew for networkx: the steps' names as nodes, each one's declaration as its attribute ``step``, and an
        edge for every reading.
        """
        return _digraph(_with_inputs(self.spec.steps))


def connect(spec: GraphSpec, faults: list[Fault]) -> Graph:
    """The graph of the spec; what is wrong with its shape is appended to ``faults``.

    A graph with faults is good for finding more of them, never for running: its steps may be as they were declared.
    """
    steps = _with_inputs(spec.steps)
    output = {"predict": _last(steps, spec.output), **spec.output}
    names = [step.name for step in steps]
    readings = [
        (_resolved(reference, f'step "{step.name}" reads', [*names, *RESERVED], faults), step.name)
        for step in steps
        for reference in step.references
    ]
    answers = [_resolved_answer(reference, names, faults) for own in output.values() for reference in own]
    handles = handled(steps, names, faults)
    told = len(faults)
    refuse_waiting(steps, (reference for own in output.values() for reference in own), faults)
    # What is read in vain stands where something else was meant.
    in_vain = len(faults) > told
    order = {name: position for position, name in enumerate(names)}
    edges = [(reference.source, step.name) for step in steps for reference in step.references]
    edges = [edge for edge in edges if edge[0] in order]
    reads = _sources(edges, order)
    ordered = in_order(edges, order)
    knots = _refuse_cycles(edges, steps, faults) if ordered is None else set[str]()
    needed = {verb: needed_by(reads, own) for verb, own in output.items()}
    sources = [source for source, _ in (*readings, *handles)]
    if not spec.is_open and not in_vain and None not in sources and None not in answers:
        roots = {str(answer) for answer in answers}
        detached = {step.name for step in steps if step.detached}
        # What a detached step that cannot start needs is told once, where it reads it.
        refuse_never(steps, names, needed, faults)
        _refuse_unused(steps, [*readings, *handles], roots, knots | detached, faults)
    runs = frozenset[str]().union(*needed.values())
    in_turn = tuple(steps[order[name]] for name in ordered or names)
    planned = tuple(step for step in in_turn if step.detached or step.name in runs)
    return Graph(spec, reads, in_turn, output, planned)


def explained(graph: Graph, steps: Collection[str]) -> Graph:
    """The graph, which explains by the last of those steps, where it says nothing of explanations itself."""
    last = next((step for step in reversed(graph.planned) if step.name in steps and not step.detached), None)
    if last is None or "explain" in graph.output:
        return graph
    answer = Reference(last.name, None, last.place)
    return dataclasses.replace(graph, output={**graph.output, "explain": (answer,)})


def needed_by(reads: Mapping[str, Collection[str]], wanted: Iterable[Reference]) -> frozenset[str]:
    """The steps that compute what is wanted: those that it names, and all that they read, however far up."""
    return with_all_before({reference.source for reference in wanted if reference.source in reads}, reads)


def readings_of(step: StepSpec) -> list[tuple[str | None, Reference]]:
    """What a step reads, with the parameter it goes to: None where tensors keep their own names."""
    match step.inputs:
        case Mapping():
            return list(step.inputs.items())
        case references:
            return [(None, reference) for reference in references or ()]


def _with_inputs(steps: tuple[StepSpec, ...]) -> list[StepSpec]:
    """Each step reads the one above it that others may wait for, unless it says otherwise; the first the request."""
    wired: list[StepSpec] = []
    above = REQUEST
    for step in steps:
        inputs = step.inputs if step.inputs is not None else (Reference(above, None, step.place),)
        wired.append(dataclasses.replace(step, inputs=inputs))
        above = above if step.detached else step.name
    return wired


def _last(steps: Sequence[StepSpec], output: Mapping[str, tuple[Reference, ...]]) -> tuple[Reference, ...]:
    """The last step that somebody waits for, among those that no other verb answers with where there are such."""
    taken = {reference.source for own in output.values() for reference in own}
    waited = [step for step in steps if not step.detached] or steps
    rest = [step for step in waited if step.name not in taken] or waited
    return tuple(Reference(step.name, None, step.place) for step in rest[-1:])


def _resolved(reference: Reference, what: str, names: Collection[str], faults: list[Fault]) -> str | None:
    """Which of the names a reference leads to or, misspelt, was meant to; None where none is near."""
    if reference.source in names:
        return reference.source
    if str(reference) in names:  # a step's name with a dot in it, which is a fault of that step
        return str(reference)
    if reference.source == UNREAD:
        return None
    message = f'{what} "{reference}": no such step{meant(reference.source, names)}'
    faults.append(Fault(reference.place, message))
    return near(reference.source, names)


def _resolved_answer(reference: Reference, names: Collection[str], faults: list[Fault]) -> str | None:
    if reference.source in RESERVED:
        faults.append(Fault(reference.place, f'output is "{reference}": the answer is a step, not what was asked'))
        return None
    return _resolved(reference, "output is", names, faults)


def _sources(edges: Iterable[tuple[str, str]], names: Iterable[str]) -> dict[str, list[str]]:
    sources: dict[str, list[str]] = {name: [] for name in names}
    for source, name in dict.fromkeys(edges):
        sources[name].append(source)
    return sources


def _digraph(steps: Iterable[StepSpec]) -> nx.DiGraph[str]:
    import networkx as nx  # noqa: PLC0415  # for who asks for such a graph: a server need not wait for it

    dag: nx.DiGraph[str] = nx.DiGraph()
    for step in steps:
        dag.add_node(step.name, **({"step": _declaration(step)} if step.action else {}))
    for step in steps:
        for to, reference in readings_of(step):
            if reference.source in dag:
                attributes = {"to": to, "tensor": reference.name}
                dag.add_edge(reference.source, step.name, **{key: text for key, text in attributes.items() if text})
    return dag


def _declaration(step: StepSpec) -> Step:
    inputs: Any = None
    match step.inputs:
        case Mapping():
            inputs = {name: str(reference) for name, reference in step.inputs.items()}
        case tuple():
            inputs = [str(reference) for reference in step.inputs]
    return Step(
        **{step.action: step.target},
        **step.options,
        inputs=inputs,
        timeout=None if step.timeout is None else f"{step.timeout!r}s",
        limit=step.limit,
        queue=step.queue,
        place=step.where,
        handles={name: str(reference) for name, reference in step.handles.items()} or None,
        each=step.each,
        detached=step.detached or None,
    )


def _refuse_cycles(edges: Sequence[tuple[str, str]], steps: Iterable[StepSpec], faults: list[Fault]) -> set[str]:
    """The steps that stand in cycles."""
    places = {step.name: step.at("inputs") for step in steps}
    knots: set[str] = set()
    for knot, way in circles(edges, {name: position for position, name in enumerate(places)}):
        faults.append(Fault(places[way[0]], f"steps read each other in a cycle: {' → '.join(way)}"))
        knots |= knot
    return knots


def _refuse_unused(
    steps: Iterable[StepSpec],
    readings: Iterable[tuple[str | None, str]],
    answers: set[str],
    others: set[str],
    faults: list[Fault],
) -> None:
    """``readings`` hold what misspelt references were meant to be, and what handles call.

    ``others`` are used like the answers: a cycle is told already, and so is all it needs; a detached step by itself.
    """
    given = list(steps)
    reads = _sources(((source, name) for source, name in readings if source), (step.name for step in given))
    used = with_all_before((*answers, *others), reads)
    for step in given:
        if step.name not in used:
            message = f'step "{step.name}" is used by nothing: the answer, {listed(sorted(answers))}, does not need it'
            faults.append(Fault(step.place, message))
