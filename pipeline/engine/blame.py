"""Whose fault a value is that a step cannot take: the caller's where the request brought it, else the author's."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.engine.step import Context
from pipeline.errors import InferError, InvalidInput, WrongAnswer
from pipeline.graph.spec import REQUEST, RESERVED, StepSpec
from pipeline.tensors.forms import Bound
from pipeline.tensors.shown import quoted


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
        return WrongAnswer(f'step "{self._step}": its input "{name}" {reason}')
