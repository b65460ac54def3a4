"""Rows and columns, which models of tables read: from one tensor, or from one per feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.graph.words import meant
from pipeline.runtimes.catalog import Misfit
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Bound, Form, convert
from pipeline.tensors.signature import TensorSpec
from pipeline.tensors.tensor import Json, Tensor

# scikit-learn's own name of what a model reads, for metadata where the model was fitted without names.
INPUT = "X"


def table(
    inputs: Mapping[str, Bound],
    names: Sequence[str],
    one: Callable[[str, Bound], Any],
    columns: Callable[[Mapping[str, Bound]], Any],
) -> tuple[str, Any]:
    """What the model reads, and a name for its errors: ``one`` of the only tensor, or ``columns`` of one per feature.

    ``names``: those of the features, in order, where they have any. Raises Misfit.
    """
    if len(inputs) == 1:
        ((name, value),) = inputs.items()
        return name, one(name, value)
    if not inputs:
        raise Misfit(INPUT, "is missing")
    missing = [name for name in names if name not in inputs]
    if not names or missing:
        has = ", ".join(f'"{name}"' for name in inputs)
        lacks = f'the feature "{missing[0]}" is missing from {has}' if names else f"expected one tensor, got {has}"
        raise Misfit(missing[0] if missing else next(iter(inputs)), f"cannot be read: {lacks}")
    odd = next((name for name in inputs if name not in names), None)
    if odd is not None:
        raise Misfit(odd, f"is no feature of the model{meant(odd, names)}")
    try:
        return names[0], columns({name: inputs[name] for name in names})
    except ValueError as error:
        raise Misfit(names[0], f"does not fit: {error}") from None


def check_features(name: str, shape: tuple[int, ...], features: int) -> None:
    """Raises Misfit where that is not the shape of rows with so many features."""
    if len(shape) != 2 or shape[1] != features:
        raise Misfit(name, f"does not fit: expected [-1,{features}], got [{','.join(map(str, shape))}]")


def specs(features: int, names: Sequence[str], datatype: Datatype) -> dict[str, TensorSpec]:
    """What such a model takes: one tensor per feature where they have names, else one for all; of any number."""
    if len(names) > 1:
        return {name: TensorSpec(datatype, (-1,), any_number=True) for name in names}
    return {name: TensorSpec(datatype, (-1, features), any_number=True) for name in names or [INPUT]}


def stacked(inputs: Mapping[str, Bound]) -> np.ndarray[Any, Any]:
    """A matrix with a column per input, or several where one is a matrix itself. Raises ValueError."""
    arrays = [convert(Form.ARRAY, value) for value in inputs.values()]
    return np.column_stack([array.reshape(len(array), -1) for array in arrays])


def numbers(inputs: Mapping[str, Bound], names: Sequence[str], features: int) -> tuple[str, np.ndarray[Any, Any]]:
    """The numbers that a model of trees reads, [rows, features], and a name for its errors. Raises Misfit."""

    def one(name: str, value: Bound) -> np.ndarray[Any, Any]:
        match value:
            case Tensor(Datatype.BYTES):
                raise Misfit(name, "is text, which the model does not take; it takes numbers")
            case Tensor():
                return value.numbers
            case Json(list() as rows):
                return _framed(name, rows, names)
            case _:
                raise Misfit(name, "is JSON; the model reads a tensor")

    name, matrix = table(inputs, names, one, stacked)
    check_features(name, matrix.shape, features)
    if matrix.dtype.kind not in "biuf":
        raise Misfit(name, "is no number; the model takes numbers")
    return name, matrix


def answered(
    ask: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]], rows: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """What ``ask`` answers to the rows. To none, none of what it answers to one: libraries of trees warn, or refuse."""
    return ask(rows) if len(rows) else ask(np.ones((1, rows.shape[1])))[:0]


def _framed(name: str, rows: list[Any], names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Rows that are JSON objects, by the names of the features where they have any; null is a missing number."""
    try:
        frame = convert(Form.FRAME, Json(rows))
        missing = [own for own in names if own not in frame.columns]
        if missing:
            raise Misfit(name, f'is JSON without the feature "{missing[0]}"{meant(missing[0], list(frame.columns))}')
        matrix: np.ndarray[Any, Any] = (frame[list(names)] if names else frame).to_numpy(dtype=np.float64)
    except Misfit:
        raise
    except (ValueError, TypeError) as error:
        raise Misfit(name, f"is JSON, which the model cannot read: {error}") from None
    return matrix
