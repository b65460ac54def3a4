"""Whose fault a value is that a step cannot take: the caller's where the request brought it, else the author's.

A request brings a value that is handed on as it is, and what goes through most steps unharmed: NaN, infinities, numbers
past the range of FP32 (to which many models convert), and having no elements.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.engine.step import Context
from pipeline.errors import InferError, InvalidInput, WrongAnswer
from pipeline.graph.spec import REQUEST, RESERVED, StepSpec
from pipeline.tensors.forms import Bound
from pipeline.tensors.shown import quoted
from pipeline.tensors.tensor import Tensor, Value


class Blame:
    """Decides for one step, from where its inputs come."""

    def __init__(self, step: StepSpec) -> None:
        self._step = step.name
        references = step.references
        named = step.inputs if isinstance(step.inputs, Mapping) else {}
        self._all_from_caller = all(reference.source in RESERVED for reference in references)
        self._merges_request = not named and any(str(reference) == REQUEST for reference in references)
        # The names that only the caller can give: bound by a map, or kept by a merge of single tensors.
        self._from_caller = {name for name, reference in named.items() if reference.source in RESERVED} | {
            str(reference.name) for reference in references if not named and reference.source in RESERVED
        }

    def misfit(self, name: str, value: Bound | None, context: Context, reason: str) -> InferError:
        """The error to raise: ``value`` (None: nothing came) cannot be the step's ``name``, because of ``reason``."""
        sent = next((key for key, own in context.request.inputs.items() if own is value), None)
        # What steps give is the same for every request; what is missing beside a whole request, the request lacks.
        lacking = value is None and self._merges_request
        if sent is not None or lacking or self._all_from_caller or name in self._from_caller:
            return InvalidInput(f"input {quoted(sent or name)} {reason}")
        if isinstance(value, Tensor) and (source := _started_by(value, context.request.inputs)) is not None:
            return InvalidInput(f'input {quoted(source)} does not suit step "{self._step}", whose "{name}" {reason}')
        return WrongAnswer(f'step "{self._step}": its input "{name}" {reason}')


def _started_by(value: Tensor, sent: Mapping[str, Value]) -> str | None:
    """The input that has what is odd about the value: no elements, or numbers that many models refuse."""
    tensors = ((name, own) for name, own in sent.items() if isinstance(own, Tensor))
    if value.array.size == 0:
        return next((name for name, own in tensors if own.array.size == 0), None)
    if _is_moderate(value):
        return None
    return next((name for name, own in tensors if not _is_moderate(own)), None)


def _is_moderate(value: Tensor) -> bool:
    return not value.datatype.is_float or bool((np.abs(value.numbers) <= np.finfo(np.float32).max).all())
