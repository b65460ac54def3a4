"""What a Python caller passes to ``infer``, as what a request holds. Raises InvalidInput that names the argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.errors import InvalidInput
from pipeline.tensors.nested import tensor_of
from pipeline.tensors.tensor import Json, Tensor, Value, tensor


def value_of(name: str, given: Any) -> Value:
    """An array, a rectangular list, a number, text or ``bytes`` is a tensor; a dict and any other list are JSON.

    Raises InvalidInput naming the input for anything else.
    """
    match given:
        case Tensor() | Json():
            return given
        case dict():
            return Json(given)
        case _ if hasattr(given, "__array__"):
            try:
                return tensor(np.asarray(given))
            except TypeError as error:
                raise InvalidInput(f'input "{name}": {error}') from None
        case list() | tuple() | bool() | int() | float() | str() | bytes():
            try:
                return tensor_of(given)
            except ValueError as error:
                # As with what a step returns: a list that is no tensor is JSON.
                if isinstance(given, list):
                    return Json(given)
                raise InvalidInput(f'input "{name}": {error}') from None
        case _:
            kinds = "an array, a list, a number, text, bytes or a dict"
            raise InvalidInput(f'input "{name}" is a {type(given).__name__}; it is {kinds}')


def mapping_of(what: str, given: Any) -> Mapping[str, Any]:
    """An argument that is a map by name."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f'{what} is a map by name, like {{"x": array}}, not a {type(given).__name__}')
    for name in given:
        if not isinstance(name, str):
            raise InvalidInput(f"{what} is a map by name, and a name is text, not {name!r}")
    return given
