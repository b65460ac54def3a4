"""Inputs that fit what is known of a model, to try it with; pure."""

from __future__ import annotations

import math

import numpy as np

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.signature import Expectation, TensorSpec
from pipeline.tensors.tensor import Tensor, byte_strings, locked

# What a tensor is called that a model takes under any name.
_ANY_NAME = "rows"
# What people still read: an image written out as numbers fills screens, and helps nobody.
_MOST_ELEMENTS = 1024


def sample(expectation: Expectation) -> dict[str, Tensor] | None:
    """Input name → zeros (or "text") in the known inputs, one row where a dimension is open; None where that is large.

    Optional inputs are left out where two others are there: a tensor by itself may travel without its name, and is then
    taken for the only one.
    """
    known = expectation.signature.inputs
    needed = {name: spec for name, spec in known.items() if not spec.optional}
    names = [name for name in expectation.names if name not in known]
    shown = needed if len(needed) + len(names) > 1 else known
    if sum(math.prod(_shape(spec)) for spec in shown.values()) > _MOST_ELEMENTS:
        return None
    inputs = {name: _zeros(spec) for name, spec in shown.items()}
    return (inputs | {name: _any_rows() for name in names}) or {_ANY_NAME: _any_rows()}


def _zeros(spec: TensorSpec) -> Tensor:
    shape = _shape(spec)
    if spec.datatype is Datatype.BYTES:
        return Tensor(spec.datatype, locked(byte_strings([b"text"] * math.prod(shape), shape)))
    return Tensor(spec.datatype, locked(np.zeros(shape, spec.datatype.dtype)))


def _shape(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(1 if size < 0 else size for size in spec.shape)


def _any_rows() -> Tensor:
    """Nothing is known of the input: two rows of one number suit more functions than anything else."""
    return Tensor(Datatype.INT64, locked(np.array([1, 2])))
