"""What a Python caller passes to ``infer``, as what a request holds. Raises InvalidInput that names the argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.errors import InvalidInput
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.nested import array_of, flatten, natural_datatype
from pipeline.tensors.shown import quoted
from pipeline.tensors.signature import TensorSpec
from pipeline.tensors.tensor import Json, Raw, Tensor, Value, frozen, tensor


def value_of(name: str, given: Any, spec: TensorSpec | None = None) -> Value:
    """An array, a rectangular list, a number, text or ``bytes`` is a tensor; a dict and any other list are JSON.

    What is no array is of the datatype that ``spec`` expects, and refused where its values do not fit. Raises
    InvalidInput naming the input, for anything else too.
    """
    match given:
        case Json() | Raw(bytes()):
            return given
        case Tensor():
            return _checked(name, given)
        case dict():
            return Json(given)
        case _ if hasattr(given, "__array__"):
            # Not by its class: numpy brings numpy.ma along only for those who use it.
            if hasattr(given, "mask") and hasattr(given, "filled"):
                reason = "is a masked array, and a tensor has no mask"
                raise InvalidInput(f"input {quoted(name)} {reason}; fill it: array.filled(value)")
            try:
                return tensor(np.asarray(given))
            except TypeError as error:
                raise InvalidInput(f'input "{name}": {error}') from None
        case list() | tuple() | bool() | int() | float() | str() | bytes():
            return _listed(name, given, spec)
        case _:
            kinds = "an array, a list, a number, text, bytes or a dict"
            raise InvalidInput(f'input "{name}" is a {type(given).__name__}; it is {kinds}')


def _listed(name: str, given: Any, spec: TensorSpec | None) -> Value:
    elements: list[Any] | None = None
    try:
        elements, shape = flatten(given)
        return fitting(elements, shape, spec)
    except ValueError as error:
        # As with what a step returns: a list that is no tensor is JSON.
        if isinstance(given, list) and (elements is None or spec is None):
            return Json(given)
        raise InvalidInput(f"input {quoted(name)}: {error}") from None


def fitting(elements: list[Any], shape: tuple[int, ...], spec: TensorSpec | None) -> Tensor:
    """Values without a datatype, in the one that is expected, which they must fit; where none is, in their natural one.

    ``shape`` is that of the elements' nesting. Raises ValueError as ``natural_datatype`` and ``array_of`` do.
    """
    if spec is not None:
        try:
            return Tensor(spec.datatype, array_of(elements, spec.datatype, shape))
        except ValueError as error:
            if not spec.any_number:
                raise ValueError(f"expected {spec}; {error}") from None
    datatype = natural_datatype(elements, shape)
    return Tensor(datatype, array_of(elements, datatype, shape))


def _checked(name: str, given: Tensor) -> Tensor:
    """A tensor that its caller made by hand. BF16 may come as its raw bits."""
    datatype, array = given.datatype, given.array
    if not isinstance(array, np.ndarray):
        raise InvalidInput(f"input {quoted(name)}: a Tensor holds an array, not a {type(array).__name__}")
    if datatype is Datatype.BF16 and array.dtype == np.uint16:
        array = array.view(datatype.dtype)
    if array.dtype != datatype.dtype:
        reason = f"a Tensor of {datatype.name} holds an array of {datatype.dtype}, not of {array.dtype}"
        raise InvalidInput(f"input {quoted(name)}: {reason}")
    held = frozen(array)
    return given if held is given.array else Tensor(datatype, held)


def mapping_of(what: str, given: Any) -> Mapping[str, Any]:
    """An argument that is a map by name."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f'{what} is a map by name, like {{"x": array}}, not a {type(given).__name__}')
    for name in given:
        if not isinstance(name, str):
            raise InvalidInput(f"{what} is a map by name, and a name is text, not {name!r}")
    return given
