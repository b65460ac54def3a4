"""What is known to flow: names, the parameters they feed, and what of a request is read."""

from __future__ import annotations

import pytest

from pipeline.graph.edges import feeds, known_names, request_reads
from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.spec import Reference
from pipeline.tensors.forms import Form
from pipeline.tensors.signature import TensorSpec, parse_spec
from tests.graph.checking import checked, graph_of

U, V = parse_spec("FP32[n]"), parse_spec("BYTES[n]")
SCHEMA = 'schema: {inputs: {u: "FP32[n]", v: "BYTES[n]"}}\n'


def interface(
    *parameters: Parameter | str, gives: dict[str, TensorSpec | None] | None = None, **more: bool
) -> Interface:
    own = tuple(Parameter(parameter) if isinstance(parameter, str) else parameter for parameter in parameters)
    return Interface(own, gives, blocking=True, limit=1, **more)


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        (("request", None), {"u": U, "v": V}),
        (("request", "u"), {"u": U}),
        (("request", "w"), {"w": None}),
        (("headers", "x-user"), {"x-user": None}),
        (("parameters", "top"), {"top": None}),
        (("a", None), {"a": U}),
        (("a", "a"), {"a": U}),
        (("b", None), None),
        (("b", "y"), {"y": None}),
        (("nobody", None), None),
    ],
)
def test_a_reference_brings_the_tensors_that_are_known(reference, names):
    graph = graph_of(f"{SCHEMA}steps: {{a: app.py:f, b: app.py:f}}\n")
    interfaces = {"a": interface("x", gives={"a": U}), "b": interface("x")}
    assert known_names(Reference(*reference, place=None), graph, interfaces) == names


def test_a_tensor_of_the_schema_whose_spec_cannot_be_read_is_there_all_the_same():
    graph = checked('schema: {inputs: {u: "FP32[n]", v: WORD}}\nsteps: {a: app.py:f}\n').graph
    assert known_names(Reference("request", None, None), graph, {}) == {"u": U, "v": None}


@pytest.mark.parametrize(
    ("inputs", "parameters", "fed"),
    [
        ("request", ["u", "v"], {"u": ("u", U), "v": ("v", V)}),
        ("request", ["u", "other"], {"u": ("u", U)}),
        ("request.v", ["only"], {"only": ("v", V)}),
        ("request.v", ["u", "v"], {"v": ("v", V)}),
        ("[request.u, headers.h]", ["only"], {}),
        ("{x: request.u, y: headers.h}", ["x", "y"], {"x": ("u", U), "y": ("h", None)}),
        ("{x: request}", ["x"], {}),
        ("request", [Parameter("all", Form.DICT)], {}),
    ],
)
def test_a_parameter_is_fed_by_name_or_is_the_only_one(inputs, parameters, fed):
    graph = graph_of(f"{SCHEMA}steps:\n  a: {{run: app.py:f, inputs: {inputs}}}\n")
    own = interface(*parameters)
    found = {feed.parameter.name: (feed.tensor, feed.spec) for feed in feeds(graph.steps[0], own, graph, {"a": own})}
    assert found == fed


@pytest.mark.parametrize(
    ("inputs", "own", "covered"),
    [
        ("request", interface("u", "v"), "uv"),
        ("request", interface("u", Parameter("w", required=False)), "uw"),
        ("request", interface("x"), "x"),
        ("request.u", interface("x"), "u"),
        ("{x: request.u}", interface("x"), "u"),
        ("{x: request}", interface("x"), ""),
        ("{x: request}", interface(Parameter("x", Form.ARRAYS)), "uvwx"),
        ("request", interface(Parameter("x", Form.DICT)), "uvwx"),
        ("request", interface("u", takes_rest=True), "uvwx"),
        ("request.u", interface("u", reads_request=True), "uvwx"),
        ("headers.u", interface("u"), ""),
        ("[]", interface(), ""),
    ],
)
def test_what_a_graph_reads_of_a_request(inputs, own, covered):
    graph = graph_of(f"steps:\n  a: {{run: app.py:f, inputs: {inputs}}}\n")
    reads = request_reads(graph, {"a": own})
    assert "".join(name for name in "uvwx" if reads.covers(name, 4)) == covered


def test_the_only_tensor_of_a_request_is_read_whatever_its_name():
    graph = graph_of("steps: {a: app.py:f}\n")
    reads = request_reads(graph, {"a": interface("x")})
    assert reads.covers("anything", 1)
    assert not reads.covers("anything", 2)
