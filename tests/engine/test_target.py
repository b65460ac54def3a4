"""A step as the target of a handle: which names its arguments have, and what an answer is."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.engine.target import Target
from pipeline.errors import WrongAnswer
from pipeline.graph.interface import Interface, Parameter
from pipeline.tensors.forms import Form
from pipeline.tensors.message import InferRequest
from pipeline.tensors.signature import parse_spec
from pipeline.tensors.tensor import Json, Raw, tensor
from tests.graph.checking import graph_of

MODEL = Interface((Parameter("X"),), None, blocking=True, limit=1, takes_rest=True)
FUNCTION = Interface((Parameter("x"),), None, blocking=True, limit=1, named_parameters=True)
ONE = np.ones(2)


def target(text: str, **interfaces: Interface) -> Target:
    """The step ``t`` of a graph; the other steps give what their interface says."""
    graph = graph_of(f"{text}\n")
    return Target(next(step for step in graph.steps if step.name == "t"), graph, interfaces)


def names(found: Target, *positional: object, request: dict | None = None, **named: object) -> list[str]:
    asked = InferRequest(model="m", inputs={name: tensor(ONE) for name in request or {}})
    return list(found.inputs(positional, named, asked))


def giving(**specs: str | None) -> Interface:
    gives = {name: spec and parse_spec(spec) for name, spec in specs.items()} or None
    return Interface((Parameter("x"),), gives, blocking=True, limit=1, named_parameters=True)


@pytest.mark.parametrize(
    ("wiring", "source", "name"),
    [
        ("inputs: {rows: a}", giving(), "rows"),
        ("inputs: a.y", giving(), "y"),
        ("inputs: a", giving(z="FP64[2]"), "z"),
        ("inputs: a", giving(), "a"),
        ("inputs: a", giving(z=None, y=None), "a"),
    ],
)
def test_a_model_is_given_its_one_input_under_the_name_by_which_the_graph_feeds_it(wiring, source, name):
    found = target(f"steps: {{a: app.py:f, t: {{model: m, {wiring}}}}}", a=source, t=MODEL)
    assert names(found, ONE) == [name]
    assert names(found, {"other": ONE}) == names(found, other=ONE) == ["other"]


def test_a_model_that_reads_the_request_is_given_it_under_the_name_that_was_sent():
    found = target("steps: {t: {model: m}}", t=MODEL)
    assert names(found, ONE, request={"rows": 1}) == ["rows"]
    assert names(found, ONE, request={"a": 1, "b": 1}) == ["X"]
    declared = target('schema: {inputs: {rows: "FP64[n]"}}\nsteps: {t: {model: m}}', t=MODEL)
    assert names(declared, ONE, request={"other": 1}) == ["rows"]


def test_a_model_that_reads_several_takes_them_by_name():
    found = target("steps: {a: app.py:f, b: app.py:f, t: {model: m, inputs: [a, b]}}", a=FUNCTION, b=FUNCTION, t=MODEL)
    assert names(found, a=ONE, b=ONE) == ["a", "b"]
    with pytest.raises(TypeError, match=r"t\(\) takes its inputs by name; it takes tensors by name"):
        names(found, ONE)
    with pytest.raises(TypeError, match=r"t\(\) missing 1 required argument; it takes tensors by name"):
        names(found)


def test_a_list_has_the_datatype_that_the_step_declares():
    spec = parse_spec("FP32[n]")
    declared = Interface((Parameter("x", Form.ARRAY, spec),), None, blocking=True, limit=1, named_parameters=True)
    found = target("steps: {t: app.py:f}", t=declared).inputs(([1, 2],), {}, InferRequest(model="m", inputs={}))
    assert found["x"].describe() == "FP32[2]"


def test_all_tensors_by_name_go_to_a_step_that_takes_them_so():
    everything = Interface((Parameter("tensors", Form.ARRAYS),), None, blocking=True, limit=1, named_parameters=True)
    found = target("steps: {t: app.py:f}", t=everything)
    assert names(found, a=ONE, b=ONE) == names(found, {"a": ONE, "b": ONE}) == ["a", "b"]
    fed = target("steps: {t: {run: app.py:f, inputs: {tensors: request}}}", t=everything)
    given = fed.inputs((), {"tensors": {"a": ONE}}, InferRequest(model="m", inputs={}))
    assert list(given["tensors"]) == ["a"]


def test_an_optional_input_may_be_left_out_and_be_all_there_is():
    optional = Interface((Parameter("x", required=False),), None, blocking=True, limit=1, named_parameters=True)
    found = target("steps: {t: app.py:f}", t=optional)
    assert names(found) == []
    assert names(found, ONE) == ["x"]


def test_the_answer_is_the_array_the_json_or_several_by_name():
    found = target("steps: {t: app.py:f}", t=FUNCTION)
    array = found.answer({"t": tensor(ONE)})
    assert array.tolist() == [1, 1]
    assert not array.flags.writeable
    assert found.answer({"t": Json({"a": 1})}) == {"a": 1}
    assert found.answer({"a": Json("text"), "b": tensor(ONE)})["a"] == "text"
    assert found.answer({"t": Raw(b"x")}) == b"x"


def test_a_step_that_gives_a_stream_cannot_be_called():
    async def chunks():
        yield b"x"

    with pytest.raises(WrongAnswer, match='step "t" gives a stream, which can be nothing but the answer of a graph'):
        target("steps: {t: app.py:f}", t=FUNCTION).answer({"t": Raw(chunks())})
