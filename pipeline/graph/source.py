"""A graph as it was declared: values that know where they stand, in a file or in Python, and faults that say so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeAlias


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a value stands: the path as it was given, line and column (in characters) from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``place`` is a ``Place``, or anything whose text names the spot (the node of a Python graph)."""

    place: object
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class GraphFaults(Exception):
    """All faults of one graph, a line each: those of a file by place, then those without a ``Place`` as they came."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        found = tuple(faults)
        placed = sorted((fault for fault in found if isinstance(fault.place, Place)), key=attrgetter("place"))
        self.faults = (*placed, *(fault for fault in found if not isinstance(fault.place, Place)))
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


@dataclass(frozen=True, slots=True)
class Scalar:
    """``str``, ``int``, ``float``, ``bool`` or None from a file; any object where a graph is built in Python."""

    value: object
    place: object


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    nodes: tuple[Node, ...]
    place: object


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a map and what stands under it."""

    key: str
    key_place: object
    node: Node


@dataclass(frozen=True, slots=True)
class Table:
    """A map with text keys, each once. Where maps are merged (``<<``), a key keeps the position it first had."""

    entries: tuple[Entry, ...]
    place: object

    def get(self, key: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key == key), None)


Node: TypeAlias = Scalar | Items | Table


def plain(node: Node) -> object:
    """The tree as dict, list and scalars, without places."""
    match node:
        case Scalar(value=value):
            return value
        case Items(nodes=nodes):
            return [plain(inner) for inner in nodes]
        case Table(entries=entries):
            return {entry.key: plain(entry.node) for entry in entries}
