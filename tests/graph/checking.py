"""How these tests read and connect a graph without user code: the spec, the graph, and the lines a user would see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.graph.dag import Graph, connect
from pipeline.graph.python import declared
from pipeline.graph.read import read_graph
from pipeline.graph.read_step import Kinds
from pipeline.graph.source import Fault, GraphFaults, Node
from pipeline.graph.spec import GraphSpec
from tests.graph.reading import FILE, read

if TYPE_CHECKING:
    import networkx as nx

KINDS = {"run": ("params", "handles"), "model": ("runtime", "params")}


@dataclass(frozen=True)
class Checked:
    spec: GraphSpec | None
    graph: Graph | None
    lines: list[str]


def checked(text: str) -> Checked:
    """``lines`` without the file's name: ``2:5: what is wrong``."""
    return of_tree(read(text), [])


def checked_dag(dag: nx.DiGraph, **top: object) -> Checked:
    """The same for a graph written in Python, under the name ``g``."""
    faults: list[Fault] = []
    return of_tree(declared("g", dag, top, faults), faults)


def of_tree(root: Node, faults: list[Fault], kinds: Kinds = KINDS) -> Checked:
    spec = read_graph(root, name="graph", kinds=kinds, faults=faults)
    graph = connect(spec, faults) if spec else None
    return Checked(spec, graph, [str(fault).removeprefix(f"{FILE}:") for fault in GraphFaults(faults).faults])


def spec_of(text: str) -> GraphSpec:
    found = checked(text)
    assert found.lines == []
    assert found.spec is not None
    return found.spec


def graph_of(text: str, kinds: Kinds = KINDS) -> Graph:
    found = of_tree(read(text), [], kinds)
    assert found.lines == []
    assert found.graph is not None
    return found.graph
