"""A pipeline for code that blocks: a script, a notebook, a Flask view, an asyncio program.

with Pipeline.from_file("graph.yaml").blocking() as iris:
    response = iris.infer({"rows": rows})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from pipeline.blocking import LoopThread, blocking, entered, left
from pipeline.pipeline import Pipeline, State
from pipeline.tensors.signature import Signature

if TYPE_CHECKING:
    import networkx as nx


class BlockingPipeline:
    """``Pipeline`` for code that blocks; many threads may share it. Ctrl-C cancels the request that it interrupts.

    In a ``with`` block, or between ``open()`` and ``close()`` where a block is in the way, as in a notebook.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.loop = LoopThread(pipeline, f'model "{pipeline.name}"')

    def __repr__(self) -> str:
        return f"{self.loop.subject!r}, blocking"

    def open(self) -> Self:
        """Starts the thread and opens every step in it.

        Raises RuntimeError where it is open already, and what the first step that cannot be opened raises. Ctrl-C
        closes the steps opened so far.
        """
        return entered(self)

    def close(self) -> None:
        """Closes every step and ends the thread; requests that other threads wait for end as cancelled.

        Waits for the detached steps that run, each as long as its ``timeout``, a minute where it has none. Ctrl-C ends
        the wait and cancels them; so does a ``with`` block that Ctrl-C leaves.
        """
        self.loop.close()

    __enter__ = entered
    __exit__ = left

    @property
    def name(self) -> str:
        return self.loop.subject.name

    @property
    def version(self) -> str:
        return self.loop.subject.version

    @property
    def dag(self) -> nx.DiGraph[str]:
        """The graph: a node per step with its ``step`` attribute, an edge per reading."""
        return self.loop.subject.dag

    @property
    def signature(self) -> Signature:
        """Inputs and outputs as far as they are known: declared in the schema, annotated, or told by a loaded model."""
        return self.loop.subject.signature

    @property
    def deadlines(self) -> Mapping[str, float]:
        """Seconds by verb, ``math.inf`` where the graph has none."""
        return self.loop.subject.deadlines

    @property
    def state(self) -> State:
        return self.loop.subject.state

    infer = blocking(Pipeline.infer)
