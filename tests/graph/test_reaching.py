"""What is known of all that a step is going to read: from the schema, through annotations and what models told."""

from __future__ import annotations

import pytest

from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.reaching import reaching
from pipeline.tensors.forms import Form
from pipeline.tensors.signature import Signature, parse_spec
from tests.graph.checking import graph_of

TELLS = Interface((Parameter("x"),), {"first": parse_spec("FP32[n,3]")}, blocking=True, limit=1)
SILENT = Interface((Parameter("x"),), {"first": None}, blocking=True, limit=1)
ANYTHING = Interface((), None, blocking=True, limit=1, takes_rest=True)
SCHEMA = "schema: {inputs: {x: 'FP64[n,k]', y: 'INT64[n]?'}}\n"


def last(text, first=TELLS, second=ANYTHING, learned=None):
    """What reaches the last of two steps, as texts."""
    graph = graph_of(text)
    interfaces = {"first": first, "last": second}
    (step,) = (own for own in graph.steps if own.name == "last")
    return {name: str(spec) for name, spec in reaching(step, graph, interfaces, learned or {}).items()}


def graph(keys):
    return (
        f"{SCHEMA}steps:\n  first: {{run: app.py:f, inputs: request.x}}\n  last: {{run: app.py:g, inputs: {keys}}}\n"
        + ("" if "first" in keys else "output: [first, last]\n")
    )


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("request", {"x": "FP64[n,k]", "y": "INT64[n]?"}),
        ("request.x", {"x": "FP64[n,k]"}),
        ("{rows: request.x, more: first}", {"rows": "FP64[n,k]", "more": "FP32[n,3]"}),
        ("[request.y, first]", {"y": "INT64[n]?", "first": "FP32[n,3]"}),
        ("first", {"first": "FP32[n,3]"}),
        ("first.first", {"first": "FP32[n,3]"}),
        # One word for several tensors, a name that nobody gives, what nobody declares.
        ("{rows: request}", {}),
        ("first.other", {}),
        ("{x: first, user: headers.user}", {}),
    ],
)
def test_it_is_known_where_all_of_it_is(keys, found):
    assert last(graph(keys)) == found


def test_a_header_that_can_be_left_out_is():
    takes = Interface((Parameter("x"), Parameter("user", Form.STR, required=False)), None, blocking=True, limit=1)
    assert last(graph("{x: first, user: headers.user}"), second=takes) == {"x": "FP32[n,3]"}


def test_what_a_step_gives_may_be_told_by_its_model():
    told = {"first": Signature(outputs={"first": parse_spec("FP64[-1,2]")})}
    assert last(graph("first"), first=SILENT) == {}
    assert last(graph("first"), first=SILENT, learned=told) == {"first": "FP64[-1,2]"}


def test_nothing_is_known_where_the_schema_declares_no_inputs():
    assert last("steps:\n  first: app.py:f\n  last: app.py:g\n") == {}


@pytest.mark.parametrize(
    ("declared", "found"),
    [("FP64[n,4]", "FP64[n,4]"), ("FP64[n]", "FP64[n,k]"), ("FP64[2,m]", "FP64[2,k]")],
)
def test_the_steps_own_declaration_tells_sizes_that_the_schema_leaves_open(declared, found):
    takes = Interface((Parameter("rows", Form.ARRAY, parse_spec(declared)),), None, blocking=True, limit=1)
    assert last(graph("request.x"), second=takes) == {"x": found}
