"""The specs of all that a step is going to read, where the schema, annotations and models tell them; pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pipeline.graph.dag import Graph, readings_of
from pipeline.graph.each import promised
from pipeline.graph.edges import Interfaces, Names, fed_parameter
from pipeline.graph.spec import HEADERS, PARAMETERS, REQUEST, Reference, StepSpec
from pipeline.tensors.signature import Signature, TensorSpec


def reaching(
    step: StepSpec, graph: Graph, interfaces: Interfaces, learned: Mapping[str, Signature]
) -> Mapping[str, TensorSpec]:
    """Input name → spec, as the step is going to see them; nothing where one of them is unknown.

    All of it comes from the request in the end: where the schema declares no inputs, nothing reaches a step. Headers
    and parameters that can be left out are; one that cannot is unknown. ``learned``: what models told of themselves.
    """
    interface = interfaces[step.name]
    by_name = {own.name: own for own in graph.steps}
    found: dict[str, TensorSpec] = {}
    for to, reference in readings_of(step):
        parameter = interface.parameter(to or str(reference.name))
        if reference.source in (HEADERS, PARAMETERS) and parameter is not None and not parameter.required:
            continue
        names = _picked(reference, _given(reference.source, by_name, graph, interfaces, learned))
        if to is not None:
            names = {to: next(iter(names.values()))} if len(names) == 1 else {}
        known = {name: spec for name, spec in names.items() if spec is not None}
        if not known or len(known) < len(names):
            return {}
        found |= known
    return {name: _narrowed(spec, name, step, interfaces, alone=len(found) == 1) for name, spec in found.items()}


def _given(
    source: str,
    steps: Mapping[str, StepSpec],
    graph: Graph,
    interfaces: Interfaces,
    learned: Mapping[str, Signature],
) -> Names:
    if source in steps and graph.spec.inputs:
        return promised(steps[source], graph, interfaces, learned.get(source, Signature()))
    return graph.spec.inputs if source == REQUEST else {}


def _picked(reference: Reference, names: Names) -> Names:
    return names if reference.name is None else {reference.name: names.get(reference.name)}


def _narrowed(spec: TensorSpec, name: str, step: StepSpec, interfaces: Interfaces, *, alone: bool) -> TensorSpec:
    """With the sizes that only the step's own declaration tells."""
    parameter = fed_parameter(interfaces[step.name], name, alone=alone)
    own = parameter.spec if parameter else None
    if own is None or len(own.dims) != len(spec.dims):
        return spec
    sizes = zip(own.shape, spec.dims, strict=True)
    return msgspec.structs.replace(spec, dims=tuple(size if size >= 0 else other for size, other in sizes))
