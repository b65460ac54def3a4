"""Random graphs: each step once and after what it reads, only what the answer needs, and the naive answer.

Each graph is drawn from a seed that stands in a failure's message.
"""

from __future__ import annotations

import random

import pytest
import trio

from tests.engine.graphs import pipeline
from tests.engine.random_graphs import HEADERS, PARAMETERS, Graph, Node, compute, returned
from tests.engine.trace import ASKED, Trace, check_limits, check_order, same, shaped


def plain_function(node: Node, trace: Trace, pauses: int):
    def work(inputs):
        with trace.running(node.name):
            return returned(node, compute(node, inputs))

    async def wait_and_work(inputs):
        with trace.running(node.name):
            for _ in range(pauses):
                await trio.lowlevel.checkpoint()
            return returned(node, compute(node, inputs))

    return shaped(node, work, wait_and_work)


@pytest.mark.parametrize("block", range(10))
def test_each_step_runs_once_after_what_it_reads_and_the_answer_is_the_naive_one(block):
    async def ask(seed, graph, built, trace, number):
        ASKED.set(number)
        rng = random.Random(seed * 10 + number)
        inputs, (asked, needed) = graph.request(rng), graph.wanted(rng)
        response = await built.infer(inputs, outputs=asked, headers=HEADERS, parameters=PARAMETERS)
        answer = {name: response[name] for name in response.outputs}
        assert same(answer, graph.answer(inputs, asked)), f"seed {seed}"
        assert list(answer) == list(asked or answer), f"seed {seed}: order of the outputs asked for"
        # Nobody waits for the detached ones but this.
        await built.drained()
        assert check_order(graph, trace.of(number)) == graph.joined(needed), f"seed {seed}"
        assert not trace.left_running(number), f"seed {seed}"

    async def main():
        for seed in range(block * 150, block * 150 + 150):
            rng, trace = random.Random(seed), Trace()
            graph = Graph.draw(rng, most_detached=2)
            functions = {name: plain_function(node, trace, rng.randint(0, 2)) for name, node in graph.nodes.items()}
            async with pipeline(graph.steps(functions), output=list(graph.output)) as built:
                async with trio.open_nursery() as nursery:
                    for number in range(3):
                        nursery.start_soon(ask, seed, graph, built, trace, number)
                check_limits(built, trace, seed)

    trio.run(main)
