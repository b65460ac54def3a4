"""``each``: the interface of a loop, told from that of one item."""

from __future__ import annotations

import pytest

from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.loop import looped
from pipeline.graph.source import Fault
from pipeline.tensors.forms import Form
from pipeline.tensors.signature import parse_spec
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
