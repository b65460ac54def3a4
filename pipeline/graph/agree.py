"""Whether what flows along the edges fits: parameters fed, datatypes and dimensions agreed, no input left unread.

Nothing is downloaded or run. What is not known (a function without annotations) is not checked here but at the request.
One mistake is one fault: what follows from one that is told already is passed over.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.graph.dag import Graph, readings_of
from pipeline.graph.dims import Dims
from pipeline.graph.edges import Feed, Interfaces, feeds, known_names, request_reads, source_names
from pipeline.graph.interface import Interface
from pipeline.graph.source import Fault
from pipeline.graph.spec import HEADERS, PARAMETERS, REQUEST, RESERVED, Reference, StepSpec
from pipeline.graph.words import HANDLES, hint, listed, meant, near
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import TAKES_ALL, Form
from pipeline.tensors.signature import TensorSpec

_OF_TEXT = frozenset({Form.STR, Form.BYTES, Form.TEXTS})
_OF_NUMBERS = frozenset({Form.INT, Form.FLOAT, Form.BOOL})


def check_edges(graph: Graph, interfaces: Interfaces, faults: list[Fault]) -> None:
    """Appends to ``faults`` what does not fit between steps. A step whose interface is missing is passed over."""
    edges = _Edges(graph, interfaces, faults)
    for step in graph.steps:
        for _, reference in readings_of(step):
            edges.check_tensor_exists(reference, f'step "{step.name}" reads')
        interface = interfaces.get(step.name)
        if interface is None:
            edges.merged(f'step "{step.name}"', step.references if isinstance(step.inputs, tuple) else ())
            continue
        edges.check_place(step, interface)
        edges.check_handles(step, interface)
        edges.check_fed(step, interface)
        for feed in feeds(step, interface, graph, interfaces):
            edges.check_feed(step, feed)
    edges.check_unread()
    edges.check_answer()


@dataclass(frozen=True, slots=True)
class _Edges:
    """The checks of one graph, and what they have learned. ``lost``: inputs that were asked for and are not there."""

    graph: Graph
    interfaces: Interfaces
    faults: list[Fault]
    dims: Dims = field(default_factory=Dims)
    lost: set[str] = field(default_factory=set)

    def fault(self, place: object, message: str) -> None:
        self.faults.append(Fault(place, message))

    def check_place(self, step: StepSpec, interface: Interface) -> None:
        if step.where == "thread" and not interface.blocking:
            message = f'step "{step.name}" is async and runs on the loop; place: thread is for synchronous code'
            self.fault(step.at("place"), message)
        elif step.where == "asyncio" and interface.blocking:
            message = f'step "{step.name}" is synchronous, and place: asyncio is for async code; leave it out'
            self.fault(step.at("place"), message)
        elif step.where == "loop" and interface.blocking and step.handles:
            message = f'step "{step.name}" waits for what its handles call, and on the loop everybody would wait'
            self.fault(step.at("place"), f"{message}; leave out place: loop")

    def check_handles(self, step: StepSpec, interface: Interface) -> None:
        """A name is one thing to a function: a handle, or a tensor."""
        found = [(to, known_names(reference, self.graph, self.interfaces) or {}) for to, reference in readings_of(step)]
        names = {name for to, known in found for name in (known if to is None else [to])}
        # One parameter takes the only tensor whatever its name.
        free = isinstance(step.inputs, tuple) and len(interface.parameters) == 1 and len(names) == 1
        for name in step.handles:
            if name in names and not free:
                message = (
                    f'step "{step.name}": "{name}" is a handle and a tensor that it reads; name the handle otherwise'
                )
                self.fault(step.at(f"{HANDLES}.{name}"), message)

    def check_tensor_exists(self, reference: Reference, what: str) -> None:
        if reference.name is None or reference.source in (HEADERS, PARAMETERS):
            return
        given = source_names(reference.source, self.graph, self.interfaces)
        if given is not None and reference.name not in given:
            owner = "schema.inputs" if reference.source == REQUEST else f'step "{reference.source}"'
            message = f'{what} "{reference}": {owner} has no tensor "{reference.name}"{meant(reference.name, given)}'
            self.fault(reference.place, message)
            if reference.source == REQUEST:
                self.lost.add(reference.name)

    # ---- what feeds the parameters of a step

    def check_fed(self, step: StepSpec, interface: Interface) -> None:
        match step.inputs:
            case Mapping():
                self._check_named(step, step.inputs, interface)
            case references:
                names = self.merged(f'step "{step.name}"', references or ())
                if names is not None:
                    self._check_merged(step, names, interface)

    def _check_named(self, step: StepSpec, inputs: Mapping[str, Reference], interface: Interface) -> None:
        if interface.takes_all:
            return
        known = [parameter.name for parameter in interface.parameters]
        # One that is a handle too is told as that.
        strangers = [name for name in inputs if name not in known and name not in step.handles]
        for name in strangers:
            message = f'step "{step.name}" has no parameter "{name}"{meant(name, known)}'
            self.fault(step.at(f"inputs.{name}"), message)
        explained = {near(name, known) for name in strangers}
        for parameter in interface.parameters:
            if parameter.name in inputs:
                self._check_one(step, inputs[parameter.name], parameter.name, parameter.form)
            elif parameter.required and not explained & {parameter.name, None}:
                message = f'step "{step.name}": nothing feeds its parameter "{parameter.name}"'
                self.fault(step.at("inputs"), f"{message}; inputs has {_quoted(inputs)}")

    def _check_one(self, step: StepSpec, reference: Reference, parameter: str, form: Form) -> None:
        names = known_names(reference, self.graph, self.interfaces)
        if names is not None and len(names) > 1 and form not in TAKES_ALL:
            message = f'step "{step.name}": parameter "{parameter}" takes one tensor, and {reference} has'
            self.fault(reference.place, f"{message} {_quoted(names)}; say which, like {reference}.{next(iter(names))}")
            if reference.source == REQUEST:
                self.lost.update(names)

    def merged(self, what: str, references: Iterable[Reference]) -> set[str] | None:
        """The names that come together, None where some source's names are unknown; clashes are faults."""
        origin: dict[str, Reference] = {}
        unknown: set[str] = set()
        for reference in references:
            names = known_names(reference, self.graph, self.interfaces)
            if names is None and reference.source in unknown:
                self.fault(reference.place, f"{what} gets all tensors of {reference} twice; once is enough")
            if names is None:
                unknown.add(reference.source or str(reference.place))
            twice = [name for name in names or () if name in origin]
            if twice:
                message = f"{what} gets {_tensors(twice)} twice, from {origin[twice[0]]} and {reference}"
                self.fault(reference.place, f"{message}; use a map parameter → reference")
            origin |= {name: reference for name in names or () if name not in origin}
        return None if unknown else set(origin)

    def _check_merged(self, step: StepSpec, names: Collection[str], interface: Interface) -> None:
        parameters = interface.parameters
        if interface.takes_all or (len(parameters) == 1 and len(names) == 1):
            return
        for parameter in parameters:
            if parameter.required and parameter.name not in names:
                come = f"it reads {_quoted(sorted(names))}" if names else "it reads nothing"
                message = f'step "{step.name}": no tensor feeds its parameter "{parameter.name}"; {come}'
                self.fault(_wiring(step), message + hint(parameter.name, names))
                if any(reference.source == REQUEST for reference in step.references):
                    self.lost.add(parameter.name)

    def check_feed(self, step: StepSpec, feed: Feed) -> None:
        parameter, spec = feed.parameter, feed.spec
        if spec is None:
            return
        place = feed.reference.place if "inputs" in step.places else _wiring(step)
        what = f'step "{step.name}": parameter "{parameter.name}"'
        origin = str(feed.reference) if feed.reference.name else f"{feed.reference}.{feed.tensor}"
        if spec.optional and parameter.required:
            self.fault(place, f"{what} has no default, and {origin} is optional ({spec})")
        is_text = spec.datatype is Datatype.BYTES
        if (is_text and parameter.form in _OF_NUMBERS) or (not is_text and parameter.form in _OF_TEXT):
            self.fault(place, f"{what} takes {parameter.form.value}, and {origin} is {spec}")
        elif parameter.spec is not None and (reason := self.dims.conflict(parameter.spec, spec)):
            self.fault(place, f"{what} takes {parameter.spec}, and {origin} is {spec}: {reason}")

    # ---- the request and the answer as wholes

    def check_unread(self) -> None:
        graph = self.graph
        sources = {*self.interfaces, *RESERVED}
        if len(self.interfaces) < len(graph.steps) or graph.spec.is_open:
            return
        if any(reference.source not in sources for step in graph.steps for reference in step.references):
            return
        names = source_names(REQUEST, graph, self.interfaces) or {}
        reads = request_reads(graph, self.interfaces)
        explained = {near(name, names) for name in self.lost}
        for name, spec in graph.spec.inputs.items():
            if not reads.covers(name, len(names)) and not explained & {name, None}:
                message = f'schema.inputs has "{name}" ({spec}), and no step reads it{hint(name, reads.names)}'
                self.fault(graph.spec.at(f"schema.inputs.{name}"), message)

    def check_answer(self) -> None:
        for reference in itertools.chain(*self.graph.output.values()):
            self.check_tensor_exists(reference, "output is")
        for verb, references in self.graph.output.items():
            if verb != "predict":
                self.merged(f"the answer to {verb}", references)
        answer = self.graph.output["predict"]
        complete = self.merged("the answer", answer) is not None
        given: dict[str, TensorSpec | None] = {}
        for reference in answer:
            given |= known_names(reference, self.graph, self.interfaces) or {}
        spec = self.graph.spec
        declared = [*spec.outputs, *(name for name in spec.unread if name.startswith("outputs."))]
        if len(declared) == 1 and len(given) == 1 and complete:
            # One declared output names the only tensor, whatever the step calls it.
            given = {declared[0]: next(iter(given.values()))}
        for name, wanted in spec.outputs.items():
            place = spec.at(f"schema.outputs.{name}")
            if complete and name not in given:
                self.fault(place, f'schema.outputs has "{name}", and the answer has {_quoted(given)}')
            elif (actual := given.get(name)) and (reason := self.dims.conflict(wanted, actual)):
                self.fault(place, f'schema.outputs has "{name}": {wanted}, and the answer is {actual}: {reason}')


def _wiring(step: StepSpec) -> object:
    """Where it says what the step reads; the action of one that reads the step above it."""
    return step.at("inputs" if "inputs" in step.places else step.action)


def _tensors(names: list[str]) -> str:
    return f"the tensor{'s' if len(names) > 1 else ''} {_quoted(names)}"


def _quoted(names: Iterable[str]) -> str:
    quoted = [f'"{name}"' for name in names]
    return listed(quoted) if quoted else "none"
