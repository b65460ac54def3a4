"""``each``: what a step that runs once per item takes and gives, seen from outside. A step kind tells of one item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipeline.graph.dag import Graph
from pipeline.graph.edges import Interfaces, Names, known_names
from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.graph.words import meant
from pipeline.tensors.forms import Form
from pipeline.tensors.signature import Signature, TensorSpec

# What an item of JSON is asked for as; all of them come as a list.
_JSON_ITEM = (Form.LIST, Form.DICT)
# They take all tensors there are, and a loop goes over one.
_NO_ITEM = (Form.ARRAYS, Form.FRAME)


def looped(step: StepSpec, interface: Interface, faults: list[Fault]) -> Interface:
    """The interface of the whole loop, from that of one item; ``each`` that names no input is appended to ``faults``.

    The input and the results have one axis more. An input that a model may take under any name is looked for at the
    request.
    """
    name = step.each
    if name is None:
        return interface
    parameter = interface.parameter(name)
    if parameter is None and not interface.takes_rest:
        known = [own.name for own in interface.parameters]
        message = f'step "{step.name}": each is "{name}", and it has no parameter of that name{meant(name, known)}'
        faults.append(Fault(step.at("each"), message))
    elif parameter is not None and parameter.form in _NO_ITEM:
        message = f'step "{step.name}": each is "{name}", which takes all tensors by name ({parameter.form.value})'
        faults.append(Fault(step.at("each"), f"{message}; loop over a parameter that takes one"))
    elif isinstance(step.inputs, Mapping) and name not in step.inputs:
        message = f'step "{step.name}": each is "{name}", and inputs feeds no such parameter'
        faults.append(Fault(step.at("each"), message + meant(name, step.inputs)))
    outer = tuple(_of_items(own) if own is parameter else own for own in interface.parameters)
    gives = interface.gives
    return replace(
        interface,
        parameters=outer,
        gives=None if gives is None else {key: spec and _stacked(spec) for key, spec in gives.items()},
    )


def told_of_items(step: StepSpec, one: Signature) -> Signature:
    """What a model tells of itself, which is of one item, as the whole loop takes and gives it."""
    if step.each is None:
        return one
    # As binding has it: the only input there is, whatever its name.
    name = next(iter(one.inputs)) if len(one.inputs) == 1 else step.each
    inputs = {key: _stacked(spec) if key == name else spec for key, spec in one.inputs.items()}
    return Signature(inputs, {key: _stacked(spec) for key, spec in one.outputs.items()})


def promised(step: StepSpec, graph: Graph, interfaces: Interfaces, learned: Signature) -> Names:
    """What the whole loop gives, as far as it is known without a single result.

    The schema comes first, where the step answers: it is what the answer is held to, and told in sizes where
    annotations have names. Then what a model has told (``learned``, of the whole loop), then the annotation.
    """
    known: Names = {**(interfaces[step.name].gives or {}), **learned.outputs}
    declared, answers = graph.spec.outputs, graph.output["predict"]
    found: dict[str, TensorSpec | None] = {}
    for reference in answers:
        if reference.source != step.name:
            continue
        alone = len(declared) == 1 and len(answers) == 1
        if reference.name is not None:
            names: Iterable[str] = [reference.name]
        elif known:
            names = known
        elif alone or not declared:
            names = [step.name]
        else:
            names = _left(declared, step, graph, interfaces)
        renames = alone and len(list(names)) == 1
        found |= {name: next(iter(declared.values())) if renames else declared.get(name) for name in names}
    return {name: found.get(name) or known.get(name) for name in {**known, **found}} or {step.name: None}


def _left(declared: Names, step: StepSpec, graph: Graph, interfaces: Interfaces) -> Iterable[str]:
    """The declared outputs that no other step of the answer is known to give."""
    others = [reference for reference in graph.output["predict"] if reference.source != step.name]
    taken = {name for own in others for name in known_names(own, graph, interfaces) or [own.source]}
    return [name for name in declared if name not in taken] or [step.name]


def _of_items(parameter: Parameter) -> Parameter:
    form = parameter.form
    if form in _JSON_ITEM:
        form = Form.LIST
    elif form is not Form.ANY:
        form = Form.ARRAY
    return replace(parameter, form=form, item=parameter.form, spec=parameter.spec and _stacked(parameter.spec))


def _stacked(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.datatype, (-1, *spec.dims), spec.optional, spec.any_number)
