"""Graphs of models, and requests as codecs make them: what the tests of ``pipeline/steps`` about models share."""

from contextlib import aclosing

import networkx as nx

from pipeline.model import Native
from pipeline.tensors.message import InferRequest
from pipeline.tensors.tensor import Json
from pipeline_serve import Model, Pipeline, Step


def graph(*steps, **top):
    dag = nx.DiGraph()
    for number, step in enumerate(steps):
        dag.add_node(f"s{number}", step=step if isinstance(step, Step) else Step(run=step))
        if number:
            dag.add_edge(f"s{number - 1}", f"s{number}")
    return Pipeline("iris", dag, **top)


async def asked(pipeline, body=0, verb="predict", seconds=60.0, headers=None, **request):
    """The answer to a plain body, as a caller on the wire has it."""
    request = InferRequest(
        model="iris",
        id="1",
        inputs={"instances": Json(body)},
        body=body,
        plain=True,
        headers=headers or {},
        **request,
    )
    async with pipeline.admitted(verb, seconds) as allowance:
        return await pipeline.answer(request, verb, allowance)
    raise AssertionError("a request that is out of time raises")


async def answer_of(model, body=0, **how):
    async with graph(model) as pipeline:
        return (await asked(pipeline, body, **how)).outputs["s0"]


class Echo(Model):
    def predict(self, payload, headers):
        return {"payload": payload, "headers": headers}


class Ready(Model):
    def load(self):
        self.ready = True


class OnAsyncio(Native):
    place = "asyncio"


class Asyncio(Model):
    dialect = OnAsyncio()


async def streamed(raw):
    async with aclosing(raw.data) as parts:
        return [part async for part in parts]
