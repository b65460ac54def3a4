"""``each``: what a step that runs once per item takes and gives, seen from outside. A step kind tells of one item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.source import Fault
from pipeline.graph.spec import StepSpec
from pipeline.graph.words import meant
from pipeline.tensors.forms import Form
from pipeline.tensors.signature import TensorSpec

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


def _of_items(parameter: Parameter) -> Parameter:
    form = parameter.form
    if form in _JSON_ITEM:
        form = Form.LIST
    elif form is not Form.ANY:
        form = Form.ARRAY
    return replace(parameter, form=form, item=parameter.form, spec=parameter.spec and _stacked(parameter.spec))


def _stacked(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.datatype, (-1, *spec.dims), spec.optional, spec.any_number)
