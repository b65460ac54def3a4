"""``Pipeline`` as users get it: with this project's storage and the process's environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from pipeline import pipeline
from storage import Storage

if TYPE_CHECKING:
    import networkx as nx

    from pipeline.blocking_pipeline import BlockingPipeline


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
        return super().from_file(path, environment=known, storage=Storage(os.environ))

    def blocking(self) -> BlockingPipeline:
        """The same pipeline for code that blocks: ``with pipeline.blocking() as iris: iris.infer({"rows": rows})``."""
        from pipeline.blocking_pipeline import BlockingPipeline  # noqa: PLC0415  # anyio, which a server need not load

        return BlockingPipeline(self)

    def __enter__(self) -> NoReturn:
        raise TypeError(f'{self!r} is async: "async with" opens it, or "with Pipeline(…).blocking() as model"')

    def __exit__(self, *exc_info: object) -> None:
        raise AssertionError("it is never entered so")
