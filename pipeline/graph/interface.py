"""What a step takes and gives, as far as it can be told before a request. Step kinds say it, checks and plans read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.tensors.forms import TAKES_ALL, TAKES_JSON, Form
from pipeline.tensors.signature import TensorSpec


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter that a tensor (or a header, or JSON) feeds; ``spec`` where its author declared one.

    ``item``: the form of one item, where the step loops over this parameter.
    """

    name: str
    form: Form = Form.ANY
    spec: TensorSpec | None = None
    required: bool = True
    item: Form | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """``takes_rest``: whatever else there is is taken too (``**kwargs``, the whole request, a model's feature names).

    ``gives``: output name → spec (None: the name alone is known); None where nothing is known. ``blocking``: the code
    is synchronous. ``limit``: how many requests may be in it at once where the user does not say (None: no bound);
    ``queue``: how many may wait for that where the user does not say; None: as many as for most steps.
    ``keeps_state``: it is 1 because the code may keep state between calls. ``named_parameters``: the author named them,
    and they are all that there is but for the rest; a model and a server take a tensor under any name.
    ``takes_bytes``: a body that is no JSON is taken, as the bytes it is. ``explains``: it explains too.
    """

    parameters: tuple[Parameter, ...]
    gives: Mapping[str, TensorSpec | None] | None
    blocking: bool
    limit: int | None
    takes_rest: bool = False
    reads_request: bool = False
    queue: float | None = None
    keeps_state: bool = False
    named_parameters: bool = False
    takes_bytes: bool = False
    explains: bool = False

    @property
    def takes_all(self) -> bool:
        """Whether any tensor that reaches the step is read by it."""
        return self.takes_rest or (len(self.parameters) == 1 and self.parameters[0].form in TAKES_ALL)

    @property
    def takes_json(self) -> bool:
        """Whether the step can work on a request's JSON as it was sent."""
        return self.reads_request or any(parameter.form in TAKES_JSON for parameter in self.parameters)

    @property
    def reads_body(self) -> bool:
        """Whether the step may look at the whole request as it was sent."""
        return self.reads_request or any(parameter.form is Form.DICT for parameter in self.parameters)

    @property
    def takes_tensors(self) -> bool:
        """Whether the step reads tensors by name: JSON as it was sent has none, and goes to one parameter at most."""
        return (
            self.takes_rest
            or len(self.parameters) > 1
            or any(parameter.form not in TAKES_JSON for parameter in self.parameters)
        )

    def parameter(self, name: str) -> Parameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)
