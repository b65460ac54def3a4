"""What a caller asks and what it is answered, free of any protocol.

Codecs turn bytes into a Command and a Result into bytes; the server matches on the closed unions at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pipeline.tensors.signature import Signature
from pipeline.tensors.tensor import Json, Raw, Tensor, Value

if TYPE_CHECKING:
    import numpy as np

Verb = Literal["predict", "explain"]

MAX_INPUTS = 16_384
"""Tensors in one request: more than any table has columns, and few enough that each can be looked at."""


class InferRequest(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One request to a model.

    ``outputs`` names the tensors the caller wants, in its order; empty means all. ``timeout`` is the caller's own
    budget in seconds. ``body`` is the JSON as it was sent, for steps that ask for ``dict`` or ``InferRequest``; None
    where there was none (binary, in process). ``plain``: the body is the caller's own, JSON or the bytes of what is
    none, and ``inputs`` are a reading of it; where it is not, the protocol itself carries tensors.
    ``input_parameters``: those of single inputs, by the input's name.
    """

    model: str
    inputs: Mapping[str, Value]
    id: str = ""
    version: str = ""
    outputs: Sequence[str] = ()
    parameters: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    timeout: float | None = None
    body: Any = None
    plain: bool = False
    input_parameters: Mapping[str, Mapping[str, Any]] = {}

    def __getitem__(self, name: str) -> Any:
        """The array of that input (or its JSON value)."""
        return plain(_named(self.inputs, name, "input"))


class InferResponse(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """The answer: output name → tensor or JSON, in the order of the graph (or of the request's ``outputs``).

    ``headers`` are for the transport, names in lower case. ``output_parameters``: those of single outputs, by name.
    """

    model: str
    outputs: Mapping[str, Value]
    id: str = ""
    version: str = ""
    parameters: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    output_parameters: Mapping[str, Mapping[str, Any]] = {}

    def __getitem__(self, name: str) -> Any:
        """The array of that output (or its JSON value)."""
        return plain(_named(self.outputs, name, "output"))


def _named(values: Mapping[str, Value], name: str, role: str) -> Value:
    if name not in values:
        raise KeyError(f'no {role} "{name}"; there is {", ".join(values) or "none"}')
    return values[name]


def plain(value: Value) -> np.ndarray[Any, Any] | Any:
    """What a Python caller means by the value: the array, the JSON, or the bytes."""
    match value:
        case Tensor():
            return value.array
        case Json():
            return value.value
        case Raw():
            return value.data


# ---- the closed union of what can be asked …


class Infer(msgspec.Struct, frozen=True, eq=False):
    request: InferRequest
    verb: Verb


class AskLive(msgspec.Struct, frozen=True):
    """Is the process able to answer at all?"""


class AskReady(msgspec.Struct, frozen=True):
    """Has the server loaded what it was started for, and is it not draining?"""


class AskServer(msgspec.Struct, frozen=True):
    """Name, version and extensions of the server."""


class AskModels(msgspec.Struct, frozen=True):
    """The names of all models."""


class AskModel(msgspec.Struct, frozen=True):
    """Metadata of one model."""

    model: str
    version: str = ""


class AskModelReady(msgspec.Struct, frozen=True):
    model: str
    version: str = ""


class AskIndex(msgspec.Struct, frozen=True):
    """The states of all models, of those that could be loaded too; ``ready``: of those that are alone."""

    ready: bool = False


class LoadModel(msgspec.Struct, frozen=True):
    """What lies under that name now is to be served, in the place of what is."""

    model: str


class UnloadModel(msgspec.Struct, frozen=True):
    """That name is to be gone, in all its versions."""

    model: str


Question = AskLive | AskReady | AskServer | AskModels | AskModel | AskModelReady
"""What is answered at once."""
OfRepository = AskIndex | LoadModel | UnloadModel
"""What is asked of the repository that the models come from."""
Command = Infer | Question | OfRepository


# ---- … and of what is answered


class Live(msgspec.Struct, frozen=True):
    live: bool


class Ready(msgspec.Struct, frozen=True):
    ready: bool


class ServerMetadata(msgspec.Struct, frozen=True):
    """``extensions``: what the protocol does beyond its base; what a codec of ours does, it names by itself."""

    name: str
    version: str
    extensions: Sequence[str] = ()


class Models(msgspec.Struct, frozen=True):
    names: Sequence[str]


class ModelMetadata(msgspec.Struct, frozen=True, eq=False):
    name: str
    versions: Sequence[str]
    platform: str
    signature: Signature


class ModelReady(msgspec.Struct, frozen=True):
    name: str
    ready: bool


Availability = Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]


class ModelState(msgspec.Struct, frozen=True):
    """``version`` is empty where nothing is served; ``reason``: why it is not ready, as far as that is known."""

    name: str
    version: str
    state: Availability
    reason: str = ""


class Index(msgspec.Struct, frozen=True):
    models: Sequence[ModelState]


class Loaded(msgspec.Struct, frozen=True):
    name: str


class Unloaded(msgspec.Struct, frozen=True):
    name: str


Result = InferResponse | Live | Ready | ServerMetadata | Models | ModelMetadata | ModelReady | Index | Loaded | Unloaded
