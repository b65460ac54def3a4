"""A spec's steps as a networkx graph: references resolved, and every fault that the shape alone can have.

The way back too: a networkx graph written in Python becomes the same located values that a file becomes, so that one
reader and one set of checks serve both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx

from pipeline.graph.read import declare
from pipeline.graph.source import Entry, Fault, Table
from pipeline.graph.spec import HEADERS, PARAMETERS, REQUEST, GraphSpec, Reference, Step, StepSpec
from pipeline.graph.words import listed, meant


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph whose references all lead somewhere.

    ``dag`` has the steps' names as nodes, the declaration of each as its attribute ``step``, and an edge for every
    reading; ``steps`` are in an order in which each stands after what it reads, ties as they were declared.
    """

    spec: GraphSpec
    dag: nx.DiGraph[str]
    steps: tuple[StepSpec, ...]
    output: tuple[Reference, ...]


def connect(spec: GraphSpec, faults: list[Fault]) -> Graph | None:
    """The graph of the spec; what is wrong with its shape is appended to ``faults``, and then there is none."""
    before = len(faults)
    steps = _with_inputs(spec.steps)
    names = [step.name for step in steps]
    for step in steps:
        for reference in step.references:
            _resolve(reference, f'step "{step.name}" reads', names, faults)
    output = spec.output or ((Reference(names[-1], None, steps[-1].place),) if steps else ())
    for reference in output:
        if reference.source in (REQUEST, HEADERS, PARAMETERS):
            faults.append(Fault(reference.place, f'output is "{reference}": the answer is a step, not what was asked'))
        else:
            _resolve(reference, "output is", names, faults)
    if len(faults) > before or not steps:
        return None
    dag = _digraph(steps)
    _refuse_cycles(dag, steps, faults)
    _refuse_unused(dag, steps, output, faults)
    if len(faults) > before:
        return None
    declared = {name: position for position, name in enumerate(names)}
    by_name = {step.name: step for step in steps}
    order = nx.lexicographical_topological_sort(dag, key=declared.__getitem__)
    return Graph(spec, dag, tuple(by_name[name] for name in order), output)


def _with_inputs(steps: tuple[StepSpec, ...]) -> list[StepSpec]:
    """Each step reads the one above it unless it says otherwise; the first reads the request."""
    wired: list[StepSpec] = []
    above = REQUEST
    for step in steps:
        inputs = step.inputs if step.inputs is not None else (Reference(above, None, step.place),)
        wired.append(dataclasses.replace(step, inputs=inputs))
        above = step.name
    return wired


def _resolve(reference: Reference, what: str, names: list[str], faults: list[Fault]) -> None:
    if reference.source not in (*names, REQUEST, HEADERS, PARAMETERS):
        message = f'{what} "{reference}": no such step{meant(reference.source, [*names, REQUEST])}'
        faults.append(Fault(reference.place, message))


def _digraph(steps: list[StepSpec]) -> nx.DiGraph[str]:
    dag: nx.DiGraph[str] = nx.DiGraph()
    for step in steps:
        dag.add_node(step.name, step=_declaration(step))
    for step in steps:
        match step.inputs:
            case Mapping():
                readings = list(step.inputs.items())
            case inputs:
                readings = [("", reference) for reference in inputs or ()]
        for to, reference in readings:
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
        timeout=None if step.timeout is None else f"{step.timeout:.9g}s",
        limit=step.limit,
        queue=step.queue,
        place=step.where,
    )


def _refuse_cycles(dag: nx.DiGraph[str], steps: list[StepSpec], faults: list[Fault]) -> None:
    places = {step.name: step.at("inputs") for step in steps}
    for knot in nx.strongly_connected_components(dag):
        if len(knot) == 1 and not any(dag.has_edge(name, name) for name in knot):
            continue
        start = min(knot, key=list(places).index)
        path = [edge[0] for edge in nx.find_cycle(dag.subgraph(knot), start)]
        faults.append(Fault(places[path[0]], f"steps read each other in a cycle: {' → '.join([*path, path[0]])}"))


def _refuse_unused(
    dag: nx.DiGraph[str], steps: list[StepSpec], output: tuple[Reference, ...], faults: list[Fault]
) -> None:
    answers = {reference.source for reference in output}
    used = answers.union(*(nx.ancestors(dag, answer) for answer in answers))
    for step in steps:
        if step.name not in used:
            message = f'step "{step.name}" is used by nothing: the answer, {listed(sorted(answers))}, does not need it'
            faults.append(Fault(step.place, message))


# ---- a graph written in Python


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value of a Python graph stands, for faults: its node, its edge, or the pipeline."""

    text: str

    def __str__(self) -> str:
        return self.text


def declared(name: str, dag: nx.DiGraph[str], top: Mapping[str, Any], faults: list[Fault]) -> Table:
    """A Python graph as located values: nodes' ``step`` attributes, and edges (``tensor``, ``to``) as their inputs.

    ``top`` holds the other top-level keys. The answer is the only node that nothing reads, unless ``top`` has
    ``output``.
    """
    here = Spot(f'pipeline "{name}"')
    steps: dict[str, Any] = {}
    for node, attributes in dag.nodes(data=True):
        spot = Spot(f'node "{node}"')
        match attributes.get("step"):
            case Step() as step:
                steps[str(node)] = _wired(str(node), step, dag, spot, faults)
            case other:
                message = f"its attribute step is a Step, not a {type(other).__name__}: add_node(name, step=Step(…))"
                faults.append(Fault(spot, message))
    values: dict[str, Any] = {"name": name, **top}
    sinks = [str(node) for node, degree in dag.out_degree() if degree == 0]
    if "output" not in values and len(sinks) > 1:
        faults.append(Fault(here, f"nothing reads {listed(sinks)}: say which one is the answer, output=…"))
        values["output"] = sinks
    elif "output" not in values and sinks:
        values["output"] = sinks[0]
    inner = declare(steps, here, lambda node: Spot(f'node "{node}"'))
    return Table((*declare(values, here).entries, Entry("steps", here, inner)), here)


def _wired(name: str, step: Step, dag: nx.DiGraph[str], spot: Spot, faults: list[Fault]) -> dict[str, Any]:
    keys = step.declared()
    edges = [(str(source), attributes) for source, _, attributes in dag.in_edges(name, data=True)]
    if "inputs" not in keys:
        keys["inputs"] = _inputs_of(edges, spot, faults)
        return keys
    text = keys["inputs"]
    references = [text] if isinstance(text, str) else list(text.values() if isinstance(text, Mapping) else text)
    read = {str(reference).partition(".")[0] for reference in references} - {REQUEST, HEADERS, PARAMETERS}
    if read != {source for source, _ in edges}:
        come = listed(sorted(source for source, _ in edges)) if edges else "no node"
        faults.append(Fault(spot, f"its inputs read {listed(sorted(read)) or 'no node'}, its edges come from {come}"))
    return keys


def _inputs_of(edges: Sequence[tuple[str, Mapping[str, Any]]], spot: Spot, faults: list[Fault]) -> Any:
    if not edges:
        return REQUEST
    references = [(attributes.get("to"), _reference(source, attributes)) for source, attributes in edges]
    if not any(to for to, _ in references):
        return [reference for _, reference in references]
    if all(to for to, _ in references):
        return dict(references)
    faults.append(Fault(spot, "some of its edges say to=… and some do not; say it on all of them"))
    return [reference for _, reference in references]


def _reference(source: str, attributes: Mapping[str, Any]) -> str:
    return f"{source}.{attributes['tensor']}" if attributes.get("tensor") else source
