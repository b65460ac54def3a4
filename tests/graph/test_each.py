"""``each``: the interface of a loop, told from that of one item."""

from __future__ import annotations

import pytest

from pipeline.graph.each import looped, promised, told_of_items
from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.source import Fault
from pipeline.tensors.forms import Form
from pipeline.tensors.signature import Signature, parse_spec
from tests.graph.checking import graph_of


def seen(interface: Interface, keys: str) -> tuple[Interface, list[str]]:
    faults: list[Fault] = []
    (step,) = graph_of(f"steps:\n  a: {{run: app.py:f, {keys}}}\n").steps
    return looped(step, interface, faults), [fault.message for fault in faults]


def of(*parameters: Parameter, rest: bool = False, gives=None) -> Interface:
    return Interface(parameters, gives, blocking=True, limit=1, takes_rest=rest)


def test_the_input_and_the_results_have_one_axis_more():
    item = of(
        Parameter("x", Form.ARRAY, parse_spec("FP32[n,4]")),
        Parameter("y", Form.ARRAY, parse_spec("FP32[n]")),
        gives={"a": parse_spec("INT64[]"), "b": None},
    )
    whole, faults = seen(item, "each: x")
    assert faults == []
    assert {own.name: str(own.spec) for own in whole.parameters} == {"x": "FP32[-1,n,4]", "y": "FP32[n]"}
    assert {name: spec and str(spec) for name, spec in whole.gives.items()} == {"a": "INT64[-1]", "b": None}


@pytest.mark.parametrize(
    ("item", "whole"),
    [(Form.ANY, Form.ANY), (Form.ARRAY, Form.ARRAY), (Form.INT, Form.ARRAY), (Form.STR, Form.ARRAY),
     (Form.TEXTS, Form.ARRAY), (Form.DICT, Form.LIST), (Form.LIST, Form.LIST)],
)  # fmt: skip
def test_the_form_is_that_of_all_items(item, whole):
    assert seen(of(Parameter("x", item)), "each: x")[0].parameters[0].form is whole


@pytest.mark.parametrize(
    ("interface", "keys", "message"),
    [
        (of(Parameter("rows")), "each: row",
         'step "a": each is "row", and it has no parameter of that name; did you mean "rows"?'),
        (of(Parameter("x", Form.FRAME)), "each: x",
         ('step "a": each is "x", which takes all tensors by name (pandas.DataFrame); '
         "loop over a parameter that takes one")),
        (of(Parameter("x"), Parameter("y")), "each: x, inputs: {y: request}",
         'step "a": each is "x", and inputs feeds no such parameter; there are none but y'),
        (of(Parameter("X"), rest=True), "each: rows, inputs: {row: request}",
         'step "a": each is "rows", and inputs feeds no such parameter; did you mean "row"?'),
    ],
)  # fmt: skip
def test_each_names_an_input(interface, keys, message):
    assert seen(interface, keys)[1] == [message]


def test_a_model_takes_tensors_under_any_name_and_is_looked_at_when_asked():
    assert seen(of(Parameter("X"), rest=True), "each: rows")[1] == []


SCHEMA = 'schema: {outputs: {y: "FP32[-1,3]"}}\n'
BOTH = 'schema: {outputs: {y: "FP32[-1,3]", z: "BYTES[-1]"}}\n'


@pytest.mark.parametrize(
    ("text", "annotated", "learned", "gives"),
    [
        ("steps: {b: app.py:f, a: &a}", None, {}, {"a": None}),
        ("steps: {b: app.py:f, a: &a}", {"a": "INT64[-1]"}, {}, {"a": "INT64[-1]"}),
        ("steps: {b: app.py:f, a: &a}", None, {"a": "INT64[-1]"}, {"a": "INT64[-1]"}),
        # The schema is heard first, and renames an only output.
        (SCHEMA + "steps: {b: app.py:f, a: &a}", None, {}, {"a": "FP32[-1,3]"}),
        (SCHEMA + "steps: {b: app.py:f, a: &a}", {"a": "FP32[-1,n]"}, {}, {"a": "FP32[-1,3]"}),
        (SCHEMA + "steps: {b: app.py:f, a: &a}", None, {"p": "FP32[-1,-1]"}, {"p": "FP32[-1,3]"}),
        (SCHEMA + "steps: {b: app.py:f, a: &a}\noutput: a.y", None, {}, {"y": "FP32[-1,3]"}),
        (BOTH + "steps: {b: app.py:f, a: &a}", None, {}, {"y": "FP32[-1,3]", "z": "BYTES[-1]"}),
        (BOTH + "steps: {b: app.py:f, a: &a}", {"y": "FP32[-1,n]"}, {}, {"y": "FP32[-1,3]"}),
        # Another step of the answer gives what it gives.
        (BOTH + "steps: {z: app.py:f, a: &a}\noutput: [a, z]", None, {}, {"y": "FP32[-1,3]"}),
        (BOTH + "steps: {z: app.py:f, a: &a}\noutput: [a.y, z]", None, {}, {"y": "FP32[-1,3]"}),
        # A step that does not answer is none of the schema's business.
        (SCHEMA + "steps: {a: &a, b: app.py:f}", None, {}, {"a": None}),
    ],
)
def test_what_a_loop_gives_without_items_is_what_is_known_best(text, annotated, learned, gives):
    graph = graph_of(text.replace("&a", "{run: app.py:f, each: x}") + "\n")
    step = next(step for step in graph.steps if step.name == "a")
    interfaces = {"a": of(gives=annotated and {name: parse_spec(spec) for name, spec in annotated.items()})}
    told = Signature(outputs={name: parse_spec(spec) for name, spec in learned.items()})
    found = promised(step, graph, interfaces, told)
    assert {name: spec and str(spec) for name, spec in found.items()} == gives


def test_what_a_model_tells_is_of_one_item():
    one = Signature(
        {"X": parse_spec("FP64[-1,4]"), "k": parse_spec("INT64[1]")}, outputs={"predict": parse_spec("INT64[-1]")}
    )
    (step,) = graph_of("steps: {a: {model: m, each: X}}\n").steps
    whole = told_of_items(step, one)
    assert {name: str(spec) for name, spec in whole.inputs.items()} == {"X": "FP64[-1,-1,4]", "k": "INT64[1]"}
    assert {name: str(spec) for name, spec in whole.outputs.items()} == {"predict": "INT64[-1,-1]"}
    (step,) = graph_of("steps: {a: {model: m}}\n").steps
    assert told_of_items(step, one) is one
