"""What a step function returned, as values by name.

An array, a number, text, bytes or a rectangular list is one tensor, named as the step; a dict whose values are all
arrays is tensors by name, so is a DataFrame; an InferResponse is itself; any other dict and a ragged list are JSON;
Raw goes out as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pipeline.errors import WrongAnswer
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import InferResponse
from pipeline.tensors.nested import tensor_of
from pipeline.tensors.tensor import Json, Raw, Tensor, Value, frozen, tensor


def values_of(step: str, answer: Any) -> Mapping[str, Value]:
    """``answer`` of that step as name → tensor or JSON. Raises WrongAnswer naming the step and the type that came."""
    if type(answer) is np.ndarray:
        return {step: _tensor(step, answer)}
    match answer:
        case dict():
            return _by_name(step, answer)
        case InferResponse():
            return {_name(step, name): _kept(step, value) for name, value in answer.outputs.items()}
        case Raw():
            return {step: _raw(step, answer)}
        case _ if _is_frame(answer):
            return {_name(step, name): _tensor(step, column.to_numpy()) for name, column in answer.items()}
        case _ if hasattr(answer, "__array__"):
            return {step: _tensor(step, np.asarray(answer))}
        case bool() | int() | float() | str() | bytes():
            return {step: _scalar(step, answer)}
        case list() | tuple():
            return {step: _listed(step, answer)}
        case None:
            raise WrongAnswer(f'step "{step}" returned None; a step returns its result')
        case _:
            raise WrongAnswer(f'step "{step}" returned a {type(answer).__name__}, which is neither tensor nor JSON')


def _by_name(step: str, answer: dict[Any, Any]) -> Mapping[str, Value]:
    if not _are_arrays(answer.values()):
        return {step: Json(answer)}
    found: dict[str, Value] = {}
    for name, array in answer.items():
        found[name if type(name) is str else _name(step, name)] = _tensor(step, np.asarray(array))
    return found


def _are_arrays(values: Iterable[Any]) -> bool:
    """Whether all are arrays. Arithmetic on one without dimensions makes numpy scalars, which beside it count too."""
    some = False
    for value in values:
        if isinstance(value, np.ndarray):
            some = True
        elif not isinstance(value, np.generic):
            return False
    return some


def _tensor(step: str, array: np.ndarray[Any, Any]) -> Value:
    try:
        return tensor(array)
    except TypeError as error:
        raise WrongAnswer(f'step "{step}" returned an array that is no tensor: {error}') from None


def _kept(step: str, value: Any) -> Value:
    """An output of an InferResponse that the author made: a tensor put in order, JSON, or an array."""
    match value:
        case Json():
            return value
        case Raw():
            return _raw(step, value)
        case Tensor(datatype, array) if array.dtype == datatype.dtype:
            return Tensor(datatype, frozen(array)) if datatype is Datatype.BF16 else _tensor(step, array)
        case Tensor(datatype, array):
            raise WrongAnswer(f'step "{step}" returned a tensor of {datatype.name} whose array is of {array.dtype}')
        case np.ndarray():
            return _tensor(step, value)
        case _:
            raise WrongAnswer(
                f'step "{step}" returned an InferResponse with a {type(value).__name__} among its outputs'
            )


def _raw(step: str, raw: Raw) -> Raw:
    if isinstance(raw.data, bytes) or hasattr(raw.data, "__aiter__"):
        return raw
    kind = type(raw.data).__name__
    raise WrongAnswer(f'step "{step}" returned Raw of a {kind}; it is of bytes, or of an async iterator of them')


def _scalar(step: str, answer: Any) -> Value:
    try:
        return tensor_of(answer)
    except ValueError as error:
        raise WrongAnswer(f'step "{step}" returned a value that is no tensor: {error}') from None


def _listed(step: str, answer: Any) -> Value:
    """A rectangular list of one kind is a tensor, a list of equal arrays a stack of them; any other list is JSON."""
    if answer and all(isinstance(row, np.ndarray | np.generic) for row in answer):
        if len({np.shape(row) for row in answer}) == 1:
            return _tensor(step, np.asarray(answer))
        return Json([row.tolist() for row in answer])
    try:
        return tensor_of(answer)
    except ValueError:
        pass
    try:
        return tensor_of(_plain(answer))
    except ValueError:
        return Json(list(answer))


def _plain(answer: Any) -> Any:
    """The same lists with numpy's arrays and numbers as Python's."""
    match answer:
        case list() | tuple():
            return [_plain(inner) for inner in answer]
        case np.ndarray() | np.generic():
            return answer.tolist()
        case _:
            return answer


def _is_frame(answer: Any) -> bool:
    """Whether it is a DataFrame; pandas is not imported to find out (who made one has it imported)."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(answer, pandas.DataFrame)


def _name(step: str, name: Any) -> str:
    if isinstance(name, str):
        return name
    raise WrongAnswer(f'step "{step}" names a tensor {name!r}; the name of a tensor is a text')
