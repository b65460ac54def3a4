"""What is known to flow along the edges before a request: names of tensors, the parameters they feed, what is read.

Works on the interfaces that the step kinds report; whether it fits is for ``agree.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.graph.dag import Graph, readings_of
from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.spec import HEADERS, PARAMETERS, REQUEST, Reference, StepSpec
from pipeline.tensors.forms import TAKES_ALL
from pipeline.tensors.signature import TensorSpec

Interfaces = Mapping[str, Interface]
Names = Mapping[str, TensorSpec | None]
"""Tensor name → its spec; None: the name alone is known."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A parameter and the tensor that is known to feed it."""

    parameter: Parameter
    reference: Reference
    tensor: str
    spec: TensorSpec | None


def known_names(reference: Reference, graph: Graph, interfaces: Interfaces) -> Names | None:
    """The tensors that a reference brings; None where their names are unknown."""
    if reference.source in (HEADERS, PARAMETERS):
        return {str(reference.name): None}
    given = source_names(reference.source, graph, interfaces)
    if reference.name is None:
        return given
    return {reference.name: (given or {}).get(reference.name)}


def source_names(source: str, graph: Graph, interfaces: Interfaces) -> Names | None:
    """The tensors that a step, or the request, has; None where that is unknown."""
    if source == REQUEST:
        unread = (name.removeprefix("inputs.") for name in graph.spec.unread if name.startswith("inputs."))
        return {**graph.spec.inputs, **dict.fromkeys(unread)} or None
    interface = interfaces.get(source)
    return interface.gives if interface else None


def feeds(step: StepSpec, interface: Interface, graph: Graph, interfaces: Interfaces) -> Iterator[Feed]:
    """Which known tensor feeds which parameter, under the rules of binding."""
    found = [(to, reference, known_names(reference, graph, interfaces)) for to, reference in readings_of(step)]
    alone = len(interface.parameters) == 1 and len(found) == 1 and found[0][2] is not None and len(found[0][2]) == 1
    for to, reference, names in found:
        if to is not None and (names is None or len(names) != 1):
            continue
        for name, spec in (names or {}).items():
            only = interface.parameters[0] if alone and to is None else None
            parameter = only or interface.parameter(to or name)
            if parameter and parameter.form not in TAKES_ALL:
                yield Feed(parameter, reference, name, spec)


def sees_all(step: StepSpec, interface: Interface) -> bool:
    """Whether the step, or what it calls by its handles, may look at more of the request than it reads by name."""
    reads_request = any(own.source == REQUEST for own in step.references)
    return interface.reads_request or (interface.reads_body and reads_request) or bool(step.handles)


@dataclass(frozen=True, slots=True)
class Reads:
    """Which tensors of a request some step reads. ``only``: the one there is, whatever its name.

    ``named``: those of them that a reference names, as ``request.NAME``; they have no other name.
    """

    everything: bool
    only: bool
    names: frozenset[str]
    named: frozenset[str]

    def covers(self, name: str, how_many: int) -> bool:
        return self.everything or name in self.names or (self.only and how_many == 1)


def request_reads(graph: Graph, interfaces: Interfaces) -> Reads:
    """What the whole graph reads of a request, by name where the names are known."""
    everything = only = False
    names: set[str] = set()
    named: set[str] = set()
    for step in graph.planned:
        interface = interfaces[step.name]
        everything = everything or interface.reads_request
        for to, reference in readings_of(step):
            if reference.source != REQUEST:
                continue
            if reference.name is not None:
                named.add(reference.name)
            elif to is not None:
                parameter = interface.parameter(to)
                takes_all = parameter is not None and parameter.form in TAKES_ALL
                everything = everything or interface.takes_rest or takes_all
                only = True
            else:
                everything = everything or interface.takes_all
                only = only or len(interface.parameters) == 1
                names.update(parameter.name for parameter in interface.parameters)
    return Reads(everything, only, frozenset(names | named), frozenset(named))


def fed_parameter(interface: Interface, name: str, *, alone: bool) -> Parameter | None:
    """The parameter that a tensor under that name feeds: the one named so, else the only one, if it comes ``alone``."""
    parameter = interface.parameter(name)
    if parameter is None and alone and len(interface.parameters) == 1:
        return interface.parameters[0]
    return parameter


def request_parameters(graph: Graph, interfaces: Interfaces) -> dict[str, Parameter]:
    """The tensors that steps ask a request for by name → the parameter that one feeds; a required one where there is.

    A parameter that takes the only tensor, whatever its name, stands under its own.
    """
    found: dict[str, Parameter] = {}
    for step in graph.planned:
        interface = interfaces[step.name]
        keyed = readings_of(step)
        for to, reference in keyed:
            if reference.source != REQUEST:
                continue
            name = reference.name or to
            if name is None:
                asked = {parameter.name: parameter for parameter in interface.parameters}
            else:
                fed = fed_parameter(interface, to or name, alone=len(keyed) == 1)
                asked = {name: fed} if fed else {}
            for name, parameter in asked.items():
                if name not in found or (parameter.required and not found[name].required):
                    found[name] = parameter
    return found
