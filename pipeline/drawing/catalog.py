"""The formats there are, by the files of this folder: one is a module with ``ENDINGS`` and ``write``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import pipeline.drawing as folder
from pipeline.drawing.picture import Picture, picture
from pipeline.graph.dag import Graph
from pipeline.graph.edges import Interfaces
from pipeline.graph.words import listed
from pipeline.plugins import plugins


class Format(Protocol):
    """``ENDINGS``: how the names of its files end, with the dot."""

    ENDINGS: Collection[str]

    def write(self, picture: Picture, /) -> str:
        """The whole file; the same for the same picture, to the byte."""
        ...


def formats() -> dict[str, Format]:
    """Name → format."""
    return plugins(folder, "ENDINGS")


def format_of(name: str) -> str:
    """The format of a file of that name. Raises ValueError that lists the endings there are."""
    known = formats()
    for own, module in known.items():
        if name.lower().endswith(tuple(module.ENDINGS)):
            return own
    endings = [ending for module in known.values() for ending in module.ENDINGS]
    raise ValueError(f"a drawing ends in {listed(sorted(endings))}")


def drawn(graph: Graph, interfaces: Interfaces, form: str) -> str:
    """The graph in that format, by its name."""
    return formats()[form].write(picture(graph, interfaces))
