"""Whose fault a value is: the caller's where the request brought it, else the author's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.engine.blame import Blame
from pipeline.engine.step import Context
from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.tensors.message import InferRequest
from pipeline.tensors.tensor import Json, tensor
from pipeline_serve import Step
from tests.engine.graphs import everything, pipeline

SENT = tensor(np.zeros(2))
MADE = tensor(np.zeros(2))

CALLER = (InvalidInput, 'input "{name}" is odd')
AUTHOR = (WrongAnswer, 'step "b": its input "{name}" is odd')

CASES = {
    "sent, read whole": ("request", "p", SENT, CALLER, "x"),
    "sent, under another name": ({"p": "request.x"}, "p", SENT, CALLER, "x"),
    "sent, handed on by a step": ("a", "p", SENT, CALLER, "x"),
    "missing, all from the request": ("request", "p", None, CALLER, "p"),
    "missing, a header": (["headers.h"], "h", None, CALLER, "h"),
    "missing, named from a parameter": ({"p": "parameters.p", "q": "a"}, "p", None, CALLER, "p"),
    "missing, from a step": ({"p": "parameters.p", "q": "a"}, "q", None, AUTHOR, "q"),
    "made by a step": ("a", "p", MADE, AUTHOR, "p"),
    "equal to what was sent, made by a step": ({"p": "a"}, "p", MADE, AUTHOR, "p"),
    "missing, mixed by merging": (["a", "request"], "p", None, CALLER, "p"),
    "made by a step, beside the request": (["a", "request"], "p", MADE, AUTHOR, "p"),
    "a parameter, merged": (["a", "parameters.p"], "p", Json("x"), CALLER, "p"),
    "all of a step": ({"p": "a"}, "p", {"m": MADE}, AUTHOR, "p"),
}


@pytest.mark.parametrize(("reads", "name", "value", "blamed", "called"), CASES.values(), ids=CASES)
def test_the_blame_is_where_the_value_came_from(reads, name, value, blamed, called):
    steps = {"a": Step(run=everything, inputs="request"), "b": Step(run=everything, inputs=reads)}
    built = pipeline(steps, output=["a", "b"])
    step = next(step for step in built.blueprint.graph.steps if step.name == "b")
    context = Context(InferRequest(model="test", inputs={"x": SENT}), math.inf)
    found = Blame(step).misfit(name, value, context, "is odd")
    kind, message = blamed
    assert (type(found), found.message) == (kind, message.format(name=called))


NAN, EMPTY = tensor(np.array([1.0, np.nan])), tensor(np.zeros((0, 2)))


@pytest.mark.parametrize(
    ("sent", "made", "blamed"),
    [
        (NAN, tensor(np.array([np.inf])), "caller"),
        (EMPTY, tensor(np.zeros(0)), "caller"),
        (tensor(np.array([1e300])), tensor(np.array([1e299])), "caller"),
        (SENT, tensor(np.array([np.nan])), "author"),
        (SENT, tensor(np.zeros(0)), "author"),
        (NAN, MADE, "author"),
        (EMPTY, MADE, "author"),
        (Json([None]), tensor(np.array([np.nan])), "author"),
    ],
)
def test_what_a_request_started_and_steps_hand_on_is_the_callers(sent, made, blamed):
    built = pipeline({"a": Step(run=everything), "b": Step(run=everything)})
    context = Context(InferRequest(model="test", inputs={"w": tensor(np.zeros(1)), "x": sent}), math.inf)
    found = Blame(built.blueprint.graph.steps[1]).misfit("p", made, context, "is odd")
    if blamed == "caller":
        assert (type(found), found.message) == (InvalidInput, 'input "x" does not suit step "b", whose "p" is odd')
    else:
        assert (type(found), found.message) == (WrongAnswer, 'step "b": its input "p" is odd')


@pytest.mark.parametrize("reads", ["request", {"p": "request"}, ["a", "request"]])
@pytest.mark.parametrize(
    ("value", "blamed"), [(MADE, "author"), (SENT, "author"), (None, "author"), (tensor(np.array([np.nan])), "author")]
)
def test_through_a_handle_the_inputs_come_from_the_step_that_calls(reads, value, blamed):
    step, context = called(reads)
    found = Blame(step).misfit("p", value, context, "is odd")
    assert (type(found), found.message) == (WrongAnswer, 'step "b", called by step "why": its input "p" is odd')


def test_through_a_handle_what_is_odd_in_the_request_and_what_it_fills_in_are_the_callers_still():
    step, context = called({"p": "a", "q": "parameters.q"}, sent=NAN)
    found = Blame(step).misfit("p", tensor(np.array([np.nan])), context, "is odd")
    assert (type(found), found.message) == (InvalidInput, 'input "x" does not suit step "b", whose "p" is odd')
    assert type(Blame(step).misfit("q", Json("of the request"), context, "is odd")) is InvalidInput
    assert type(Blame(step).misfit("q", Json("of the step"), context, "is odd")) is WrongAnswer


def called(reads, sent=SENT):
    steps = {"a": Step(run=everything, inputs="request"), "b": Step(run=everything, inputs=reads)}
    built = pipeline(steps, output=["a", "b"])
    step = next(step for step in built.blueprint.graph.steps if step.name == "b")
    request = InferRequest(model="test", inputs={"x": sent}, parameters={"q": "of the request"})
    return step, Context(request, math.inf).called_by("why")
