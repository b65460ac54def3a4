"""A step as its handle's caller sees it: arguments become its inputs, its outputs the answer. Compiled once per handle.

What does not fit the signature is a TypeError in Python's words: the code of the step that calls is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.graph.dag import Graph, readings_of
from pipeline.graph.edges import Interfaces, source_names
from pipeline.graph.interface import Parameter
from pipeline.graph.spec import HEADERS, PARAMETERS, REQUEST, Reference, StepSpec
from pipeline.graph.words import listed
from pipeline.tensors.forms import TAKES_ALL, Bound, Form
from pipeline.tensors.given import value_of
from pipeline.tensors.message import InferRequest
from pipeline.tensors.tensor import Json, Raw, Tensor, Value, tensor

_OF_CONTEXT = (HEADERS, PARAMETERS)


class Target:
    """The inputs and the answer of one step, called by another."""

    def __init__(self, step: StepSpec, graph: Graph, interfaces: Interfaces) -> None:
        interface = interfaces[step.name]
        readings = readings_of(step)
        self.name = step.name
        self._filled = {to or str(own.name): own for to, own in readings if own.source in _OF_CONTEXT}
        self._parameters = {parameter.name: parameter for parameter in interface.parameters}
        fed = [parameter for parameter in interface.parameters if parameter.name not in self._filled]
        given = [(to, own) for to, own in readings if own.source not in _OF_CONTEXT]
        # Models and other servers take tensors under any name, and so does one parameter for all that come.
        self._any = interface.takes_rest or (interface.takes_all and not isinstance(step.inputs, Mapping))
        names_itself = interface.named_parameters and not (self._any and not interface.takes_rest)
        self._needed = [own.name for own in interface.parameters if own.required] if names_itself else []
        self._is_open = not names_itself
        self._takes_json = len(fed) == 1 and fed[0].form in (Form.DICT, Form.ANY)
        self._one: str | None = None
        self._as_sent = False
        if names_itself and fed:
            required = [own for own in fed if own.required] or fed
            self._one = required[0].name if len(required) == 1 else None
        elif len(given) == 1:
            ((to, reference),) = given
            self._one = to or reference.name or _known(reference, graph, interfaces)
            self._as_sent = reference.source == REQUEST and self._one is None
            self._one = self._one or (fed[0].name if reference.source == REQUEST and fed else reference.source)

    def inputs(
        self, positional: tuple[Any, ...], named: Mapping[str, Any], request: InferRequest
    ) -> Mapping[str, Bound]:
        """The inputs by name; headers and parameters that the step reads and nobody gives come from ``request``.

        Raises TypeError, and InvalidInput for a header or a parameter that the request lacks.
        """
        if positional:
            named = self._named(positional, named, request)
        found: dict[str, Bound] = {}
        for name, given in named.items():
            parameter = self._parameters.get(name)
            if parameter is None and not self._any and name not in self._filled:
                raise TypeError(f"{self.name}() got an unexpected keyword argument '{name}'; {self._takes}")
            found[name] = self._value(name, given, parameter)
        for name, reference in self._filled.items():
            if name not in found and (value := self._from_request(name, reference, request)) is not None:
                found[name] = value
        missing = [name for name in self._needed if name not in found]
        if missing or (self._is_open and not found):
            how_many = f"{len(missing) or 1} required argument{'s' if len(missing) > 1 else ''}"
            which = f": {listed(map(repr, missing))}" if missing else ""
            raise TypeError(f"{self.name}() missing {how_many}{which}; {self._takes}")
        return found

    def answer(self, outputs: Mapping[str, Value]) -> Any:
        """The only output, an array, JSON or bytes; of several, a dict by name. Raises WrongAnswer for a stream."""
        if len(outputs) == 1:
            (value,) = outputs.values()
            return self._plain(value)
        return {name: self._plain(value) for name, value in outputs.items()}

    def _plain(self, value: Value) -> Any:
        match value:
            case Tensor(_, array):
                return array.view()
            case Json(inner):
                return inner
            case Raw(bytes() as data):
                return data
            case _:
                raise WrongAnswer(f'step "{self.name}" gives a stream, which can be nothing but the answer of a graph')

    @property
    def _takes(self) -> str:
        if self._is_open:
            return "it takes tensors by name"
        names = list(dict.fromkeys((*self._parameters, *self._filled)))
        return f"it takes {listed(map(repr, names))}" if names else "it takes nothing"

    def _named(self, positional: tuple[Any, ...], named: Mapping[str, Any], request: InferRequest) -> Mapping[str, Any]:
        if len(positional) > 1:
            raise TypeError(
                f"{self.name}() takes 1 positional argument but {len(positional)} were given; {self._takes}"
            )
        (given,) = positional
        if isinstance(given, Mapping) and self._is_by_name(given):
            return self._together(given, named)
        one = self._one
        if self._as_sent and len(request.inputs) == 1:
            (one,) = request.inputs
        if one is None:
            raise TypeError(f"{self.name}() takes its inputs by name; {self._takes}")
        return self._together({one: given}, named) if named else {one: given}

    def _together(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in first:
            if not isinstance(name, str):
                raise TypeError(f"{self.name}() takes inputs by name, and a name is text, not {name!r}")
            if name in second:
                raise TypeError(f"{self.name}() got multiple values for argument '{name}'")
        return {**first, **second}

    def _is_by_name(self, given: Mapping[Any, Any]) -> bool:
        """Whether a map is the inputs by name, or JSON that is the one input."""
        known = self._parameters.keys() | self._filled.keys()
        is_json = self._takes_json and not any(isinstance(own, np.ndarray) for own in given.values())
        return not is_json or (bool(given) and given.keys() <= known)

    def _value(self, name: str, given: Any, parameter: Parameter | None) -> Bound:
        try:
            if type(given) is np.ndarray:
                return tensor(given)
            if parameter is not None and parameter.form in TAKES_ALL and isinstance(given, Mapping) and _arrays(given):
                return {key: value_of(key, own) for key, own in given.items()}
            return value_of(name, given, parameter.spec if parameter else None)
        except (InvalidInput, TypeError) as error:
            raise TypeError(f"{self.name}(): {error}") from None

    def _from_request(self, name: str, reference: Reference, request: InferRequest) -> Value | None:
        own: Mapping[str, Any] = request.headers if reference.source == HEADERS else request.parameters
        if (key := str(reference.name)) in own:
            return Json(own[key])
        parameter = self._parameters.get(name)
        if parameter.required if parameter else not self._any:
            kind = reference.source.removesuffix("s")
            raise InvalidInput(f'{kind} "{key}" is missing; step "{self.name}" reads it')
        return None


def _known(reference: Reference, graph: Graph, interfaces: Interfaces) -> str | None:
    names = source_names(reference.source, graph, interfaces)
    return next(iter(names)) if names is not None and len(names) == 1 else None


def _arrays(given: Mapping[Any, Any]) -> bool:
    return bool(given) and all(isinstance(own, np.ndarray) for own in given.values())
