"""A graph read, connected and checked, with what is needed to open it: ``check`` makes it, a Pipeline runs it.

Making one runs the top level of the user's modules and downloads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.engine.kinds import Home, StepKind, Storage, step_kinds
from pipeline.graph.dag import Graph, connect, declared
from pipeline.graph.edges import Interfaces, check_edges
from pipeline.graph.read import read_graph
from pipeline.graph.source import Fault, GraphFaults, Node, Place, parse
from pipeline.graph.spec import GraphSpec

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, slots=True)
class Blueprint:
    graph: Graph
    interfaces: Interfaces
    kinds: Mapping[str, StepKind]
    home: Home

    @property
    def spec(self) -> GraphSpec:
        return self.graph.spec


def from_file(path: Path, environment: Mapping[str, str], storage: Storage) -> Blueprint:
    """The blueprint of a graph file. Raises GraphFaults with every fault; a file that cannot be read is one."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GraphFaults((Fault(path, f"cannot be read: {error.strerror or error}"),)) from None
    root = parse(data, str(path), environment)
    return _blueprint(root, path.stem, Home(path.absolute().parent, storage), [])


def from_dag(name: str, dag: nx.DiGraph[str], top: Mapping[str, Any], folder: Path, storage: Storage) -> Blueprint:
    """The blueprint of a networkx graph whose nodes carry a ``Step``. Raises GraphFaults naming nodes, not lines."""
    faults: list[Fault] = []
    root = declared(name, dag, top, faults)
    return _blueprint(root, name, Home(folder.absolute(), storage), faults)


def _blueprint(root: Node, name: str, home: Home, faults: list[Fault]) -> Blueprint:
    kinds = step_kinds()
    keys = {action: kind.KEYS[action] for action, kind in kinds.items()}
    spec = read_graph(root, name=name, kinds=keys, faults=faults)
    graph = connect(spec, faults) if spec else None
    interfaces = {}
    for step in spec.steps if spec else ():
        interface = kinds[step.action].describe(step, home, faults)
        if interface is not None:
            interfaces[step.name] = interface
    if graph is not None:
        check_edges(graph, interfaces, faults)
    if faults or graph is None:
        raise GraphFaults(_in_order(faults))
    return Blueprint(graph, interfaces, kinds, home)


def _in_order(faults: list[Fault]) -> tuple[Fault, ...]:
    """By place in the file; a fault found twice (by two checks) once."""
    unique = list(dict.fromkeys(faults))
    return tuple(sorted(unique, key=lambda fault: fault.place if isinstance(fault.place, Place) else Place("", 0, 0)))
