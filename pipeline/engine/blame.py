"""Whose fault a value is that a step cannot take: the caller's where the request brought it, else the author's.

A request brings a value that is handed on as it is, and what goes through most steps unharmed: NaN, infinities, numbers
past the range of FP32 (to which many models convert), and having no elements.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping

import numpy as np

from pipeline.engine.step import Context
from pipeline.errors import InferError, InvalidInput, WrongAnswer
from pipeline.graph.dag import readings_of
from pipeline.graph.spec import HEADERS, PARAMETERS, REQUEST, RESERVED, StepSpec
from pipeline.tensors.forms import Bound
from pipeline.tensors.shown import quoted
from pipeline.tensors.tensor import Json, Tensor, Value


class Blame:
    """Decides for one step, from where its inputs come."""

    def __init__(self, step: StepSpec) -> None:
        self._step = step.name
        self._each = step.each
        references = step.references
        named = step.inputs if isinstance(step.inputs, Mapping) else {}
        self._named = {to or str(reference.name): reference for to, reference in readings_of(step)}
        self._all_from_caller = all(reference.source in RESERVED for reference in references)
        self._merges_request = not named and any(str(reference) == REQUEST for reference in references)
        # The names that only the caller can give: bound by a map, or kept by a merge of single tensors.
        self._from_caller = {name for name, reference in named.items() if reference.source in RESERVED} | {
            str(reference.name) for reference in references if not named and reference.source in RESERVED
        }

    def misfit(self, name: str, value: Bound | None, context: Context, reason: str) -> InferError:
        """The error to raise: ``value`` (None: nothing came) cannot be the step's ``name``, because of ``reason``."""
        if context.caller is not None:
            return self._misfit_of_call(name, value, context, reason)
        # An item is an object of its own, and comes from where all of them do.
        origin = value if context.whole is None or name not in (context.whole.name, self._each) else context.whole.value
        sent = next((key for key, own in context.request.inputs.items() if _is(own, origin)), None)
        # What steps give is the same for every request; what is missing beside a whole request, the request lacks.
        lacking = value is None and self._merges_request
        if sent is not None or lacking or self._all_from_caller or name in self._from_caller:
            return InvalidInput(f"input {quoted(sent or name)} {reason}")
        return self._odd(name, value, context, reason) or WrongAnswer(
            f'step "{self._step}": its input "{name}" {reason}'
        )

    def _misfit_of_call(self, name: str, value: Bound | None, context: Context, reason: str) -> InferError:
        if self._left_to_request(name, value, context):
            return InvalidInput(f"input {quoted(name)} {reason}")
        return self._odd(name, value, context, reason) or WrongAnswer(
            f'step "{self._step}", called by step "{context.caller}": its input "{name}" {reason}'
        )

    def made_by_caller(self, inputs: Mapping[str, Bound], context: Context) -> bool:
        """Whether another step called this one, with nothing among the inputs that the request answers for."""
        return context.caller is not None and not any(
            self._left_to_request(name, value, context) or self._odd(name, value, context, "") is not None
            for name, value in inputs.items()
        )

    def _left_to_request(self, name: str, value: Bound | None, context: Context) -> bool:
        """Through a handle its caller gives the inputs, but for headers and parameters that it left to the request."""
        reference = self._named.get(name)
        if not isinstance(value, Json) or reference is None or reference.source not in (HEADERS, PARAMETERS):
            return False
        own = context.headers if reference.source == HEADERS else context.parameters
        return own.get(str(reference.name)) is value.value

    def _odd(self, name: str, value: Bound | None, context: Context, reason: str) -> InferError | None:
        if isinstance(value, Tensor) and (source := _started_by(value, context.request.inputs)) is not None:
            return InvalidInput(f'input {quoted(source)} does not suit step "{self._step}", whose "{name}" {reason}')
        return None


def _is(sent: Value, value: Bound | None) -> bool:
    """Whether this is what was sent. Code that hands it on gives the same memory, or the same items, in a new value."""
    match sent, value:
        case Tensor(datatype, array), Tensor() if array.size:
            same = datatype is value.datatype and array.shape == value.shape and array.strides == value.array.strides
            return same and array.ctypes.data == value.array.ctypes.data
        case Json(list() as own), Json(list() as items):
            return len(own) == len(items) and all(map(operator.is_, own, items))
        case Json(dict() as own), Json():
            return own is value.value
        case _:
            return sent is value


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
