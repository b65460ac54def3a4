"""``Pipeline`` as users get it: with this project's storage and the process's environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline import pipeline
from storage import Storage

if TYPE_CHECKING:
    import networkx as nx


class Pipeline(pipeline.Pipeline):
    """One graph under one name: ``async with Pipeline("iris", dag) as iris: await iris.infer({"rows": rows})``."""

    def __init__(self, name: str, dag: nx.DiGraph[str], *, folder: str | Path = ".", **top: Any) -> None:
        """A networkx graph whose nodes have a ``step=Step(…)``; ``top`` takes the graph file's other top-level keys.

        Relative paths are relative to ``folder``. Raises GraphFaults, which names nodes where a file's names lines.
        """
        super().__init__(name, dag, storage=Storage(os.environ), folder=folder, **top)

    @classmethod
    def from_file(cls, path: str | Path, *, environment: Mapping[str, str] | None = None) -> Self:  # type: ignore[override]
        """The pipeline of a graph file; ``${VAR}`` comes from ``environment``, the process's where none is given.

        Raises GraphFaults with every fault of the file.
        """
        known = os.environ if environment is None else environment
        return super().from_file(path, environment=known, storage=Storage(known))
