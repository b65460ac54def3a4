"""What a further step in a chain costs: three empty async steps against one, in one interleaved run.

    python benchmarks/chain.py

Prints microseconds of CPU per request for both, and what each of the two more costs; the target is at most 2 µs.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Sequence

import networkx as nx
import numpy as np
import trio

from pipeline.engine.admission import Allowance
from pipeline.tensors.message import InferRequest
from pipeline.tensors.tensor import tensor
from pipeline_serve import Pipeline, Step

ROUNDS = 15
REQUESTS = 3000


async def empty(x: np.ndarray) -> np.ndarray:
    return x


def chain(length: int) -> Pipeline:
    dag: nx.DiGraph[str] = nx.DiGraph()
    names = [f"step{number}" for number in range(length)]
    for name in names:
        dag.add_node(name, step=Step(run=empty))
    dag.add_edges_from(itertools.pairwise(names))
    return Pipeline(f"chain{length}", dag)


async def cost(pipeline: Pipeline, request: InferRequest) -> float:
    """Microseconds of this process's CPU per request."""
    allowance = Allowance(pipeline.visits, pipeline.admission, math.inf)
    start = time.process_time()
    for _ in range(REQUESTS):
        await pipeline.answer(request, "predict", allowance)
    return (time.process_time() - start) / REQUESTS * 1e6


async def measured() -> list[tuple[float, float]]:
    """Of each round: what one step costs, and what three do."""
    request = InferRequest(model="chain", inputs={"x": tensor(np.zeros((1, 4), dtype=np.float32))})
    async with chain(1) as one, chain(3) as three:
        return [(await cost(one, request), await cost(three, request)) for _ in range(ROUNDS)]


def further(rounds: Sequence[tuple[float, float]]) -> float:
    """Microseconds for each further step."""
    return statistics.median(b - a for a, b in rounds) / 2


async def main() -> None:
    rounds = await measured()
    ones, threes = zip(*rounds, strict=True)
    more = further(rounds)
    print(f"one step     {statistics.median(ones):6.2f} µs  ({min(ones):.2f} to {max(ones):.2f})")
    print(f"three steps  {statistics.median(threes):6.2f} µs  ({min(threes):.2f} to {max(threes):.2f})")
    print(f"each further {more:6.2f} µs (target: at most 2 µs)")


if __name__ == "__main__":
    trio.run(main)
