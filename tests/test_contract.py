"""A graph from outside: under which name it reads the only tensor of a request."""

from __future__ import annotations

import json

import networkx as nx
import numpy as np  # noqa: TC002  # a step's annotation, which is read
import pytest

from pipeline.errors import InvalidInput
from pipeline.wire import v1
from pipeline.wire.codec import Call
from pipeline_serve import Pipeline, Step


def graph(predict, **why):
    """A predictor, and an explainer that calls it."""

    def explain(rows, score):
        return score(rows)

    dag = nx.DiGraph()
    dag.add_node("score", step=Step(run=predict))
    dag.add_node("why", step=Step(run=explain, handles={"score": "score"}, **why))
    return Pipeline("m", dag, output={"predict": "score", "explain": "why"})


async def asked(model, body):
    """What a v1 request answers, predicted and explained."""
    answers = []
    async with model:
        for route in v1.ROUTES:
            if route.verb:
                call = Call("POST", "", {}, json.dumps(body).encode(), "id")
                command, _ = v1.decode(call, route, model.name, model.version, model.expectation)
                answers.append((await model.infer(command.request.inputs, verb=route.verb)).outputs)
    return [next(iter(outputs.values())).array.tolist() for outputs in answers]


def total(rows):
    return rows.sum(axis=1)


def total_of_all(tensors: dict[str, np.ndarray]):
    (rows,) = tensors.values()
    return rows.sum(axis=1)


@pytest.mark.parametrize("predict", [total, total_of_all])
@pytest.mark.parametrize("inputs", ["request", "request.rows", {"rows": "request.rows"}])
@pytest.mark.parametrize("form", ["instances", "inputs"])
async def test_the_only_tensor_has_the_name_by_which_one_step_reads_it(predict, inputs, form):
    assert await asked(graph(predict, inputs=inputs), {form: [[1, 2], [3, 4]]}) == [[3, 7], [3, 7]]


async def test_of_two_names_none_is_that_of_the_only_tensor():
    dag = nx.DiGraph()
    dag.add_node("score", step=Step(run=lambda x: x))
    dag.add_node("pair", step=Step(run=lambda a, b: a + b, inputs={"a": "request.a", "b": "request.b"}))
    model = Pipeline("m", dag, output={"predict": "score", "explain": "pair"})
    assert model.expectation.only_input is None
    with pytest.raises(InvalidInput, match='input "a" is missing'):
        await asked(model, {"instances": [[1, 2]]})
