"""Random graphs whose answer can be told without the engine: by asking each step recursively for what it reads."""

from __future__ import annotations

import dataclasses
import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline_serve import Step

HEADERS = {"h": "text"}
PARAMETERS = {"p": 7}


@dataclass(frozen=True)
class Node:
    """One step. ``reads``: its ``inputs`` as the graph file writes them; ``gives``: its outputs' names.

    ``single``: its function has one parameter, and takes the only value there is whatever its name.
    """

    name: str
    number: int
    kind: str
    reads: Any
    answer: str
    gives: tuple[str, ...]
    single: bool
    detached: bool = False

    @property
    def references(self) -> list[str]:
        match self.reads:
            case str():
                return [self.reads]
            case Mapping():
                return list(self.reads.values())
            case _:
                return list(self.reads)

    @property
    def sources(self) -> set[str]:
        return {reference.partition(".")[0] for reference in self.references} - {"request", "headers", "parameters"}


@dataclass(frozen=True)
class Graph:
    nodes: Mapping[str, Node]
    output: tuple[str, ...]

    @staticmethod
    def draw(
        rng: random.Random, kinds: tuple[str, ...] = ("async", "thread", "loop"), *, most_detached: int = 0
    ) -> Graph:
        nodes: dict[str, Node] = {}
        for number in range(rng.randint(1, 9)):
            nodes[f"s{number}"] = _node(rng, number, nodes, rng.choice(kinds))
        read = set().union(*(node.sources for node in nodes.values()))
        sinks = [name for name in nodes if name not in read]
        extra = [name for name in read if rng.random() < 0.15]
        output = tuple(rng.sample(sinks + extra, len(sinks + extra)))
        waited = dict(nodes)
        for _ in range(rng.randint(0, most_detached)):
            node = _node(rng, len(nodes), waited, rng.choice(kinds))
            nodes[node.name] = dataclasses.replace(node, detached=True)
        return Graph(nodes, output)

    def joined(self, needed: set[str]) -> set[str]:
        """The steps of a plan that computes those: detached ones join it where it has all that they read."""
        return needed | {name for name, node in self.nodes.items() if node.detached and node.sources <= needed}

    def ancestors(self, names: set[str]) -> set[str]:
        found, waiting = set(names), list(names)
        while waiting:
            new = self.nodes[waiting.pop()].sources - found
            found |= new
            waiting += new
        return found

    def steps(self, functions: Mapping[str, Any], **policy: Mapping[str, Any]) -> dict[str, Step]:
        return {
            name: Step(
                run=functions[name],
                inputs=node.reads,
                place="loop" if node.kind == "loop" else None,
                detached=node.detached or None,
                **policy.get(name, {}),
            )
            for name, node in self.nodes.items()
        }

    def request(self, rng: random.Random) -> dict[str, np.ndarray]:
        """Inputs x and y, as far as some step reads them: what nobody reads is refused."""
        read = {reference for node in self.nodes.values() for reference in node.references}
        names = [name for name in ("x", "y") if "request" in read or f"request.{name}" in read]
        return {name: np.array([float(rng.randint(0, 99))]) for name in names}

    def wanted(self, rng: random.Random) -> tuple[tuple[str, ...], set[str]]:
        """Output names to ask for, and the steps that must run then: only what the answer needs."""
        names = [name for step in self.output for name in self.nodes[step].gives]
        asked = tuple(rng.sample(names, rng.randint(0, len(names))))
        # The names in a dict are known when it is returned; asking for one of them, any output may have it.
        if asked and all(name in self.nodes for name in asked):
            return asked, self.ancestors(set(asked))
        return asked, self.ancestors(set(self.output))

    def answer(self, request: Mapping[str, np.ndarray], asked: tuple[str, ...]) -> dict[str, Any]:
        everything = {key: value for step in self.output for key, value in self.value(step, request).items()}
        return {name: everything[name] for name in asked or everything}

    def value(self, step: str, request: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """What the step returns, by name: the naive evaluation."""
        return named(self.nodes[step], compute(self.nodes[step], self._inputs(self.nodes[step], request)))

    def _inputs(self, node: Node, request: Mapping[str, np.ndarray]) -> dict[str, Any]:
        if isinstance(node.reads, Mapping):
            found = {to: self._read(reference, request) for to, reference in node.reads.items()}
            return {to: value for to, read in found.items() for value in read.values()}
        return {name: value for reference in node.references for name, value in self._read(reference, request).items()}

    def _read(self, reference: str, request: Mapping[str, np.ndarray]) -> dict[str, Any]:
        source, _, name = reference.partition(".")
        match source:
            case "request":
                values: Mapping[str, Any] = request
            case "headers":
                values = HEADERS
            case "parameters":
                values = PARAMETERS
            case _:
                values = self.value(source, request)
        return {name: values[name]} if name else dict(values)


def _node(rng: random.Random, number: int, before: Mapping[str, Node], kind: str) -> Node:
    sources = rng.sample([*before, "request"], rng.randint(1, min(3, len(before) + 1)))
    references = [_reference(rng, source, before) for source in sources]
    if rng.random() < 0.2:
        references.append(rng.choice(["headers.h", "parameters.p"]))
    reads: Any = references
    single = len(references) == 1 and _is_single(references[0], before) and rng.random() < 0.5
    match rng.choice(["map", "list", "text"]):
        case "map":
            # A parameter is one value; the map takes a whole step only where that is one.
            references = [
                reference if "." in reference or _is_single(reference, before) else _one_of(rng, reference, before)
                for reference in references
            ]
            names = ["value"] if single else [f"i{position}" for position in range(len(references))]
            reads = dict(zip(names, references, strict=True))
        case "text" if len(references) == 1:
            reads = references[0]
    name = f"s{number}"
    answer = rng.choice(["array", "pair", "json"])
    return Node(name, number, kind, reads, answer, (f"{name}p", f"{name}q") if answer == "pair" else (name,), single)


def _reference(rng: random.Random, source: str, before: Mapping[str, Node]) -> str:
    return source if rng.random() < 0.5 else _one_of(rng, source, before)


def _one_of(rng: random.Random, source: str, before: Mapping[str, Node]) -> str:
    return f"{source}.{rng.choice(('x', 'y') if source == 'request' else before[source].gives)}"


def _is_single(reference: str, before: Mapping[str, Node]) -> bool:
    source, _, name = reference.partition(".")
    return bool(name) or (source != "request" and len(before[source].gives) == 1)


def compute(node: Node, inputs: Mapping[str, Any]) -> float:
    """A number that tells which step it was and, but for a single value, under which name each input came."""
    names = {name: "" if node.single else name for name in inputs}
    parts = sum((zlib.crc32(names[name].encode()) % 97 + 1) * _amount(value) for name, value in inputs.items())
    return (parts + node.number) % 1009


def named(node: Node, number: float) -> dict[str, Any]:
    match node.answer:
        case "array":
            return {node.name: np.array([number])}
        case "pair":
            return {node.gives[0]: np.array([number]), node.gives[1]: np.array([number + 0.5])}
        case _:
            return {node.name: {"number": number, "ragged": [[1], []]}}


def returned(node: Node, number: float) -> Any:
    """The same as the step's function returns it."""
    values = named(node, number)
    return values if node.answer == "pair" else values[node.name]


def _amount(value: Any) -> float:
    match value:
        case np.ndarray():
            return float(value.sum())
        case str():
            return len(value)
        case {"number": number}:
            return float(number)
        case _:
            return float(value)
