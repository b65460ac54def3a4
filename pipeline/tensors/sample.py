"""Inputs that fit what is known of a model, to try it with; pure."""

from __future__ import annotations

import math

import numpy as np

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.signature import Expectation, TensorSpec
from pipeline.tensors.tensor import Tensor, byte_strings, locked

# What a tensor is called that a model takes under any name.
_ANY_NAME = "rows"
_ANY = TensorSpec(Datatype.INT64, (-1,), any_number=True)
# What people still read: an image written out as numbers fills screens, and helps nobody.
_MOST_ELEMENTS = 1024


def sample(expectation: Expectation, *, most: int = _MOST_ELEMENTS) -> dict[str, Tensor] | None:
    """Input name → zeros (or "text") in the inputs that are known or guessed, one row where a dimension is open.

    Optional inputs are left out, unless there are no others. None
    where the whole has more than ``most`` elements, and where none fits.
    """
    specs = {**expectation.hints, **expectation.signature.inputs}
    specs |= {name: _ANY for name in expectation.names if name not in specs}
    shown = {name: spec for name, spec in specs.items() if not spec.optional} or specs or {_ANY_NAME: _ANY}
    if not expectation.unguessed.isdisjoint(shown):
        return None
    if sum(math.prod(_shape(spec)) for spec in shown.values()) > most:
        return None
    known = expectation.signature.inputs
    return {
        name: _any_rows() if spec.any_number and name not in known else _zeros(spec) for name, spec in shown.items()
    }


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
