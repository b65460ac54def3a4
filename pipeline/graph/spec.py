"""What a user declares, as frozen values; every value remembers where it stands.

``Step`` is what people write in Python. ``StepSpec`` and ``GraphSpec`` are what both a file and a Python graph are read
into: names resolved to references, units to seconds, defaults left as None for the engine to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.tensors.signature import TensorSpec

REQUEST = "request"
HEADERS = "headers"
PARAMETERS = "parameters"
# What `inputs` may read besides a step; no step may take these names.
RESERVED = (REQUEST, HEADERS, PARAMETERS)
# The source of a reference that could not be read: its fault is told, and no other follows from it.
UNREAD = ""


@dataclass(frozen=True, slots=True, init=False)
class Step:
    """One step, as keyword arguments with the names and forms of the graph file (``timeout="300ms"``).

    ``Step(run=clean, limit=4)``: exactly one of ``run`` (a function, a class, or ``"file.py:name"``), ``model`` (a path
    or URI) and ``call`` (another server's URL), and the other keys of a step. They are read as those of a file are, by
    the same code: a key that there is not is a fault of the graph. ``None`` is as good as not given.
    """

    keys: Mapping[str, Any]

    def __init__(self, **keys: Any) -> None:
        object.__setattr__(self, "keys", {key: value for key, value in keys.items() if value is not None})

    def __getattr__(self, key: str) -> Any:
        """``step.run``: the value of a key, None where it was not given."""
        if key.startswith("_"):
            raise AttributeError(key)
        return self.keys.get(key)


@dataclass(frozen=True, slots=True)
class Reference:
    """``step``, ``step.tensor``, ``request``, ``request.tensor``, ``headers.NAME``, ``parameters.NAME``.

    ``guessed``: what a fault that is told was likely to mean; no other follows from it.
    """

    source: str
    name: str | None
    place: object
    guessed: bool = False

    def __str__(self) -> str:
        return self.source if self.name is None else f"{self.source}.{self.name}"


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step of a graph, checked by itself. Times in seconds; None where the user said nothing.

    ``action`` is the key that says what the step does, ``target`` its value, ``options`` the keys that belong to it;
    the action is empty where that is a fault, so that others may still read the step.
    ``inputs`` is a tuple (tensors merged by name) or a mapping parameter → reference. ``handles``: name → the step that
    it calls; ``each``: the input to loop over; ``detached``: nobody waits for the step. ``warmup``: whether
    it is called before its model is ready, or the file of the request that it is called with. ``places`` says where
    each key's value stands.
    """

    name: str
    place: object
    action: str
    target: Any
    options: Mapping[str, Any]
    inputs: tuple[Reference, ...] | Mapping[str, Reference] | None
    timeout: float | None
    limit: int | None
    queue: int | None
    where: str | None
    places: Mapping[str, object] = field(default_factory=dict)
    handles: Mapping[str, Reference] = field(default_factory=dict)
    each: str | None = None
    detached: bool = False
    warmup: bool | str | None = None

    def at(self, key: str) -> object:
        """Where that key's value stands; the step's own place where the key was not written."""
        return self.places.get(key, self.place)

    def option(self, key: str, default: Any = None) -> Any:
        """The value of an option; ``default`` where it was not written, or nothing was written there."""
        value = self.options.get(key)
        return default if value is None else value

    @property
    def references(self) -> tuple[Reference, ...]:
        match self.inputs:
            case None:
                return ()
            case tuple():
                return self.inputs
            case _:
                return tuple(self.inputs.values())


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """A whole graph, read but not yet connected.

    ``output``: verb → what it answers with, for the verbs that say so. ``deadline``: verb → seconds, None for no bound.
    ``unread`` and ``is_open`` are about faults that are told: the tensors of the schema whose spec cannot be read
    (``inputs.rows``), and whether words are in use of which nobody knows yet which steps they read.
    """

    name: str
    version: str
    steps: tuple[StepSpec, ...]
    output: Mapping[str, tuple[Reference, ...]]
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    deadline: Mapping[str, float | None]
    limit: int
    queue: int
    place: object
    places: Mapping[str, object] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    is_open: bool = False

    def at(self, key: str) -> object:
        """Where that key's value stands; the graph's own place where the key was not written."""
        return self.places.get(key, self.place)
