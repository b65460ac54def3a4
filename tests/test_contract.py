"""A graph from outside: under which name it reads the only tensor of a request, and what it is tried with."""

from __future__ import annotations

import json
import math

import networkx as nx
import numpy as np  # noqa: TC002  # a step's annotation, which is read
import pytest

from pipeline.errors import InvalidInput
from pipeline.tensors.message import Infer, InferRequest
from pipeline.tensors.sample import sample
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


# ---- what to try a model with


def upper(t: str) -> str:
    return t.upper()


def joined(t: list[str]) -> str:
    return "".join(t)


def longest(t: list):
    return len(t)


def half(t: float) -> float:
    return t / 2


def negated(t: bool) -> bool:
    return not t


def size(t: bytes) -> int:
    return len(t)


def norm(t: np.ndarray):
    return (t * t).sum()


def anything(t):
    return t


def keyed(t: dict):
    return list(t)


def pair(t: str, rows: np.ndarray):
    return len(t) + len(rows)


def options(rows: np.ndarray, t: dict):
    return rows


def maybe(rows: np.ndarray, t: dict | None = None):
    return rows


def one(run, each):
    dag = nx.DiGraph()
    dag.add_node("s", step=Step(run=run, each=each))
    return Pipeline("m", dag)


@pytest.mark.parametrize(
    ("run", "each"),
    [(run, each) for run in (upper, joined, longest, half, negated, size, norm, anything) for each in (None, "t")]
    + [(keyed, None), (pair, None), (pair, "t"), (maybe, None)],
)
async def test_what_a_model_is_tried_with_is_what_its_function_says_it_takes(run, each):
    model = one(run, each)
    inputs = sample(model.expectation)
    assert inputs is not None
    call = v1.encode_request(Infer(InferRequest(model="m", inputs=inputs), "predict"))
    (route,) = (route for route in v1.ROUTES if route.verb == "predict")
    command, _ = v1.decode(call, route, "m", "1", model.expectation)
    async with model, model.admitted("predict", math.inf) as allowance:
        assert (await model.answer(command.request, "predict", allowance)).outputs


@pytest.mark.parametrize(("run", "each"), [(keyed, "t"), (options, None)])
def test_where_a_function_takes_an_object_whose_keys_nobody_knows_none_is_offered(run, each):
    assert sample(one(run, each).expectation) is None
