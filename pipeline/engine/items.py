"""The items of a step that runs once per item: what each call reads, and the whole of what they give. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from pipeline.engine.blame import Blame
from pipeline.engine.step import Context
from pipeline.errors import InvalidInput, WrongAnswer, noted, retold
from pipeline.graph.edges import Names
from pipeline.graph.interface import Interface
from pipeline.graph.spec import StepSpec
from pipeline.graph.words import listed
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Bound, describe
from pipeline.tensors.signature import TensorSpec
from pipeline.tensors.tensor import Json, Raw, Tensor, Value, locked


class Items:
    """The items of one step's input, and the whole of its results. Pure; ``interface`` is that of the whole loop.

    ``gives``: what is known of the whole of its results, for where there are none.
    """

    def __init__(self, step: StepSpec, interface: Interface, gives: Names) -> None:
        self.step = step.name
        self.name = str(step.each)
        self._blame = Blame(step)
        self._gives = gives
        # As binding has it: one parameter takes the only value there is, whatever its name; and so does a model.
        self._takes_only = len(interface.parameters) == 1 and not (interface.named_parameters and interface.takes_rest)

    def items(self, inputs: Mapping[str, Bound], context: Context) -> tuple[Several, Context]:
        """What each call reads, and the context of each.

        Raises InvalidInput or WrongAnswer, by blame, where there is nothing to loop over.
        """
        key = self.name
        if key not in inputs and self._takes_only and len(inputs) == 1:
            (key,) = inputs
        value = inputs.get(key)
        if isinstance(value, Mapping) and len(value) == 1:
            (value,) = value.values()
        match value:
            case Tensor() if value.array.ndim:
                return _OfTensor(inputs, key, value), context.looping(key, value)
            case Json(list() as elements):
                return [{**inputs, key: Json(element)} for element in elements], context.looping(key, value)
            case None:
                has = listed(f'"{name}"' for name in inputs) if inputs else "none"
                raise self._blame.misfit(self.name, None, context, f"is missing; there is {has}")
            case _:
                reason = f"has no items to loop over: expected an axis, or a JSON list, got {describe(value)}"
                if key != self.name and key in context.request.inputs:
                    # It came under any name, and is known by the one that is asked for.
                    reason = f'is read as "{self.name}" and {reason}'
                raise self._blame.misfit(self.name, value, context, reason)

    def whole(self, results: Sequence[Mapping[str, Value]]) -> Mapping[str, Value]:
        """The outputs by name. Raises WrongAnswer, naming the items, where they do not go together."""
        if not results:
            return {name: _empty(spec) for name, spec in self._gives.items()}
        first = results[0]
        for number, result in enumerate(results):
            if result.keys() != first.keys():
                raise self._odd(number, f"gives {_quoted(result)}", f"gives {_quoted(first)}")
        return {name: self._gathered(name, [result[name] for result in results]) for name in first}

    def of_item(self, error: Exception, number: int) -> Exception:
        """What to raise for an error of that item, which is said in it; to the caller too, where an input is at fault.

        An author may raise one object for many requests: it stays as it is, and another is raised for it.
        """
        which = f'item {number} of "{self.name}"'
        if isinstance(error, InvalidInput):
            told = f"{which}: {error.message}"
            own = retold(
                type(error), error.code, told, status=error.status, headers=error.headers, internals=error.internals
            )
            own.__cause__ = error
            error = own.with_traceback(error.__traceback__)
        noted(error, f"in {which}")
        return error

    def _gathered(self, name: str, values: Sequence[Value]) -> Value:
        match values[0]:
            case Json():
                for number, value in enumerate(values):
                    if not isinstance(value, Json):
                        raise self._odd(number, f'has {describe(value)} as "{name}"', "has JSON")
                return Json([value.value for value in values if isinstance(value, Json)])
            case Tensor(datatype, array) as own:
                arrays = []
                for number, value in enumerate(values):
                    fits = isinstance(value, Tensor) and value.datatype is datatype and value.shape == array.shape
                    if not fits or not isinstance(value, Tensor):
                        raise self._odd(number, f'has {describe(value)} as "{name}"', f"has {own.describe()}")
                    arrays.append(value.array)
                return Tensor(datatype, locked(np.stack(arrays)))
            case Raw() as own:
                told = f'item 0 of "{self.name}" gives {own.describe()}, and of such there is no whole'
                raise WrongAnswer(f'step "{self.step}": {told}')

    def _odd(self, number: int, has: str, first: str) -> WrongAnswer:
        return WrongAnswer(f'step "{self.step}": item {number} of "{self.name}" {has}, and item 0 {first}')


class Several(Protocol):
    """What each call reads, by number."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int, /) -> Mapping[str, Bound]: ...


class _OfTensor:
    """The items of a tensor, made when they are asked for."""

    def __init__(self, inputs: Mapping[str, Bound], key: str, tensor: Tensor) -> None:
        self._inputs = inputs
        self._key = key
        self._tensor = tensor

    def __len__(self) -> int:
        return len(self._tensor.array)

    def __getitem__(self, number: int, /) -> Mapping[str, Bound]:
        array = self._tensor.array
        # Not array[number], which of one axis is a number and no array.
        item = array[number : number + 1].reshape(array.shape[1:])
        return {**self._inputs, self._key: Tensor(self._tensor.datatype, item)}


def _empty(spec: TensorSpec | None) -> Tensor:
    """No results, of the shape that is declared as far as it is known; else numbers, which most results are."""
    if spec is None:
        return Tensor(Datatype.FP64, locked(np.empty(0)))
    shape = tuple(dim if isinstance(dim, int) and dim >= 0 else 0 for dim in spec.dims[1:])
    return Tensor(spec.datatype, locked(np.empty((0, *shape), dtype=spec.datatype.dtype)))


def _quoted(names: Mapping[str, Value]) -> str:
    return listed(f'"{name}"' for name in names) if names else "nothing"
