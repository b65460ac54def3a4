"""What a Model costs per request, beside a plain class and an async function: the table of docs/adr/027.

    python benchmarks/models.py

Graphs of one step that returns its input, asked in process, one request after another, in one interleaved run. Prints
CPU microseconds per request, in the median of the rounds, and the ratio to the plain step of the same manner.
"""

from __future__ import annotations

import statistics
import time
from contextlib import AsyncExitStack
from typing import Any

import networkx as nx
import numpy as np
import trio

from pipeline_serve import Model, Pipeline, Step

Array = np.ndarray[Any, Any]
REQUESTS = 300
ROUNDS = 15
X = np.ones(4, np.float32)


class Plain:
    def __call__(self, x: Array) -> Array:
        return x


async def same(x: Array) -> Array:
    return x


class Sync(Model):
    def predict(self, payload: Any) -> Any:
        return payload.inputs["x"]


class SyncHooks(Sync):
    def preprocess(self, payload: Any) -> Any:
        return payload

    def postprocess(self, result: Any) -> Any:
        return result


class Async(Model):
    async def predict(self, payload: Any) -> Any:
        return payload.inputs["x"]


class AsyncHooks(Async):
    async def preprocess(self, payload: Any) -> Any:
        return payload

    async def postprocess(self, result: Any) -> Any:
        return result


class OwnHealth(Async):
    async def healthy(self) -> bool:
        return True


class Mixed(Async):
    def preprocess(self, payload: Any) -> Any:
        return payload


STEPS = {
    "a class": (Step(run=Plain), "a class"),
    "a Model": (Step(run=Sync), "a class"),
    "with three hooks": (Step(run=SyncHooks), "a class"),
    "an async function": (Step(run=same), "an async function"),
    "an async Model": (Step(run=Async), "an async function"),
    "with three async hooks": (Step(run=AsyncHooks), "an async function"),
    "with its own healthy": (Step(run=OwnHealth), "an async function"),
    "on asyncio": (Step(run=Async, place="asyncio"), "an async function"),
    "a sync hook, an async one": (Step(run=Mixed), "a class"),
}


def graph(step: Step) -> Pipeline:
    dag = nx.DiGraph()
    dag.add_node("s", step=step)
    return Pipeline("m", dag, schema={"inputs": {"x": "FP32[n]"}})


async def per_request(pipeline: Pipeline) -> float:
    start = time.process_time()
    for _ in range(REQUESTS):
        await pipeline.infer({"x": X})
    return (time.process_time() - start) / REQUESTS * 1e6


async def measure() -> None:
    async with AsyncExitStack() as stack:
        opened = {name: await stack.enter_async_context(graph(step)) for name, (step, _) in STEPS.items()}
        rounds = [{name: await per_request(own) for name, own in opened.items()} for _ in range(ROUNDS)]
    for name, (_, plain) in STEPS.items():
        ratio = statistics.median(own[name] / own[plain] for own in rounds[1:])
        print(f"{name:26} {statistics.median(own[name] for own in rounds[1:]):6.1f} µs  {ratio:5.2f} × {plain}")


if __name__ == "__main__":
    trio.run(measure)
