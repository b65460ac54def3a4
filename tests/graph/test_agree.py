"""What does not fit along the edges: every kind once, where it stands, and nothing that only follows from it."""

from __future__ import annotations

import pytest

from pipeline.graph.agree import check_edges
from pipeline.graph.interface import Interface, Parameter
from pipeline.graph.source import Fault, GraphFaults
from pipeline.tensors.forms import Form
from pipeline.tensors.signature import TensorSpec, parse_spec
from tests.graph.checking import checked
from tests.graph.reading import FILE


def takes(*parameters: str, gives: str | None = None, step: str = "a", **more) -> Interface:
    """``"x"``, ``"x: FP32[n]"``, ``"x=1"`` (a default) or ``"x -> int"`` (a form); ``gives`` under the step's name."""
    own = []
    for text in parameters:
        name, _, spec = text.partition(": ")
        name, _, form = name.partition(" -> ")
        name, default, _ = name.partition("=")
        own.append(Parameter(name, Form(form or "anything"), parse_spec(spec) if spec else None, required=not default))
    given: dict[str, TensorSpec | None] | None = {step: parse_spec(gives)} if gives else None
    return Interface(tuple(own), more.pop("names", given), more.pop("blocking", True), 1, **more)


def lines(text: str, **interfaces: Interface) -> list[str]:
    found = checked(text)
    faults = [Fault(line, "") for line in found.lines]
    assert faults == []
    check_edges(found.graph, interfaces, faults)
    return [str(fault).removeprefix(f"{FILE}:") for fault in GraphFaults(faults).faults]


def schema(inputs: str = "", outputs: str = "") -> str:
    return f"schema: {{inputs: {{{inputs}}}, outputs: {{{outputs}}}}}\n"


def step(inputs: str, name: str = "a") -> str:
    return f"  {name}: {{run: app.py:f, inputs: {inputs}}}\n"


ONE = "steps:\n  a: app.py:f\n"
TWO = ONE + "  b: app.py:g\n"


@pytest.mark.parametrize(
    ("text", "interfaces", "expected"),
    [
        # ---- parameters that nothing feeds
        (
            schema('rows: "FP32[n]", t: "FP32[1]"') + ONE,
            {"a": takes("rows", "temperature", "t")},
            ['3:6: step "a": no tensor feeds its parameter "temperature"; it reads "rows" and "t"'],
        ),
        (
            schema('rows: "FP32[n]", t: "FP32[1]"') + ONE,
            {"a": takes("rowz", "t")},
            ['3:6: step "a": no tensor feeds its parameter "rowz"; it reads "rows" and "t"; did you mean "rows"?'],
        ),
        (
            ONE.replace("app.py:f", "{run: app.py:f, inputs: [headers.x, request.y]}"),
            {"a": takes("x", "z")},
            ['2:30: step "a": no tensor feeds its parameter "z"; it reads "x" and "y"'],
        ),
        (
            "steps:\n" + step("[]"),
            {"a": takes("x")},
            ['2:30: step "a": no tensor feeds its parameter "x"; it reads nothing'],
        ),
        (
            "steps:\n" + step("{rowz: request}"),
            {"a": takes("rows", "t=1")},
            ['2:37: step "a" has no parameter "rowz"; did you mean "rows"?'],
        ),
        (
            "steps:\n" + step("{rows: request}"),
            {"a": takes("rows", "scale")},
            ['2:30: step "a": nothing feeds its parameter "scale"; inputs has "rows"'],
        ),
        (
            "steps:\n" + step("{x: request.u, q: request.v}"),
            {"a": takes("x", "scale")},
            ['2:48: step "a" has no parameter "q"; there are scale and x'],
        ),
        (
            schema('u: "FP32[n]", v: "FP32[n]"') + "steps:\n" + step("{x: request}"),
            {"a": takes("x")},
            ['3:34: step "a": parameter "x" takes one tensor, and request has "u" and "v"; say which, like request.u'],
        ),
        # ---- tensors that are not there, or twice
        (
            schema('rows: "FP32[n]"') + "steps:\n" + step("request.row"),
            {"a": takes("x")},
            ['3:30: step "a" reads "request.row": schema.inputs has no tensor "row"; did you mean "rows"?'],
        ),
        (
            ONE + step("a.out", "b"),
            {"a": takes("x", gives="FP32[n]"), "b": takes("x")},
            ['3:30: step "b" reads "a.out": step "a" has no tensor "out"; there are none but a'],
        ),
        (
            "output: {predict: a, explain: a.y}\n" + ONE,
            {"a": takes("x", gives="FP32[n]")},
            ['1:31: output is "a.y": step "a" has no tensor "y"; there are none but a'],
        ),
        (
            "output: {predict: b, explain: [a, b]}\nsteps:\n  a: app.py:f\n  b: app.py:f\n",
            {"a": takes("x", names={"y": None}), "b": takes("x", names={"y": None})},
            ['1:35: the answer to explain gets the tensor "y" twice, from a and b; use a map parameter → reference'],
        ),
        (
            "output: a.y\n" + ONE,
            {"a": takes("x", gives="FP32[n]")},
            ['1:9: output is "a.y": step "a" has no tensor "y"; there are none but a'],
        ),
        (
            ONE + step("[a.y, request.y]", "b"),
            {"a": takes("x"), "b": takes("y")},
            ['3:36: step "b" gets the tensor "y" twice, from a.y and request.y; use a map parameter → reference'],
        ),
        (
            schema('u: "FP32[n]"') + "steps:\n" + step("[request, request.u]"),
            {"a": takes("u", "v=1")},
            ['3:40: step "a" gets the tensor "u" twice, from request and request.u; use a map parameter → reference'],
        ),
        (
            ONE + step("[a, a]", "b"),
            {"a": takes("x"), "b": takes("y")},
            ['3:34: step "b" gets all tensors of a twice; once is enough'],
        ),
        (
            "output: [a, b]\nsteps:\n  a: app.py:f\n  b: app.py:f\n",
            {"a": takes("x", names={"y": None}), "b": takes("x", names={"y": None})},
            ['1:13: the answer gets the tensor "y" twice, from a and b; use a map parameter → reference'],
        ),
        # ---- what disagrees along an edge
        (
            schema('rows: "FP64[n,4]"') + ONE,
            {"a": takes("x: FP32[n,4]")},
            ['3:6: step "a": parameter "x" takes FP32[n,4], and request.rows is FP64[n,4]: FP64 is not FP32'],
        ),
        (
            TWO,
            {"a": takes("x", gives="FP32[n,3]"), "b": takes("x: FP32[n,4]")},
            ['3:6: step "b": parameter "x" takes FP32[n,4], and a.a is FP32[n,3]: axis 1 is 3, not 4'],
        ),
        (
            ONE + step("{x: a}", "c"),
            {"a": takes("x", gives="FP32[n]"), "c": takes("x: FP32[n,n]")},
            ['3:34: step "c": parameter "x" takes FP32[n,n], and a.a is FP32[n]: 1 dimensions are not 2'],
        ),
        (
            schema(outputs='y: "INT64[n]"') + ONE,
            {"a": takes("x", gives="FP32[n]")},
            ['1:35: schema.outputs has "y": INT64[n], and the answer is FP32[n]: FP32 is not INT64'],
        ),
        (
            schema('rows: "FP32[m,4]"', 'y: "FP32[7]"') + TWO,
            {"a": takes("x: FP32[k,4]", gives="FP32[k]"), "b": takes("x: FP32[j]", gives="FP32[j]", step="b")},
            [],
        ),
        (
            schema('rows: "FP32[8,4]"', 'y: "FP32[7]"') + TWO,
            {"a": takes("x: FP32[k,4]", gives="FP32[k]"), "b": takes("x: FP32[j]", gives="FP32[j]", step="b")},
            ['1:52: schema.outputs has "y": FP32[7], and the answer is FP32[j]: axis 0 is j=8, not 7'],
        ),
        (
            schema('rows: "BYTES[n]"') + ONE,
            {"a": takes("x -> int")},
            ['3:6: step "a": parameter "x" takes int, and request.rows is BYTES[n]'],
        ),
        (
            schema('rows: "INT8[n]"') + "steps:\n" + step("{x: request.rows}"),
            {"a": takes("x -> list[str]")},
            ['3:34: step "a": parameter "x" takes list[str], and request.rows is INT8[n]'],
        ),
        (
            schema('rows: "FP32[n]", t: "FP32[1]?"') + ONE,
            {"a": takes("rows", "t")},
            ['3:6: step "a": parameter "t" has no default, and request.t is optional (FP32[1]?)'],
        ),
        (schema('rows: "FP32[n]", t: "FP32[1]?"') + ONE, {"a": takes("rows", "t=1")}, []),
        # ---- the schema as a whole
        (
            schema('rows: "FP32[n]", temprature: "FP32[1]?"') + ONE,
            {"a": takes("rows", "temperature=1")},
            ['1:48: schema.inputs has "temprature" (FP32[1]?), and no step reads it; did you mean "temperature"?'],
        ),
        (
            schema(outputs='y: "FP32[n]", z: "FP32[n]"') + ONE,
            {"a": takes("x", names={"y": None})},
            ['1:49: schema.outputs has "z", and the answer has "y"'],
        ),
        (schema(outputs='label: "FP32[n]"') + ONE, {"a": takes("x", gives="FP32[n]")}, []),
        (schema(outputs='y: "FP32[n]", z: "FP32[n]"') + ONE, {"a": takes("x")}, []),
        # ---- a combination that cannot hold
        (
            "steps:\n  a: {run: app.py:f, place: thread}\n",
            {"a": takes("x", blocking=False)},
            ['2:29: step "a" is async and runs on the loop; place: thread is for synchronous code'],
        ),
        ("steps:\n  a: {run: app.py:f, place: loop}\n", {"a": takes("x")}, []),
        (
            "steps:\n  a: {run: app.py:f, place: asyncio}\n",
            {"a": takes("x")},
            ['2:29: step "a" is synchronous, and place: asyncio is for async code; leave it out'],
        ),
        ("steps:\n  a: {run: app.py:f, place: asyncio}\n", {"a": takes("x", blocking=False)}, []),
        # ---- nothing is known of a step: nothing is said of it
        (schema('rows: "FP32[n]"', 'y: "FP32[n]"') + TWO, {}, []),
        (schema('rows: "FP32[n]"') + TWO, {"b": takes("x: FP32[1,2,3]")}, []),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_located_line(text, interfaces, expected):
    assert lines(text, **interfaces) == expected
