"""A graph written in Python → the located values that a file becomes: one reader and one set of checks serve both.

A place is the name of a node or of the pipeline. Knows the attributes of networkx nodes and edges, and no faults but
theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.graph.source import Entry, Fault, Items, Node, Scalar, Table
from pipeline.graph.spec import REQUEST, RESERVED, Step
from pipeline.graph.words import listed, near

if TYPE_CHECKING:
    import networkx as nx

_EDGE_KEYS = frozenset({"tensor", "to"})


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value of a Python graph stands, for faults: its node, or the pipeline."""

    text: str

    def __str__(self) -> str:
        return self.text


def declared(name: str, dag: nx.Graph[str], top: Mapping[str, Any], faults: list[Fault]) -> Table:
    """A Python graph as located values: nodes' ``step`` attributes, and edges (``tensor``, ``to``) as their inputs.

    ``top`` holds the other top-level keys. The answer is the only node that nothing reads or calls and that is not
    detached, unless ``top`` has ``output``.
    """
    import networkx as nx  # noqa: PLC0415  # whoever has such a graph has imported it

    here = Spot(f'pipeline "{name}"')
    if not isinstance(dag, nx.DiGraph):
        fault = Fault(here, f"its graph is a networkx.DiGraph, not a {type(dag).__name__}")
        return Table((Entry("steps", here, Table((Entry("graph", here, Scalar(fault, here)),), here)),), here)
    steps = []
    for node, attributes in dag.nodes(data=True):
        spot = Spot(f'node "{node}"')
        steps.append(Entry(str(node), spot, _step(node, attributes.get("step"), dag, spot, faults)))
    values: dict[str, Any] = {"name": name, **top}
    sinks = _sinks(dag)
    if "output" not in values and len(sinks) > 1:
        faults.append(Fault(here, f"nothing reads {listed(sinks)}: say which one is the answer, output=…"))
    if "output" not in values and sinks:
        values["output"] = sinks
    return Table((*_table(values, here).entries, Entry("steps", here, Table(tuple(steps), here))), here)


def _sinks(dag: nx.DiGraph[str]) -> list[str]:
    """The nodes that may be the answer: no node that somebody waits for reads them, and none calls them."""
    steps = {node: attributes.get("step") for node, attributes in dag.nodes(data=True)}
    keys = {node: step.keys for node, step in steps.items() if isinstance(step, Step)}
    detached = {node for node, own in keys.items() if own.get("detached") is True}
    handles = [own.get("handles") for own in keys.values()]
    called = {str(name) for own in handles if isinstance(own, Mapping) for name in own.values()}
    return [
        str(node)
        for node in dag
        if node not in detached and str(node) not in called and not set(dag.successors(node)) - detached
    ]


def _step(node: Any, step: Any, dag: nx.DiGraph[str], spot: Spot, faults: list[Fault]) -> Node:
    match step:
        case Step():
            keys: dict[str, Any] = dict(step.keys)
        case str():
            keys = {"run": step}
        case None:
            return Scalar(Fault(spot, "it has no attribute step: add_node(name, step=Step(…))"), spot)
        case _ if callable(step):
            keys = {"run": step}
        case _:
            message = f"its attribute step is a {type(step).__name__}: add_node(name, step=Step(…))"
            return Scalar(Fault(spot, message), spot)
    edges = [(str(source), attributes) for source, _, attributes in dag.in_edges(node, data=True)]
    for source, attributes in edges:
        for odd in attributes.keys() - _EDGE_KEYS:
            # Other attributes are networkx's or the author's own (a weight, a colour).
            if (meant := near(str(odd), _EDGE_KEYS)) is not None:
                faults.append(Fault(spot, f'its edge from "{source}" has "{odd}"; did you mean "{meant}"?'))
    if "inputs" not in keys or not _are_drawn(keys["inputs"], {source for source, _ in edges}, spot, faults):
        keys["inputs"] = _inputs_of(edges, spot, faults)
    if "params" in keys:
        # Handed to the user's code as it is: a tuple stays a tuple.
        keys["params"] = Scalar(keys["params"], spot)
    return _table(keys, spot)


def _are_drawn(inputs: Any, sources: set[str], spot: Spot, faults: list[Fault]) -> bool:
    """Whether inputs that are written out say the same as the edges, so that what networkx draws is what runs."""
    match inputs:
        case str():
            references: list[Any] = [inputs]
        case Mapping():
            references = list(inputs.values())
        case list() | tuple():
            references = list(inputs)
        case _:
            return True
    read = {str(reference).partition(".")[0] for reference in references} - set(RESERVED)
    if read != sources:
        faults.append(Fault(spot, f"its inputs read {_nodes(read)}, its edges come from {_nodes(sources)}"))
    return read == sources


def _nodes(names: set[str]) -> str:
    return listed(sorted(names)) if names else "no node"


def _inputs_of(edges: Sequence[tuple[str, Mapping[str, Any]]], spot: Spot, faults: list[Fault]) -> Any:
    if not edges:
        return REQUEST
    references = [(attributes.get("to"), _reference(source, attributes)) for source, attributes in edges]
    named = dict(references)
    if all(to for to, _ in references) and len(named) == len(references):
        return named
    if len(named) < len(references) and all(to for to, _ in references):
        twice = next(to for position, (to, _) in enumerate(references) if to in dict(references[:position]))
        faults.append(Fault(spot, f'two of its edges say to="{twice}"'))
    elif any(to for to, _ in references):
        faults.append(Fault(spot, "some of its edges say to=… and some do not; say it on all of them"))
    return [reference for _, reference in references]


def _reference(source: str, attributes: Mapping[str, Any]) -> str:
    return f"{source}.{attributes['tensor']}" if attributes.get("tensor") else source


def _table(values: Mapping[str, Any], place: object) -> Table:
    return Table(tuple(Entry(str(key), place, _node(value, place)) for key, value in values.items()), place)


def _node(value: Any, place: object) -> Node:
    match value:
        case Scalar() | Items() | Table():
            return value
        case Mapping():
            return _table(value, place)
        case list() | tuple():
            return Items(tuple(_node(inner, place) for inner in value), place)
        case _:
            return Scalar(value, place)
