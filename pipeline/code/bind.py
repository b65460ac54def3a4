"""From what a step reads to the arguments of a function: compiled once per step, run once per request.

The rules are graph.md's: parameters bind by name; a single parameter takes the only tensor whatever its name; one with
a default is optional. Whose fault a bad value is depends on where it came from: the caller's where the request brought
it, else the author's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pipeline.code.signature import Argument, Signature
from pipeline.engine.blame import Blame
from pipeline.engine.step import Context
from pipeline.errors import InvalidInput
from pipeline.graph.interface import Parameter
from pipeline.graph.spec import REQUEST, StepSpec
from pipeline.graph.words import listed
from pipeline.tensors.forms import TAKES_ALL, Bound, Form, convert, describe
from pipeline.tensors.message import InferRequest
from pipeline.tensors.signature import disagreement
from pipeline.tensors.tensor import Json, Tensor

Arguments = tuple[list[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class One:
    """Binds the only argument of a function. ``argument`` raises InvalidInput or WrongAnswer by blame."""

    argument: Callable[[Mapping[str, Bound], Context], Any]


@dataclass(frozen=True, slots=True)
class Many:
    """Binds (positional, keyword) arguments. ``arguments`` raises InvalidInput or WrongAnswer by blame."""

    arguments: Callable[[Mapping[str, Bound], Context], Arguments]


def binder(step: StepSpec, signature: Signature) -> One | Many:
    """How this step's inputs become arguments."""
    fed = signature.parameters
    match signature.arguments:
        case (Argument(parameter, keyword=False),) if not signature.rest and fed and parameter.form not in TAKES_ALL:
            return One(_Single(step, signature).bind)
        case _:
            return Many(_Several(step, signature).bind)


class _Binder:
    """What both ways of binding share: converting one value, and the words and the blame when that fails."""

    def __init__(self, step: StepSpec, signature: Signature) -> None:
        self._blame = Blame(step)
        self._arguments = signature.arguments
        self._rest = signature.rest
        self._names = frozenset(parameter.name for parameter in signature.parameters)
        named = step.inputs if isinstance(step.inputs, Mapping) else {}
        self._fed = named
        # An item of a request is not the whole of it.
        self._request = {name for name, own in named.items() if str(own) == REQUEST and name != step.each}

    def _value(self, argument: Argument, value: Bound, context: Context, sizes: dict[str, int]) -> Any:
        parameter = argument.parameter
        try:
            converted = convert(parameter.form, self._given(parameter, value, context))
        except ValueError as error:
            raise self._blame.misfit(parameter.name, value, context, f"cannot be bound: {error}") from None
        if parameter.spec is not None:
            single = next(iter(value.values())) if isinstance(value, Mapping) and len(value) == 1 else value
            if isinstance(single, Mapping):
                reason: str | None = f"expected {parameter.spec}, got {describe(single)}"
            else:
                reason = disagreement(parameter.spec, single, sizes)
            if reason is not None:
                raise self._blame.misfit(parameter.name, value, context, f"does not fit: {reason}")
        return converted

    def _given(self, parameter: Parameter, value: Bound, context: Context) -> Bound:
        """The value; one tensor for a form that takes tensors by name stands under the name it was sent or read by."""
        if isinstance(value, Mapping) or parameter.form not in TAKES_ALL:
            return value
        sent = next((name for name, own in context.request.inputs.items() if own is value), None)
        reference = self._fed.get(parameter.name)
        return {sent or (reference.name or reference.source if reference else parameter.name): value}

    def _missing(self, argument: Argument, inputs: Mapping[str, Bound], context: Context) -> Any:
        if not argument.parameter.required:
            return argument.default
        has = listed(f'"{name}"' for name in inputs) if inputs else "none"
        raise self._blame.misfit(argument.parameter.name, None, context, f"is missing; there is {has}")


class _Single(_Binder):
    """One parameter that takes one value: most steps."""

    def __init__(self, step: StepSpec, signature: Signature) -> None:
        super().__init__(step, signature)
        parameter = signature.arguments[0].parameter
        self._name = parameter.name
        # The way of nearly every step in a chain, kept short: an array, or whatever comes, undeclared.
        self._takes_array = parameter.spec is None and parameter.form in (Form.ANY, Form.ARRAY)
        self._takes_json = parameter.spec is None and parameter.form is Form.ANY

    def bind(self, inputs: Mapping[str, Bound], context: Context) -> Any:
        if len(inputs) == 1:
            (value,) = inputs.values()
        elif self._name in inputs:
            value = inputs[self._name]
        else:
            return self._missing(self._arguments[0], inputs, context)
        if self._takes_array and type(value) is Tensor:
            return value.array.view()
        if self._takes_json and type(value) is Json:
            return value.value
        return self._value(self._arguments[0], value, context, {})


class _Several(_Binder):
    """Any other signature: parameters by name, forms that take everything, the request and the context."""

    def __init__(self, step: StepSpec, signature: Signature) -> None:
        super().__init__(step, signature)
        # As a parameter of their name would; who takes the context looks there, and wants tensors alone.
        forms = {argument.parameter.form for argument in signature.arguments}
        self._takes_handles = bool(step.handles) and signature.rest and Form.CONTEXT not in forms

    def bind(self, inputs: Mapping[str, Bound], context: Context) -> Arguments:
        positional: list[Any] = []
        keyword: dict[str, Any] = {}
        sizes: dict[str, int] = {}
        for argument in self._arguments:
            value = self._argument(argument, inputs, context, sizes)
            if argument.keyword:
                keyword[argument.parameter.name] = value
            else:
                positional.append(value)
        if self._rest:
            rest = (name for name in inputs if name not in self._names)
            others = (Argument(Parameter(name), keyword=True) for name in rest)
            if self._takes_handles:
                named = {argument.parameter.name for argument in self._arguments}
                keyword |= {name: handle for name, handle in context.handles.items() if name not in named}
            keyword |= {
                own.parameter.name: self._value(own, inputs[own.parameter.name], context, sizes) for own in others
            }
        return positional, keyword

    def _argument(
        self, argument: Argument, inputs: Mapping[str, Bound], context: Context, sizes: dict[str, int]
    ) -> Any:
        parameter = argument.parameter
        if parameter.form is Form.CONTEXT:
            return context
        if parameter.form is Form.REQUEST:
            return context.request
        if parameter.form is Form.HANDLE:
            return context.handles[parameter.name]
        if parameter.form is Form.DICT and self._sees_body(parameter.name, inputs, context):
            return _body(context.request)
        if parameter.form in TAKES_ALL and len(self._names) == 1 and parameter.name not in self._fed:
            if not inputs and not parameter.required:
                return argument.default
            return self._value(argument, cast("Bound", inputs), context, sizes)
        if len(self._names) == 1 and len(inputs) == 1 and not self._rest:
            (value,) = inputs.values()
            return self._value(argument, value, context, sizes)
        if parameter.name in inputs:
            return self._value(argument, inputs[parameter.name], context, sizes)
        return self._missing(argument, inputs, context)

    def _sees_body(self, name: str, inputs: Mapping[str, Bound], context: Context) -> bool:
        """Whether a ``dict`` stands for the whole request, which it sees as the JSON that was sent."""
        request = context.request
        if context.caller is not None:
            return False
        whole = name in self._request or (inputs is request.inputs and len(self._names) == 1)
        return whole and request.body is not None


def _body(request: InferRequest) -> dict[str, Any]:
    if not isinstance(request.body, dict):
        raise InvalidInput(f"the body is a {type(request.body).__name__}; this model expects an object")
    return request.body
