"""What servers, and models that are loaded, tell of themselves, compared along the edges; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.graph.agree import check_edges
from pipeline.graph.dag import Graph
from pipeline.graph.edges import Interfaces
from pipeline.graph.interface import Parameter
from pipeline.graph.source import Fault, GraphFaults
from pipeline.tensors.signature import Signature

_SERVER = 'the metadata of the server that step "{}" calls'
_MODEL = 'the model of step "{}"'


def require_agreement(graph: Graph, known: Interfaces, found: Mapping[str, Signature]) -> None:
    """Raises GraphFaults where datatypes or dimensions of these steps' models are others than the graph's."""
    faults, _, _ = disagreements(graph, known, found, _MODEL)
    if faults:
        raise GraphFaults(faults)


def disagreements(
    graph: Graph, known: Interfaces, found: Mapping[str, Signature], said_by: str = _SERVER
) -> tuple[list[Fault], list[Fault], Interfaces]:
    """(faults, notes, interfaces): ``known``, a graph without faults, with the signatures that these steps were told.

    Datatypes and dimensions that disagree are faults. Names are notes: metadata may lack a tensor, and many servers
    take one under any name.
    """
    faults: list[Fault] = []
    notes: list[Fault] = []
    interfaces = dict(known)
    seen: set[Fault] = set()
    for step, signature in found.items():
        source = f"; so says {said_by.format(step)}"
        interface = interfaces[step]
        # With names alone first: what does not fit then are the names.
        interfaces[step] = replace(interface, gives=dict.fromkeys(signature.outputs) or None)
        odd = [fault for fault in _faults(graph, interfaces) if fault not in seen]
        takes = tuple(Parameter(name, spec=spec, required=False) for name, spec in signature.inputs.items())
        interfaces[step] = replace(interface, parameters=takes, gives=dict(signature.outputs) or None)
        wrong = [fault for fault in _faults(graph, interfaces) if fault not in seen and fault not in odd]
        notes += [Fault(fault.place, f"note: {fault.message}{source}") for fault in odd]
        faults += [Fault(fault.place, fault.message + source) for fault in wrong]
        seen.update(odd, wrong)
    return faults, notes, interfaces


def _faults(graph: Graph, interfaces: Interfaces) -> list[Fault]:
    faults: list[Fault] = []
    check_edges(graph, interfaces, faults)
    return faults
