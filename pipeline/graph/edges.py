"""What flows along the edges: every parameter fed, datatypes and dimensions agreed, no input left unread.

Works on the interfaces that the step kinds report; nothing is downloaded or run. What is not known (a function without
annotations) is not checked here but at the request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.graph.dag import Graph
from pipeline.graph.dims import Dims
from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.source import Fault
from pipeline.graph.spec import HEADERS, PARAMETERS, REQUEST, Reference, StepSpec
from pipeline.graph.words import listed, meant
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import TAKES_ALL, Form
from pipeline.tensors.signature import TensorSpec

Interfaces = Mapping[str, Interface]
_OF_TEXT = frozenset({Form.STR, Form.BYTES, Form.TEXTS})
_OF_NUMBERS = frozenset({Form.INT, Form.FLOAT, Form.BOOL})


@dataclass(frozen=True, slots=True)
class Feed:
    """A parameter and the tensor that is known to feed it."""

    parameter: Parameter
    reference: Reference
    tensor: str
    spec: TensorSpec | None


def check_edges(graph: Graph, interfaces: Interfaces, faults: list[Fault]) -> None:
    """Appends to ``faults`` what does not fit between steps. A step whose interface is missing is passed over."""
    dims = Dims()
    for step in graph.steps:
        interface = interfaces.get(step.name)
        if interface is None:
            continue
        _check_place(step, interface, faults)
        for reference in step.references:
            _check_tensor_exists(reference, f'step "{step.name}" reads', graph, interfaces, faults)
        _check_fed(step, interface, graph, interfaces, faults)
        for feed in _feeds(step, interface, graph, interfaces):
            _check_feed(step, feed, dims, faults)
    _check_unread(graph, interfaces, faults)
    _check_answer(graph, interfaces, dims, faults)


def known_names(reference: Reference, graph: Graph, interfaces: Interfaces) -> Mapping[str, TensorSpec | None] | None:
    """The tensors that a reference brings, name → spec where known; None where the names themselves are unknown."""
    if reference.source in (HEADERS, PARAMETERS):
        return {str(reference.name): None}
    if reference.source == REQUEST:
        given: Mapping[str, TensorSpec | None] | None = graph.spec.inputs or None
    else:
        interface = interfaces.get(reference.source)
        given = interface.gives if interface else None
    if reference.name is None:
        return given
    return {reference.name: (given or {}).get(reference.name)}


def _check_place(step: StepSpec, interface: Interface, faults: list[Fault]) -> None:
    if step.where == "thread" and not interface.blocking:
        message = f'step "{step.name}" is async and runs on the loop; place: thread is for synchronous code'
        faults.append(Fault(step.at("place"), message))


def _check_tensor_exists(
    reference: Reference, what: str, graph: Graph, interfaces: Interfaces, faults: list[Fault]
) -> None:
    if reference.name is None or reference.source in (HEADERS, PARAMETERS):
        return
    given = known_names(Reference(reference.source, None, reference.place), graph, interfaces)
    if given is not None and reference.name not in given:
        owner = "schema.inputs" if reference.source == REQUEST else f'step "{reference.source}"'
        message = f'{what} "{reference}": {owner} has no tensor "{reference.name}"{meant(reference.name, list(given))}'
        faults.append(Fault(reference.place, message))


def _check_fed(step: StepSpec, interface: Interface, graph: Graph, interfaces: Interfaces, faults: list[Fault]) -> None:
    match step.inputs:
        case Mapping():
            _check_named(step, step.inputs, interface, faults)
        case references:
            names = _merged(step, references or (), graph, interfaces, faults)
            if names is not None:
                _check_merged(step, set(names), interface, faults)


def _check_named(step: StepSpec, inputs: Mapping[str, Reference], interface: Interface, faults: list[Fault]) -> None:
    known = [parameter.name for parameter in interface.parameters]
    for name in inputs:
        if name not in known and not interface.takes_all:
            message = f'step "{step.name}" has no parameter "{name}"{meant(name, known)}'
            faults.append(Fault(step.at(f"inputs.{name}"), message))
    for parameter in interface.parameters:
        if parameter.required and parameter.name not in inputs and not interface.takes_all:
            message = (
                f'step "{step.name}": nothing feeds its parameter "{parameter.name}"; inputs has {_quoted(inputs)}'
            )
            faults.append(Fault(step.at("inputs"), message))


def _merged(
    step: StepSpec, references: tuple[Reference, ...], graph: Graph, interfaces: Interfaces, faults: list[Fault]
) -> list[str] | None:
    """The names that reach a step by merging, None where some source's names are unknown; clashes are faults."""
    origin: dict[str, Reference] = {}
    complete = True
    for reference in references:
        names = known_names(reference, graph, interfaces)
        if names is None:
            complete = False
            continue
        for name in names:
            if name in origin:
                message = f'step "{step.name}" gets the tensor "{name}" twice, from {origin[name]} and {reference}'
                faults.append(Fault(reference.place, f"{message}; use a map parameter → reference"))
            origin.setdefault(name, reference)
    return list(origin) if complete else None


def _check_merged(step: StepSpec, names: set[str], interface: Interface, faults: list[Fault]) -> None:
    parameters = interface.parameters
    if interface.takes_all or (len(parameters) == 1 and len(names) == 1):
        return
    for parameter in parameters:
        if parameter.required and parameter.name not in names:
            come = f"it reads {_quoted(sorted(names))}" if names else "it reads nothing"
            message = f'step "{step.name}": no tensor feeds its parameter "{parameter.name}"; {come}'
            faults.append(Fault(step.at("inputs"), message + meant(parameter.name, names).partition("; there")[0]))


def _feeds(step: StepSpec, interface: Interface, graph: Graph, interfaces: Interfaces) -> Iterator[Feed]:
    """Which known tensor feeds which parameter, under the rules of binding."""
    match step.inputs:
        case Mapping():
            for name, reference in step.inputs.items():
                parameter = interface.parameter(name)
                names = known_names(reference, graph, interfaces)
                if parameter and names and len(names) == 1 and parameter.form not in TAKES_ALL:
                    ((tensor, spec),) = names.items()
                    yield Feed(parameter, reference, tensor, spec)
        case references:
            found = [(known_names(reference, graph, interfaces), reference) for reference in references or ()]
            tensors = [(name, spec, reference) for names, reference in found for name, spec in (names or {}).items()]
            only = len(interface.parameters) == 1 and len(tensors) == 1 and all(names is not None for names, _ in found)
            for name, spec, reference in tensors:
                parameter = interface.parameters[0] if only else interface.parameter(name)
                if parameter and parameter.form not in TAKES_ALL:
                    yield Feed(parameter, reference, name, spec)


def _check_feed(step: StepSpec, feed: Feed, dims: Dims, faults: list[Fault]) -> None:
    parameter, spec = feed.parameter, feed.spec
    if spec is None:
        return
    place = feed.reference.place if step.places.get("inputs") else step.at(step.action)
    what = f'step "{step.name}": parameter "{parameter.name}"'
    origin = f"{feed.reference.source}" if feed.reference.name else f"{feed.reference.source}.{feed.tensor}"
    origin = str(feed.reference) if feed.reference.name else origin
    if spec.optional and parameter.required:
        faults.append(Fault(place, f"{what} has no default, and {origin} is optional ({spec})"))
    is_text = spec.datatype is Datatype.BYTES
    if (is_text and parameter.form in _OF_NUMBERS) or (not is_text and parameter.form in _OF_TEXT):
        faults.append(Fault(place, f"{what} takes {parameter.form.value}, and {origin} is {spec}"))
    if parameter.spec is not None:
        reason = dims.conflict(parameter.spec, spec)
        if reason:
            faults.append(Fault(place, f"{what} takes {parameter.spec}, and {origin} is {spec}: {reason}"))


def _check_unread(graph: Graph, interfaces: Interfaces, faults: list[Fault]) -> None:
    if len(interfaces) < len(graph.steps):
        return
    reads = request_reads(graph, interfaces)
    for name, spec in graph.spec.inputs.items():
        if not reads.covers(name, len(graph.spec.inputs)):
            message = f'schema.inputs has "{name}" ({spec}), and no step reads it{meant(name, reads.names)}'
            faults.append(Fault(graph.spec.at(f"schema.inputs.{name}"), message))


def _check_answer(graph: Graph, interfaces: Interfaces, dims: Dims, faults: list[Fault]) -> None:
    given: dict[str, TensorSpec | None] = {}
    complete = True
    for reference in graph.output:
        _check_tensor_exists(reference, "output is", graph, interfaces, faults)
        names = known_names(reference, graph, interfaces)
        complete = complete and names is not None
        for name, spec in (names or {}).items():
            if name in given:
                faults.append(Fault(reference.place, f'the answer has the tensor "{name}" twice'))
            given[name] = spec
    declared = graph.spec.outputs
    if len(declared) == 1 and len(given) == 1 and complete:
        # One declared output names the only tensor, whatever the step calls it.
        given = {next(iter(declared)): next(iter(given.values()))}
    for name, spec in declared.items():
        place = graph.spec.at(f"schema.outputs.{name}")
        if complete and name not in given:
            faults.append(Fault(place, f'schema.outputs has "{name}", and the answer has {_quoted(given)}'))
        elif (actual := given.get(name)) and (reason := dims.conflict(spec, actual)):
            faults.append(Fault(place, f'schema.outputs has "{name}": {spec}, and the answer is {actual}: {reason}'))


@dataclass(frozen=True, slots=True)
class Reads:
    """Which tensors of a request some step reads. ``only``: the one there is, whatever its name."""

    everything: bool
    only: bool
    names: frozenset[str]

    def covers(self, name: str, how_many: int) -> bool:
        return self.everything or name in self.names or (self.only and how_many == 1)


def request_reads(graph: Graph, interfaces: Interfaces) -> Reads:
    """What the whole graph reads of a request, by name where the names are known."""
    everything = only = False
    names: set[str] = set()
    for step in graph.steps:
        interface = interfaces[step.name]
        everything = everything or interface.reads_request
        named = isinstance(step.inputs, Mapping)
        for key, reference in _keyed(step):
            if reference.source != REQUEST:
                continue
            if reference.name is not None:
                names.add(reference.name)
            elif named:
                parameter = interface.parameter(key)
                everything = (
                    everything or interface.takes_rest or (parameter is not None and parameter.form in TAKES_ALL)
                )
                only = True
            else:
                everything = everything or interface.takes_all
                only = only or len(interface.parameters) == 1
                names.update(parameter.name for parameter in interface.parameters)
    return Reads(everything, only, frozenset(names))


def _keyed(step: StepSpec) -> list[tuple[str, Reference]]:
    match step.inputs:
        case Mapping():
            return list(step.inputs.items())
        case references:
            return [("", reference) for reference in references or ()]


def _quoted(names: Mapping[str, object] | list[str]) -> str:
    return listed(f'"{name}"' for name in names) if names else "none"
