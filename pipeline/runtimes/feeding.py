"""Inputs of a step → the tensors that a model names, which must be of its datatypes and dimensions; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.graph.words import listed, meant
from pipeline.runtimes.catalog import Misfit
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.forms import Bound, describe
from pipeline.tensors.signature import TensorSpec
from pipeline.tensors.tensor import Tensor, locked

# What holds every value of the first without loss, the narrowest first. (numpy's "safe" lets INT64 be FP64.)
_WIDER = {
    Datatype.INT8: (Datatype.INT16, Datatype.INT32, Datatype.INT64, Datatype.FP16, Datatype.FP32, Datatype.FP64),
    Datatype.INT16: (Datatype.INT32, Datatype.INT64, Datatype.FP32, Datatype.FP64),
    Datatype.INT32: (Datatype.INT64, Datatype.FP64),
    Datatype.UINT8: (
        *(Datatype.UINT16, Datatype.UINT32, Datatype.UINT64, Datatype.INT16, Datatype.INT32, Datatype.INT64),
        *(Datatype.FP16, Datatype.FP32, Datatype.FP64),
    ),
    Datatype.UINT16: (
        *(Datatype.UINT32, Datatype.UINT64, Datatype.INT32, Datatype.INT64, Datatype.FP32, Datatype.FP64),
    ),
    Datatype.UINT32: (Datatype.UINT64, Datatype.INT64, Datatype.FP64),
    Datatype.FP16: (Datatype.FP32, Datatype.FP64),
    Datatype.BF16: (Datatype.FP32, Datatype.FP64),
    Datatype.FP32: (Datatype.FP64,),
}


def fed(inputs: Mapping[str, Bound], names: Mapping[str, TensorSpec | None]) -> dict[str, tuple[str, Bound]]:
    """The model's name → under which name what it reads came, and what. Raises Misfit.

    A model with one input takes the only one there is, whatever its name. ``names`` are those of the model's.
    """
    if len(names) == 1 and len(inputs) == 1:
        (pair,) = inputs.items()
        return dict.fromkeys(names, pair)
    there_is = f"; there is {listed(quoted)}" if (quoted := [f'"{name}"' for name in inputs]) else ""
    for name in names:
        if name not in inputs:
            raise Misfit(name, f"is missing{there_is}")
    for name in inputs:
        if name not in names:
            raise Misfit(name, f"is no input of the model{meant(name, names)}")
    return {name: (name, inputs[name]) for name in names}


def fitted(name: str, value: Bound, datatype: Datatype, spec: TensorSpec | None) -> Tensor:
    """The value as a tensor of exactly that datatype; a narrower one is widened where that loses nothing.

    ``spec``: of that datatype, None for any shape. Raises Misfit that says what came and what the model takes.
    """
    match value:
        case Tensor(own, array) if own is datatype or datatype in _WIDER.get(own, ()):
            if spec is None or _has_shape(array.shape, spec.shape):
                return value if own is datatype else Tensor(datatype, locked(value.numbers.astype(datatype.dtype)))
    raise Misfit(name, f"is {describe(value)}; the model takes {spec or datatype.name}")


def text(name: str, value: Tensor) -> np.ndarray[Any, Any]:
    """The elements of BYTES as text, which is what models read. Raises Misfit where one is not UTF-8."""
    texts = np.empty(value.array.size, dtype=np.object_)
    try:
        texts[:] = [element.decode() for element in value.array.ravel().tolist()]
    except UnicodeDecodeError:
        raise Misfit(name, "is BYTES that are not UTF-8; the model reads text") from None
    return texts.reshape(value.array.shape)


def _has_shape(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(want in (size, -1) for size, want in zip(shape, wanted, strict=True))
