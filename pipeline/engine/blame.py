"""Whose fault a value is that a step cannot take: the caller's where the request brought it, else the author's."""

from __future__ import annotations

from pipeline.engine.step import Context
from pipeline.errors import InferError, InvalidInput, WrongAnswer
from pipeline.graph.spec import RESERVED, StepSpec
from pipeline.tensors.forms import Bound


class Blame:
    """Decides for one step, from where its inputs come."""

    def __init__(self, step: StepSpec) -> None:
        self._step = step.name
        self._all_from_caller = all(reference.source in RESERVED for reference in step.references)
        named = step.inputs if isinstance(step.inputs, dict) else {}
        self._from_caller = {name for name, reference in named.items() if reference.source in RESERVED}

    def misfit(self, name: str, value: Bound | None, context: Context, reason: str) -> InferError:
        """The error to raise: ``value`` (None: nothing came) cannot be the step's ``name``, because of ``reason``."""
        sent = next((key for key, own in context.request.inputs.items() if own is value), None)
        if sent is not None or self._all_from_caller or name in self._from_caller:
            return InvalidInput(f'input "{sent or name}" {reason}')
        return WrongAnswer(f'step "{self._step}": its input "{name}" {reason}')
