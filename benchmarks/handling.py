"""What one request costs inside of `handle()`, without any transport: CPU per call for each kind of call.

    python benchmarks/handling.py [NAME…]

One process, one task of trio, everything on that a server has (metrics, limits, pages); the kinds take turns, and the
least of their rounds is printed, which is the one that others on the machine disturbed least. Microseconds are of this
machine, and only their ratios mean something elsewhere.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

import networkx as nx
import numpy as np
import orjson
import trio

from pipeline.engine.deadlines import Again, Deadlines, Timer
from pipeline.repository import Repository
from pipeline_serve import Pipeline, Step
from server.docs import pages
from server.handle import handle
from server.log import observer
from server.metrics import Metrics
from server.service import Service

ROUNDS = 60
CALLS = 300
_ROW = [5.1, 3.5, 1.4, 0.2]
_V2 = orjson.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": _ROW}]})
_V1 = orjson.dumps({"instances": [_ROW]})
_JSON = {"host": "127.0.0.1:8080", "content-type": "application/json", "content-length": "97"}
_NO_BODY = {"host": "127.0.0.1:8080"}
_BINARY_HEAD = orjson.dumps(
    {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}],
        "parameters": {"binary_data_output": True},
    }
)
_BINARY = _BINARY_HEAD + np.array(_ROW, dtype=np.float32).tobytes()


class Kind(NamedTuple):
    """One kind of call."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = _NO_BODY


KINDS = {
    "v2, async step": Kind("POST", "/v2/models/async/infer", _V2, _JSON),
    "v2, plain step": Kind("POST", "/v2/models/plain/infer", _V2, _JSON),
    "v2, three async steps": Kind("POST", "/v2/models/chain/infer", _V2, _JSON),
    "v2, no deadline": Kind("POST", "/v2/models/unbounded/infer", _V2, _JSON),
    "v2, declared tensors": Kind("POST", "/v2/models/declared/infer", _V2, _JSON),
    "v2, binary": Kind(
        "POST",
        "/v2/models/async/infer",
        _BINARY,
        {**_JSON, "inference-header-content-length": str(len(_BINARY_HEAD))},
    ),
    "v1, async step": Kind("POST", "/v1/models/async:predict", _V1, _JSON),
    "v1, plain step": Kind("POST", "/v1/models/plain:predict", _V1, _JSON),
    "live": Kind("GET", "/v2/health/live"),
    "ready": Kind("GET", "/v2/health/ready"),
}


async def same(x: np.ndarray) -> np.ndarray:
    return x


def plain(x: np.ndarray) -> np.ndarray:
    return x


def pipelines() -> list[Pipeline]:
    spec = {"x": "FP32[n,4]"}
    return [
        _chain("async", 1),
        _chain("chain", 3),
        _chain("unbounded", 1, deadline="none"),
        _chain("declared", 1, schema={"inputs": spec, "outputs": spec}),
        _chain("plain", 1, plain),
    ]


def _chain(name: str, length: int, function: object = same, **top: object) -> Pipeline:
    dag: nx.DiGraph[str] = nx.DiGraph()
    names = [f"step{number}" for number in range(length)]
    for own in names:
        dag.add_node(own, step=Step(run=function))
    dag.add_edges_from(itertools.pairwise(names))
    return Pipeline(name, dag, **top)


async def cost(service: Service, kind: Kind, timer: Timer) -> float:
    """Microseconds of this process's CPU per call, its threads' too."""

    async def read_body() -> bytes:
        return kind.body

    start = time.process_time()
    for _ in range(CALLS):
        reply = await handle(service, kind.method, kind.path, kind.headers, read_body, timer=timer)
    spent = time.process_time() - start
    if reply.status != 200:
        raise AssertionError(f"{kind.path}: {reply.status} {reply.body!r}")
    return spent / CALLS * 1e6


async def main(chosen: Mapping[str, Kind]) -> None:
    metrics = Metrics()
    repository = Repository(pipelines())
    repository.observe(observer, metrics)
    found = pages(repository, {"/metrics": metrics.page}, title="pipeline-serve", version="0", ui=True)
    service = Service(repository, ready="all", name="pipeline-serve", version="0", pages=found)
    async with trio.open_nursery() as nursery:
        await nursery.start(repository.serve)
        while not repository.ready("all"):  # noqa: ASYNC110  # nothing tells of it
            await trio.sleep(0.01)
        spent: dict[str, list[float]] = {name: [] for name in chosen}
        deadlines = Deadlines()
        nursery.start_soon(deadlines.watch)
        with Again(deadlines) as timer:
            for _ in range(ROUNDS):
                for name, kind in chosen.items():
                    spent[name].append(await cost(service, kind, timer))
        nursery.cancel_scope.cancel()
    for name, rounds in spent.items():
        print(f"{name:24} {min(rounds):7.2f} µs")


if __name__ == "__main__":
    names = sys.argv[1:]
    trio.run(main, {name: kind for name, kind in KINDS.items() if not names or name in names})
