"""How the tests of this folder make a graph, a plan and a run: Python functions, real pipelines, no fakes."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import networkx as nx
import numpy as np

from pipeline.engine.execute import execute
from pipeline.engine.limit import Limit
from pipeline.engine.run import Run
from pipeline.engine.step import Context, LoopStep, OpenStep, ThreadStep
from pipeline.engine.thread_pool import ThreadPool
from pipeline.graph.plan import Manner, Plan, compile_plan
from pipeline.tensors.message import InferRequest
from pipeline.tensors.tensor import Value, tensor
from pipeline_serve import Pipeline, Step

ONE = {"x": np.zeros(1, dtype=np.float32)}


def pipeline(steps: Mapping[str, Step], **top: Any) -> Pipeline:
    """Steps by name; each reads what its ``inputs`` say, else the step above it, the first the request."""
    dag: nx.DiGraph[str] = nx.DiGraph()
    above = None
    for name, step in steps.items():
        dag.add_node(name, step=step)
        if step.inputs is None:
            if above is not None:
                dag.add_edge(above, name)
        else:
            inputs = [step.inputs] if isinstance(step.inputs, str) else step.inputs
            references = inputs.values() if isinstance(inputs, Mapping) else inputs
            sources = (reference.partition(".")[0] for reference in references)
            dag.add_edges_from((source, name) for source in sources if source in steps)
        above = name
    return Pipeline("test", dag, **top)


def everything(**inputs):
    """A step that takes whatever there is; unannotated, so that its outputs may have any names."""
    return np.ones(1)


def plan(wiring: Mapping[str, Any], outputs: Collection[str] = (), threaded: Collection[str] = (), **top: Any) -> Plan:
    """The plan of steps wired like this: name → its ``inputs`` as the graph file writes them (None: the one above)."""
    built = pipeline({name: Step(run=everything, inputs=inputs) for name, inputs in wiring.items()}, **top)
    graph = built.blueprint.graph
    manners = {name: Manner(threaded=name in threaded, alone=False) for name in wiring}
    wanted = [own for own in graph.output["predict"] if not outputs or own.source in outputs]
    return compile_plan(graph, built.blueprint.interfaces, manners, wanted)


def request(**inputs: Value) -> InferRequest:
    return InferRequest(model="test", id="r1", inputs=inputs or {"x": tensor(np.zeros(1))})


def loop_step(name: str, call: Any, *, timeout: float | None = None, limit: Limit | None = None) -> LoopStep:
    return LoopStep(name, call, timeout, limit)


def thread_step(
    name: str, call: Callable[..., Any], *, timeout: float | None = None, limit: Limit | None = None
) -> ThreadStep:
    return ThreadStep(name, call, timeout, limit)


async def run_steps(
    wiring: Mapping[str, Any], steps: Collection[OpenStep], asked: InferRequest | None = None, **top: Any
) -> Mapping[str, Value]:
    """Executes opened steps over a plan of that wiring."""
    by_name = {step.name: step for step in steps}
    threaded = {step.name for step in steps if isinstance(step, ThreadStep) and step.timeout is None}
    compiled = plan(wiring, threaded=threaded, **top)
    asked = asked or request()
    opened = [by_name[spec.name] for spec in compiled.steps]
    run = Run(compiled, asked)
    await execute(compiled, opened, run, Context(asked, math.inf), ThreadPool())
    return run.result()
